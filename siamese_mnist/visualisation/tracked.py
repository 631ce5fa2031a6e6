"""Runs that have ended, given to trackers: settings, curve, figures, a picture, the folder."""

import contextlib
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from siamese_mnist.errors import UsageError
from siamese_mnist.runs.frame import flat_figures, flat_settings
from siamese_mnist.runs.store import RunResult, read_history, read_run, read_scores
from siamese_mnist.tracking import TRACKERS, Tracker
from siamese_mnist.visualisation import figures


class TrackingError(UsageError):
    """A tracker that failed; the run itself is as it was."""


def track(run: RunResult | str | Path, *names: str) -> None:
    """Gives a run that has ended to trackers, such as "tensorboard" and "mlflow".

    Those that keep files do so in a folder of their own name beside the run's.

    Args:
        run: the run, or its folder.
        *names: in `TRACKERS`.

    Raises:
        UsageError: if a tracker is unknown, or its package is missing; no tracker has started then.
        TrackingError: if a tracker fails.
        RunError: if a file of the run is missing or damaged.
    """
    result = run if isinstance(run, RunResult) else read_run(run)
    track_with(make_trackers(names, Path(result.run_dir).parent), result)


def make_trackers(names: Sequence[str], runs_dir: str | Path) -> dict[str, Tracker]:
    """Trackers by name, ready for runs of a folder; nothing is written yet.

    Raises:
        UsageError: if a name is unknown, or a tracker's package is missing.
    """
    return {name: TRACKERS[name](Path(runs_dir) / name) for name in names}


def track_with(trackers: dict[str, Tracker], result: RunResult) -> None:
    """Gives a run to each of the trackers, to all of them even if one fails.

    Raises:
        TrackingError: if some fail; it names them.
        RunError: if a file of the run is missing or damaged.
    """
    picture = _picture(result) if trackers else b""
    failures = []
    for name, tracker in trackers.items():
        try:
            _give(tracker, result, picture)
        # A tracker is another's program, with files or a server of its own: it can raise anything.
        except Exception as error:
            with contextlib.suppress(Exception):
                tracker.end(failed=True)
            failures.append(f"{name} ({type(error).__name__}: {' '.join(str(error).split())})")
    if failures:
        raise TrackingError(f"{result.run_dir} is complete, but was not tracked by {'; '.join(failures)}")


def _give(tracker: Tracker, result: RunResult, picture: bytes) -> None:
    folder = Path(result.run_dir)
    tracker.start(folder.name, flat_settings(result.config))
    for update, values in _points(folder):
        tracker.point(update, values)
    numbers = {name: value for name, value in flat_figures(result).items() if isinstance(value, int | float)}
    tracker.figures({name: float(value) for name, value in numbers.items()})
    tracker.picture("scores", picture)
    tracker.artifact(folder)
    tracker.end()


def _points(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The curve of phase 2, update by update, without what was not measured."""
    history = read_history(folder)
    for update in range(len(history["loss"])):
        values = {name: float(column[update]) for name, column in history.items()}
        yield update + 1, {name: value for name, value in values.items() if math.isfinite(value)}


def _picture(result: RunResult) -> bytes:
    """Histograms of the test scores, as PNG."""
    columns = read_scores(result.run_dir)
    figure = figures.score_histograms(columns["score"].astype(np.float64), columns["same"], result.decision.threshold)
    png = io.BytesIO()
    figure.savefig(png, format="png")
    return png.getvalue()
