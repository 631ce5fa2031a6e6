"""Random distortions of image batches, as tensor operations."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from siamese_mnist.errors import UsageError

_FIELD = 5  # nodes per side of the elastic displacement field


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strengths of the distortions; 0 switches one off.

    Every image gets its own random draw. Geometric distortions are combined into one bilinear resampling.

    Attributes:
        rotate: largest rotation, in degrees.
        scale: largest relative change of width and of height.
        shear: largest shear.
        shift: largest translation in x and in y, in pixels.
        elastic: standard deviation of a smooth random displacement (after Simard et al. 2003), in pixels.
        stroke: largest blend towards a 3x3 dilation or erosion, in [0, 1]; it makes strokes thicker or thinner.
    """

    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    elastic: float = 0.0
    stroke: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not 0 <= value < math.inf:
                raise UsageError(f"augmentation {each.name} must be >= 0, got {value}")
        if self.scale >= 1 or self.stroke > 1:
            raise UsageError(f"augmentation scale must be < 1 and stroke <= 1, got {self.scale} and {self.stroke}")

    @classmethod
    def of(cls, strengths: Mapping[str, float]) -> Self:
        """The distortions of these names and strengths.

        Raises:
            UsageError: if a name is unknown or a strength out of range.
        """
        for name in strengths:
            if name not in cls.__dataclass_fields__:
                raise UsageError(f"unknown distortion {name!r}; use {', '.join(cls.__dataclass_fields__)}")
        return cls(**strengths)

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))

    def __call__(self, images: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
        """Distorts a batch.

        Args:
            images: (N, C, H, W) float; all channels of an image are distorted alike.
            generator: source of randomness, on the CPU.
            strength: factor on all strengths, in [0, 1].

        Returns:
            (N, C, H, W) float.
        """
        if not self or strength == 0:
            return images

        def uniform(*shape: int) -> Tensor:
            return strength * (2 * torch.rand(*shape, generator=generator) - 1)

        count, _, height, width = images.shape
        angle, shear = uniform(count) * math.radians(self.rotate), uniform(count) * self.shear
        scale_x, scale_y = 1 + uniform(count) * self.scale, 1 + uniform(count) * self.scale
        shift_x, shift_y = uniform(count) * self.shift * 2 / width, uniform(count) * self.shift * 2 / height
        cos, sin = angle.cos(), angle.sin()
        matrix = torch.stack(
            [
                *(cos * scale_x, (shear * cos - sin) * scale_y, shift_x),
                *(sin * scale_x, (shear * sin + cos) * scale_y, shift_y),
            ],
            1,
        ).view(count, 2, 3)
        grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
        if self.elastic:
            nodes = torch.randn(count, 2, _FIELD, _FIELD, generator=generator)
            nodes *= strength * self.elastic * 2 / torch.tensor([width, height]).view(1, 2, 1, 1)
            field = F.interpolate(nodes, size=(height, width), mode="bicubic", align_corners=True)
            grid = grid + field.permute(0, 2, 3, 1)
        images = F.grid_sample(images, grid.to(images.device), align_corners=False)
        if self.stroke:
            blend = uniform(count, 1, 1, 1).to(images.device) * self.stroke
            thicker, thinner = _extreme(images, torch.maximum), _extreme(images, torch.minimum)
            images = images + blend.clamp(min=0) * (thicker - images) - blend.clamp(max=0) * (thinner - images)
        return images


def _extreme(images: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Separable 3x3 maximum or minimum; several times faster than max pooling on small images."""
    padded = F.pad(images, (1, 1, 1, 1))
    rows = pick(pick(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:])
    return pick(pick(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])
