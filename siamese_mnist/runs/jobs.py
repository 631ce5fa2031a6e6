"""Many runs: each the one on disk, or a new one where there is none, several trained at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from siamese_mnist.data import load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.experiment import find_run, run_name, run_settings
from siamese_mnist.runs.store import RunResult, check_writable
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.threads import threads
from siamese_mnist.training.phases import Progress, silent

RUN_THREADS = 1
"""Threads of every run trained here: sums are added in another order with another number of threads, and the figures
change with it, so the number must not depend on how many runs are trained at once."""

RUN_MEMORY_BYTES = 2 * 1024**3


def ensure_runs(
    settings: Sequence[Settings],
    *,
    runs_dir: str | Path,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: Callable[[Settings], Progress],
    jobs: int = 1,
    overall: Progress = silent,
) -> Iterator[RunResult]:
    """Yields one run for each of `settings`, in order: the one on disk, or a new one where there is none.

    A run's figures are the same whatever the number of jobs (`RUN_THREADS`); its seconds are not, as runs that train
    side by side share the machine. Jobs go through joblib, so `joblib.parallel_config` chooses where they run, a
    cluster that shares the folder of runs for example. Each job is a new process: a part registered in a script, not by
    an entry point, is known in it only if one job is asked for.

    Args:
        settings: what to run.
        runs_dir: folder of all runs.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        progress: makes the progress function of a run that is trained; used with one job only.
        jobs: runs trained at once, >= 1.
        overall: told after every finished run, with more than one job.

    Raises:
        UsageError: see `run`.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be >= 1, got {jobs}")
    places: dict[str, Any] = {"runs_dir": runs_dir, "data_dir": data_dir, "download": download}
    missing = missing_runs(settings, runs_dir) if jobs > 1 else {}
    trained = _train_in_parallel(missing, jobs, places, overall) if len(missing) > 1 else {}
    for each in settings:
        run = trained.get(run_name(each)) or find_run(each, runs_dir)
        if run is None:
            with threads(RUN_THREADS):
                run = run_settings(each, **places, progress=progress(each))
        yield run


def missing_runs(settings: Sequence[Settings], runs_dir: str | Path) -> dict[str, Settings]:
    """Those of `settings` that have no complete run, each once, by the name of its run."""
    return {run_name(each): each for each in settings if find_run(each, runs_dir) is None}


def possible_jobs() -> int:
    """How many runs this machine trains at once: as many as it has processors, if its free memory allows."""
    from joblib import cpu_count

    return max(1, min(int(cpu_count()), _available_memory_bytes() // RUN_MEMORY_BYTES))


def _train_in_parallel(
    settings: Mapping[str, Settings], jobs: int, places: Mapping[str, Any], overall: Progress
) -> dict[str, RunResult]:
    from joblib import Parallel, delayed

    check_writable(Path(places["runs_dir"]))
    for dataset in {each.dataset for each in settings.values()}:
        load_dataset(dataset, places["data_dir"], places["download"])  # a mistake shows here, and one job downloads
    options = {"n_jobs": min(jobs, len(settings)), "batch_size": 1}
    try:
        parallel = Parallel(**options, return_as="generator_unordered")
    except ValueError:  # a backend that gives all results at the end
        parallel = Parallel(**options)
    trained: dict[str, RunResult] = {}
    overall("both phases", 0, len(settings))
    for name, run in parallel(delayed(_train)(name, each, dict(places)) for name, each in settings.items()):
        trained[name] = run
        overall("both phases", len(trained), len(settings))
    return trained


def _train(name: str, settings: Settings, places: dict[str, Any]) -> tuple[str, RunResult]:
    with threads(RUN_THREADS):
        return name, run_settings(settings, **places)


def _available_memory_bytes() -> int:
    """Memory that programs can still have; without limit where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(kibibytes) * 1024
    except (OSError, StopIteration, ValueError):
        return 1 << 62
