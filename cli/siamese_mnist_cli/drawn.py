"""Pictures that a command writes: their place is checked before the work, and they are written whole or not at all."""

from pathlib import Path
from typing import Any


def checked_picture(place: Path, option: str = "--output") -> Path:
    """The place of a picture; raises UsageError, which names the option, where it cannot be one."""
    from siamese_mnist.errors import UsageError

    if place.suffix not in (".png", ".svg"):
        raise UsageError(f"{option} must be a .png or .svg file, got {place}")
    if not place.parent.is_dir():
        raise UsageError(f"{option} must be in a folder that exists, got {place}")
    return place


def write_picture(figure: Any, place: Path, *, dark: bool = False) -> None:
    """Writes a Matplotlib figure to a place that was checked."""
    from siamese_mnist.system.files import unfinished
    from siamese_mnist.visualisation.figures import save

    with unfinished(place) as path:
        save(figure, path, dark=dark)
