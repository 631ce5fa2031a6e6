"""Damaged runs, named once each on stderr."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from siamese_mnist_cli.tables import tell


def name_skipped(skipped: Iterable[Any]) -> None:
    """Prints one line for each `runs.store.Skipped`."""
    for each in skipped:
        tell(f"skipped: {each.reason}")


def name_skipped_below(runs_dir: Path) -> None:
    """Prints one line for each damaged run below a folder; see `runs.store.scan_runs`."""
    from siamese_mnist.runs.store import scan_runs

    name_skipped(scan_runs(runs_dir, whole=True).skipped)


def name_skipped_before(variant: str | None, runs_dir: Path) -> None:
    """Prints one line for each damaged run on the way to the newest of a variant; see `runs.store.find_newest`."""
    from siamese_mnist.runs.store import find_newest

    name_skipped(find_newest(variant, runs_dir).skipped)


def located(name: str | None, runs_dir: Path) -> Path:
    """The run or bundle that a user means, see `inference.saved.locate`; damaged runs on the way are named."""
    from siamese_mnist.inference.saved import locate

    if name is None or not os.path.lexists(name):
        name_skipped_before(name, runs_dir)
    return locate(name, runs_dir)
