"""Many runs: each the one on disk, or a new one where there is none, several trained at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from siamese_mnist.data import load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.experiment import run_settings
from siamese_mnist.runs.provenance import run_name
from siamese_mnist.runs.result import Diverged, RunResult
from siamese_mnist.runs.store import check_writable, find_runs
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.phases import DivergedError, Progress, silent

RUN_MEMORY_BYTES = 2 * 1024**3


def ensure_runs(
    settings: Sequence[Settings],
    *,
    runs_dir: str | Path,
    data_dir: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    progress: Callable[[Settings], Progress],
    jobs: int = 1,
    overall: Progress = silent,
) -> Iterator[RunResult]:
    """Yields one run for each of `settings`, in order; see `attempt_runs`.

    Raises:
        DivergedError: when it is the turn of a setting whose training diverged.
        UsageError: see `run`.
    """
    outcomes = attempt_runs(
        settings,
        runs_dir=runs_dir,
        data_dir=data_dir,
        download=download,
        device=device,
        progress=progress,
        jobs=jobs,
        overall=overall,
    )
    for outcome in outcomes:
        if isinstance(outcome, Diverged):
            raise DivergedError(outcome.reason)
        yield outcome


def attempt_runs(
    settings: Sequence[Settings],
    *,
    runs_dir: str | Path,
    data_dir: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    progress: Callable[[Settings], Progress],
    jobs: int = 1,
    overall: Progress = silent,
) -> Iterator[RunResult | Diverged]:
    """Yields for each of `settings`, in order, the run on disk, or a new one, or word that its training diverged.

    A run's figures are the same whatever the number of jobs; its seconds are not, as runs that train side by side share
    the machine. Jobs go through joblib, so `joblib.parallel_config` chooses where they run, a cluster that shares the
    folder of runs for example. Each job is a new process: a part registered in a script, not by an entry point, is
    known in it only if one job is asked for.

    Args:
        settings: what to run.
        runs_dir: folder of all runs.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        device: a PyTorch device, such as "cpu" or "cuda".
        progress: makes the progress function of a run that is trained; used with one job only.
        jobs: runs trained at once, >= 1.
        overall: told after every finished run, with more than one job.

    Raises:
        UsageError: see `run`.
    """
    if jobs < 1:
        raise UsageError(f"jobs must be >= 1, got {jobs}")
    places: dict[str, Any] = {"runs_dir": runs_dir, "data_dir": data_dir, "download": download, "device": device}
    names = [run_name(each) for each in settings]
    found = find_runs(settings, runs_dir).runs
    done: dict[str, RunResult | Diverged] = {name: run for name, run in zip(names, found, strict=True) if run}
    missing = {name: each for name, each in zip(names, settings, strict=True) if name not in done}
    if jobs > 1 and len(missing) > 1:
        done |= _train_in_parallel(missing, jobs, places, overall)
    for name, each in zip(names, settings, strict=True):
        if name not in done:
            done[name] = _outcome(each, **places, progress=progress(each))
        yield done[name]


def missing_runs(settings: Sequence[Settings], runs_dir: str | Path) -> dict[str, Settings]:
    """Those of `settings` that have no complete run, each once, by the name of its run."""
    found = find_runs(settings, runs_dir).runs
    return {run_name(each): each for each, run in zip(settings, found, strict=True) if run is None}


def possible_jobs() -> int:
    """How many runs this machine trains at once: as many as it has processors, if its free memory allows."""
    from joblib import cpu_count

    return max(1, min(int(cpu_count()), _available_memory_bytes() // RUN_MEMORY_BYTES))


def _train_in_parallel(
    settings: Mapping[str, Settings], jobs: int, places: Mapping[str, Any], overall: Progress
) -> dict[str, RunResult | Diverged]:
    from joblib import Parallel, delayed

    check_writable(Path(places["runs_dir"]))
    sources = {(each.dataset, str(each.dataset_options)): each for each in settings.values()}
    for each in sources.values():  # a mistake shows here, and one job downloads
        load_dataset(each.dataset, places["data_dir"], places["download"], **each.dataset_options)
    options = {"n_jobs": min(jobs, len(settings)), "batch_size": 1}
    try:
        parallel = Parallel(**options, return_as="generator_unordered")
    except ValueError:  # a backend that gives all results at the end
        parallel = Parallel(**options)
    trained: dict[str, RunResult | Diverged] = {}
    overall("both phases", 0, len(settings))
    for name, run in parallel(delayed(_train)(name, each, dict(places)) for name, each in settings.items()):
        trained[name] = run
        overall("both phases", len(trained), len(settings))
    return trained


def _train(name: str, settings: Settings, places: dict[str, Any]) -> tuple[str, RunResult | Diverged]:
    return name, _outcome(settings, **places)


def _outcome(settings: Settings, **options: Any) -> RunResult | Diverged:
    try:
        return run_settings(settings, **options)
    except DivergedError as error:
        return Diverged(settings=settings, reason=str(error))


def _available_memory_bytes() -> int:
    """Memory that programs can still have; without limit where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kibibytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(kibibytes) * 1024
    except (OSError, StopIteration, ValueError):
        return 1 << 62
