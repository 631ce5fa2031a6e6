"""Whether a picture is as light as the images that a model was trained on: dark on light shows where it is unusual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# Standard deviations: at most 3.9 on held-out images of mnist-tenth and glyphs, at least 8 on the same inverted.
_FAR = 6.0
_LEAST_DEVIATION = 1 / 255
_AT_A_TIME = 1024  # images as floats


@dataclass(frozen=True)
class Brightness:
    """Mean brightness of training images.

    Attributes:
        mean: over all images, in [0, 1].
        deviation: standard deviation of the images' own means.
    """

    mean: float
    deviation: float

    @classmethod
    def of(cls, images: Tensor) -> Self:
        """That of images (N, C, H, W) uint8."""
        import torch

        means = torch.cat([part.double().mean((1, 2, 3)) / 255 for part in images.split(_AT_A_TIME)])
        return cls(float(means.mean()), float(means.std(correction=0)))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self | None:
        """What a run's or bundle's `config.json` keeps under `brightness`; None where it is of before.

        Raises:
            ValueError: if it is not a mean and a deviation in [0, 1].
        """
        kept = config.get("brightness")
        if kept is None:
            return None
        numbers = [kept[name] for name in ("mean", "deviation")]
        if not all(isinstance(each, int | float) and 0 <= each <= 1 for each in numbers):
            raise ValueError(f"brightness must be mean and deviation in [0, 1], got {kept!r}")
        return cls(*map(float, numbers))

    def remark(self, image: NDArray[np.uint8]) -> str | None:
        """What is odd about an image of any shape, in words; None if nothing is."""
        found = float(image.mean()) / 255
        if abs(found - self.mean) <= _FAR * max(self.deviation, _LEAST_DEVIATION):
            return None
        kind = "lighter" if found > self.mean else "darker"
        return f"much {kind} than the training images (mean {found:.2f}, theirs {self.mean:.2f})"
