"""How far runs are that other processes of this machine train: each tells it in a small file."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from siamese_mnist.system.files import workspace
from siamese_mnist.training.phases import Progress

_WRITTEN_SECONDS = 0.25
_READ_SECONDS = 0.25


@contextmanager
def watched(runs_dir: Path, told: Mapping[str, Progress]) -> Iterator[Path | None]:
    """Tells how far runs are for as long as the context lasts.

    Args:
        runs_dir: folder of all runs; the files are in a hidden folder within it, which goes at the end.
        told: the progress function of every run, by the run's name; without any, nothing is written.

    Yields:
        The folder for `written`.
    """
    if not told:
        yield None
        return
    ended = threading.Event()
    with workspace(runs_dir) as folder:

        def watch() -> None:
            while not ended.wait(_READ_SECONDS):
                _tell(folder, told)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield folder
        finally:
            ended.set()
            watcher.join()
            _tell(folder, told)


def written(folder: Path, name: str) -> Progress:
    """The progress function of the run called `name`, in the process that trains it."""
    due = 0.0

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal due
        now = time.perf_counter()
        if done == total or now >= due:
            due = now + _WRITTEN_SECONDS
            with contextlib.suppress(OSError):  # what is told is worth no run
                part = folder / f".{name}"
                part.write_text(json.dumps([stage, done, total]))
                part.replace(folder / name)

    return progress


def _tell(folder: Path, told: Mapping[str, Progress]) -> None:
    for name, progress in told.items():
        with contextlib.suppress(OSError, ValueError):
            stage, done, total = json.loads((folder / name).read_text())
            progress(stage, done, total)
