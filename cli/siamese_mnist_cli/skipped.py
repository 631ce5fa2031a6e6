"""Damaged runs, named once each on stderr."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def name_skipped(skipped: Iterable[Any]) -> None:
    """Prints one line for each `runs.store.Skipped`."""
    for each in skipped:
        print(f"siamese-mnist: skipped: {' '.join(each.reason.split())}", file=sys.stderr)


def name_skipped_below(runs_dir: Path, *, whole: bool = False) -> None:
    """Prints one line for each damaged run below a folder; see `runs.store.scan_runs`."""
    from siamese_mnist.runs.store import scan_runs

    name_skipped(scan_runs(runs_dir, whole=whole).skipped)


def located(name: str, runs_dir: Path) -> Path:
    """The run or bundle that a user means, see `inference.verifier.locate`; damaged runs on the way are named."""
    from siamese_mnist.inference.verifier import locate

    if not os.path.lexists(name):
        name_skipped_below(runs_dir)
    return locate(name, runs_dir)
