"""What a tracker is: it gets plain data of runs that have ended, and can change nothing of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from siamese_mnist.errors import UsageError

Setting = bool | int | float | str | None
"""A value of a setting."""


class Tracker(ABC):
    """Keeps runs elsewhere, one after another: `start`, any of the others in any order, `end`.

    Nothing is written before the first `start`.

    Args:
        folder: of the tracker's own, beside the runs; for those that keep files. It may not exist yet.

    Raises:
        UsageError: if it cannot work, since a package is missing for example.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def start(self, name: str, settings: Mapping[str, Setting]) -> None:
        """Begins a run.

        Args:
            name: of the run's folder.
            settings: by their names in an entry, such as "loss" or "backbone.blocks".
        """

    @abstractmethod
    def point(self, update: int, values: Mapping[str, float]) -> None:
        """Takes a point of the curve; called with rising updates of phase 2, from 1.

        Args:
            update: number of the update.
            values: finite, by name, such as "loss" or "validation_accuracy".
        """

    @abstractmethod
    def figures(self, values: Mapping[str, float]) -> None:
        """Takes the run's figures and costs, finite, by name, such as "accuracy" or "same/recall"."""

    @abstractmethod
    def picture(self, name: str, png: bytes) -> None:
        """Takes a picture in the format PNG."""

    @abstractmethod
    def artifact(self, folder: Path) -> None:
        """Takes the folder of the run; it is to be copied or named, and stays as it is."""

    @abstractmethod
    def end(self, *, failed: bool = False) -> None:
        """Ends the run, after a failure too; then all of it can be read by others."""


def require(tracker: str, package: str) -> None:
    """Raises UsageError, with the mend, if the package of a tracker is missing."""
    if find_spec(package) is None:
        raise UsageError(f"the tracker {tracker} needs {package}; pip install 'siamese-mnist[{tracker}]'")
