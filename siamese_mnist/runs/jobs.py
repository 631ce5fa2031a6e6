"""Many runs: each the one on disk, or a new one where there is none, several trained at once."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any, cast

from siamese_mnist.data import load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.beside import watched, written
from siamese_mnist.runs.claims import claim
from siamese_mnist.runs.clusters import check_engine, workers_of
from siamese_mnist.runs.elsewhere import LostWorkerError, train_elsewhere
from siamese_mnist.runs.experiment import run_settings
from siamese_mnist.runs.provenance import run_name
from siamese_mnist.runs.result import Diverged, RunResult
from siamese_mnist.runs.store import check_writable, find_runs
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.files import workspace
from siamese_mnist.system.owners import Owner
from siamese_mnist.system.processes import end_with, without_interrupts
from siamese_mnist.training.divergence import DivergedError
from siamese_mnist.training.phases import Progress, silent

RUN_MEMORY_BYTES = 2 * 1024**3
_WAIT_SECONDS = 1.0


def unseen(settings: Settings) -> Progress:  # noqa: ARG001
    """Makes progress functions that tell nobody."""
    return silent


def unheard(line: str) -> None:
    """Takes a notice and says nothing."""


def ensure_runs(settings: Sequence[Settings], **options: Any) -> Iterator[RunResult]:
    """Yields one run for each of `settings`, in order; the options are those of `attempt_runs`.

    Raises:
        DivergedError: when it is the turn of a setting whose training diverged.
        UsageError: see `run`.
    """
    for outcome in attempt_runs(settings, **options):
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
    progress: Callable[[Settings], Progress] = unseen,
    jobs: int | None = 1,
    engine: str = "local",
    address: str | None = None,
    overall: Progress = silent,
    notice: Callable[[str], None] = unheard,
    beside: Callable[[Settings], Progress] | None = None,
) -> Iterator[RunResult | Diverged]:
    """Yields for each of `settings`, in order, the run on disk, or a new one, or word that its training diverged.

    A run's figures are the same whatever the number of jobs; its seconds are not, as runs that train side by side share
    the machine. Several jobs, and all jobs of a cluster, are trained by other processes: a part registered in a script,
    not by an entry point, is unknown there.

    Jobs of the local engine go through joblib, so `joblib.parallel_config` can choose other processes of this machine,
    or others that share the folder of runs. Workers of Dask and Ray share nothing, see `elsewhere`.

    Other programs, on this machine or others, may work on the same folder: what one of them trains is waited for, and
    trained here if it ends without a run, see `claims`.

    Args:
        settings: what to run.
        runs_dir: folder of all runs.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        device: a PyTorch device, such as "cpu" or "cuda"; with Dask and Ray each job on "cuda" has a GPU for itself.
        progress: makes the progress function of a run that is trained in this process.
        jobs: runs trained at once, >= 1; None is as many as processors and memory allow, one
            on a GPU, or the cluster's workers.
        engine: "local", "dask" or "ray".
        address: of the cluster, see `workers_of`.
        overall: told after every finished run that is trained by another process.
        notice: told in one line what is waited for.
        beside: makes the progress function of a run that another process of this machine trains; some updates are
            left out.

    Raises:
        UsageError: see `run`.
        LostWorkerError: if a worker process was ended from outside.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs must be >= 1, got {jobs}")
    check_engine(engine, address)
    places: dict[str, Any] = {"runs_dir": runs_dir, "data_dir": data_dir, "download": download, "device": device}
    names = [run_name(each) for each in settings]
    found = find_runs(settings, runs_dir).runs
    done: dict[str, RunResult | Diverged] = {name: run for name, run in zip(names, found, strict=True) if run}
    missing = {name: each for name, each in zip(names, settings, strict=True) if name not in done}
    if missing:
        check_writable(Path(runs_dir))
    gpu = device.startswith("cuda")
    alone = gpu and engine == "local"  # its processes would share one GPU
    most = min(jobs or (1 if alone else possible_jobs()), max(1, len(missing)))
    if missing and engine != "local":
        with workers_of(engine, address, jobs=most, gpu=gpu) as workers:
            done |= train_elsewhere(missing, workers, **places, jobs=jobs, overall=overall)
    elif missing:
        with workspace(Path(runs_dir)) as begun:
            here = places | {"begun": begun}
            if most > 1:
                done |= _train_in_parallel(missing, most, here, overall, beside)
            else:
                done |= _train_in_turn(missing, here, progress)
    for name, each in missing.items():
        if name not in done:
            done[name] = _wait_or_train(name, each, notice, **places, progress=progress(each))
    for name in names:
        yield done[name]


def possible_jobs() -> int:
    """How many runs this machine trains at once: as many as it has processors, if its free memory allows."""
    from joblib import cpu_count

    return max(1, min(int(cpu_count()), _available_memory_bytes() // RUN_MEMORY_BYTES))


def _train_in_turn(
    settings: Mapping[str, Settings], places: Mapping[str, Any], progress: Callable[[Settings], Progress]
) -> dict[str, RunResult | Diverged]:
    outcomes = (
        (name, _train_unclaimed(name, each, **places, progress=progress(each))) for name, each in settings.items()
    )
    return {name: outcome for name, outcome in outcomes if not isinstance(outcome, Owner)}


def _train_in_parallel(
    settings: Mapping[str, Settings],
    jobs: int,
    places: Mapping[str, Any],
    overall: Progress,
    beside: Callable[[Settings], Progress] | None,
) -> dict[str, RunResult | Diverged]:
    from joblib import Parallel, delayed

    sources = {(each.dataset, str(each.dataset_options)): each for each in settings.values()}
    for each in sources.values():  # a mistake shows here, and one job downloads
        load_dataset(each.dataset, places["data_dir"], places["download"], **each.dataset_options)
    trained: dict[str, RunResult | Diverged] = {}
    overall("both phases", 0, len(settings))
    told = {name: beside(each) for name, each in settings.items()} if beside else {}
    try:
        with watched(Path(places["runs_dir"]), told) as folder:
            tasks = [delayed(_job)(Owner.this(), name, each, dict(places), folder) for name, each in settings.items()]
            for number, (name, outcome) in enumerate(_outcomes(Parallel, jobs, tasks), start=1):
                if not isinstance(outcome, Owner):
                    trained[name] = outcome
                overall("both phases", number, len(settings))
    except BrokenExecutor as error:
        raise LostWorkerError(
            f"a worker process was ended from outside, by the system if memory ran short; try --jobs {jobs // 2}; "
            "finished runs are kept"
        ) from error
    return trained


def _outcomes(parallel: Any, jobs: int, tasks: list[Any]) -> Iterable[tuple[str, RunResult | Diverged | Owner]]:
    """Outcomes of jobs as they end, or all at the end from a backend that can give them so only."""
    options = {"n_jobs": jobs, "batch_size": 1}
    try:
        workers = parallel(**options, return_as="generator_unordered")
    except ValueError:
        return cast(Iterable[tuple[str, RunResult | Diverged | Owner]], parallel(**options)(tasks))
    with without_interrupts():
        return cast(Iterable[tuple[str, RunResult | Diverged | Owner]], workers(tasks))


def _job(
    asker: Owner, name: str, settings: Settings, places: dict[str, Any], folder: Path | None
) -> tuple[str, RunResult | Diverged | Owner]:
    end_with(asker)
    return name, _train_unclaimed(name, settings, **places, progress=written(folder, name) if folder else silent)


def _wait_or_train(
    name: str, settings: Settings, notice: Callable[[str], None], **options: Any
) -> RunResult | Diverged:
    """The run that another process trains, or one of our own if that ends without."""
    told = None
    while isinstance(outcome := _train_unclaimed(name, settings, **options), Owner):
        if outcome != told:
            where = "of this machine" if outcome.here else "of another machine"
            notice(f"waiting for {name}: process {outcome.pid} {where} trains it")
            told = outcome
        # Two that took their claims back at the same time must not come back at the same time.
        time.sleep(_WAIT_SECONDS * (0.5 + random.random()))
    return outcome


def _train_unclaimed(
    name: str, settings: Settings, *, runs_dir: str | Path, **options: Any
) -> RunResult | Diverged | Owner:
    """The run on disk by now, or a new one, or who else is at it."""
    with claim(Path(runs_dir), name) as other:
        if other is not None:
            return other
        (found,) = find_runs([settings], runs_dir).runs
        return found or _outcome(settings, runs_dir=runs_dir, **options)


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
