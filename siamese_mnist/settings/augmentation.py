"""How strongly training images are distorted, as a frozen value."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from siamese_mnist.errors import UsageError
from siamese_mnist.settings.fields import check_fields, fields_of, setting

_PANEL = "Distortions"


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strengths of the distortions of `siamese_mnist.data.augmentation.distort`; 0 switches one off."""

    rotate: float = setting(0.0, "Largest rotation, in degrees.", panel=_PANEL, at_least=0)
    scale: float = setting(0.0, "Largest relative change of width and of height.", panel=_PANEL, at_least=0, below=1)
    shear: float = setting(0.0, "Largest shear.", panel=_PANEL, at_least=0)
    shift: float = setting(0.0, "Largest translation in x and in y, in pixels.", panel=_PANEL, at_least=0)
    elastic: float = setting(
        0.0, "Standard deviation of a smooth random displacement, in pixels.", panel=_PANEL, at_least=0
    )
    stroke: float = setting(
        0.0, "Largest blend towards thicker or thinner strokes.", panel=_PANEL, at_least=0, at_most=1
    )
    blur: float = setting(0.0, "Largest blend towards a blurred image.", panel=_PANEL, at_least=0, at_most=1)

    def __post_init__(self) -> None:
        check_fields(self)

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def changed(self, strengths: Mapping[str, Any]) -> Self:
        """The same with other strengths.

        Raises:
            UsageError: if a name is unknown or a strength out of range.
        """
        known = fields_of(type(self))
        for name in strengths:
            if name not in known:
                raise UsageError(f"unknown distortion {name!r}; use {', '.join(known)}")
        return replace(self, **strengths)
