"""Runs given to trackers, none of which can cost a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from siamese_mnist_cli.tables import tell


def ready(names: Sequence[str] | None, runs_dir: Path) -> dict[str, Any]:
    """The trackers that were asked for; a mistake shows here, before any training."""
    if not names:
        return {}
    from siamese_mnist.visualisation.tracked import make_trackers

    return make_trackers(names, runs_dir)


def give(trackers: dict[str, Any], run: Any) -> None:
    """Gives a run to the trackers; one that fails costs a line on stderr."""
    if not trackers:
        return
    from siamese_mnist.errors import UsageError
    from siamese_mnist.visualisation.tracked import track_with

    try:
        track_with(trackers, run)
    except UsageError as error:
        tell(str(error))
