"""Runs trained by the workers of a cluster.

No disk need be shared: images travel to the workers once, a run's files travel back as bytes, and this program writes
them. It also holds the claims, so that none stays with a worker that was lost.
"""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from importlib.metadata import version
from pathlib import Path
from typing import Any

from siamese_mnist.data import Dataset, load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.claims import claim
from siamese_mnist.runs.clusters import Workers
from siamese_mnist.runs.experiment import run_settings
from siamese_mnist.runs.result import Diverged, RunResult
from siamese_mnist.runs.store import RunFiles, find_runs, pack_run, unpack_run
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.divergence import DivergedError
from siamese_mnist.training.phases import Progress


class LostWorkerError(UsageError):
    """A worker process was ended from outside."""

    status = 1


_ALONE = threading.Lock()
"""PyTorch's random stream and number of threads belong to the whole process, and so does a training."""


def train_elsewhere(
    missing: Mapping[str, Settings],
    workers: Workers,
    *,
    runs_dir: str | Path,
    data_dir: str | Path | None,
    download: bool,
    device: str,
    jobs: int | None,
    overall: Progress,
) -> dict[str, RunResult | Diverged]:
    """Trains what nobody else does, and writes each run as it arrives.

    Args:
        missing: what to train, by the name of the run.
        workers: of the cluster.
        runs_dir: folder of all runs.
        data_dir: folder of the data set's files, on this machine.
        download: fetch missing data.
        device: a PyTorch device of the workers.
        jobs: jobs that the cluster has at once; None is twice as many as it can run.
        overall: told after every finished run.

    Returns:
        What was trained, or found in the meantime; what other programs are at is missing.

    Raises:
        LostWorkerError: if a job lost its workers again and again, or the cluster is gone.
        UsageError: if a worker has another version of this package, or refuses a setting.
    """
    sent = _sent(missing, workers, data_dir, download)
    done: dict[str, RunResult | Diverged] = {}
    with contextlib.ExitStack() as stack:
        claimed = _claimed(missing, Path(runs_dir), stack, done)
        overall("both phases", 0, len(missing))
        waiting: dict[Future[Any], tuple[str, Callable[[], None]]] = {}
        while True:
            for name, settings, release in claimed:
                data = sent[_source(settings)]
                waiting[workers.submit(_job, settings, data, device, version("siamese-mnist"))] = name, release
                if len(waiting) >= (jobs or 2 * max(1, workers.at_once())):
                    break
            if not waiting:
                return done
            ended, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                name, release = waiting.pop(future)
                outcome = _outcome(name, future, workers.losses)
                done[name] = outcome if isinstance(outcome, Diverged) else unpack_run(Path(runs_dir), name, outcome)
                release()
                overall("both phases", len(done), len(missing))


def _claimed(
    missing: Mapping[str, Settings],
    runs_dir: Path,
    stack: contextlib.ExitStack,
    done: dict[str, RunResult | Diverged],
) -> Iterator[tuple[str, Settings, Callable[[], None]]]:
    """Claims one after another of what nobody else is at, and gives how to end the claim; what is found is `done`."""
    for name, settings in missing.items():
        held = stack.enter_context(contextlib.ExitStack())
        if held.enter_context(claim(runs_dir, name)) is not None:
            held.close()
            continue
        (found,) = find_runs([settings], runs_dir).runs
        if found is None:
            yield name, settings, held.close
        else:
            done[name] = found
            held.close()


def _sent(
    missing: Mapping[str, Settings], workers: Workers, data_dir: str | Path | None, download: bool
) -> dict[str, Any]:
    """The data sets of all settings, each given to the cluster once."""
    sources = {_source(each): each for each in missing.values()}
    loaded = {
        source: load_dataset(each.dataset, data_dir, download, **each.dataset_options)
        for source, each in sources.items()
    }
    return {source: workers.send(dataset) for source, dataset in loaded.items()}


def _source(settings: Settings) -> str:
    return f"{settings.dataset} {settings.dataset_options}"


def _job(settings: Settings, dataset: Dataset, device: str, wanted: str) -> RunFiles | Diverged | UsageError:
    """Trains on a worker, in a folder that goes at the end."""
    if (here := version("siamese-mnist")) != wanted:
        return UsageError(f"a worker has siamese-mnist {here}, this program {wanted}; install the same everywhere")
    with _ALONE, tempfile.TemporaryDirectory() as folder:
        try:
            return pack_run(run_settings(settings, runs_dir=folder, dataset=dataset, device=device).run_dir)
        except DivergedError as error:
            return Diverged(settings=settings, reason=str(error))
        except UsageError as error:  # as a value, since engines add their own words to what is raised
            return error


def _outcome(name: str, future: Future[Any], losses: tuple[type[BaseException], ...]) -> RunFiles | Diverged:
    try:
        outcome: RunFiles | Diverged | UsageError = future.result()
    except losses as error:
        reason = " ".join(str(error).split())
        raise LostWorkerError(f"{name} was lost with its workers ({reason}); finished runs are kept") from error
    if isinstance(outcome, UsageError):
        raise outcome
    return outcome
