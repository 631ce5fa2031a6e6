"""A data set: where labelled images come from."""

import math
from pathlib import Path

import torch
from torch import Tensor

import siamese_mnist as sm

_SIZE, _HALF_WIDTH = 28, 1.5
_TRAINING, _TEST = 100, 50  # images of every class


def load_bars(root: Path | None = None, download: bool = False, *, angles: int = 8) -> sm.Dataset:
    """Bars of different slopes, drawn when they are asked for; a class is a slope.

    Args:
        root: not used; a loader that reads files looks for them there.
        download: not used; a loader that fetches files does so only if this is True.
        angles: number of slopes.

    Raises:
        UsageError: if there are fewer than two slopes.
    """
    if angles < 2:
        raise sm.UsageError(f"angles must be >= 2, got {angles}")
    generator = torch.Generator().manual_seed(0)
    train, test = (_draw(angles, count, generator) for count in (_TRAINING, _TEST))
    return sm.Dataset(train, test, tuple(f"{180 * number / angles:.0f} degrees" for number in range(angles)))


def _draw(angles: int, count: int, generator: torch.Generator) -> sm.LabeledImages:
    """`count` noisy bars of each slope, at random places: images (N, 1, 28, 28), labels (N,)."""
    labels = torch.arange(angles).repeat(count)
    angle = (labels * math.pi / angles).view(-1, 1, 1)
    offset, noise = (torch.randn(len(labels), *shape, generator=generator) for shape in ((1, 1), (_SIZE, _SIZE)))
    y, x = torch.meshgrid(*2 * [torch.arange(_SIZE) - _SIZE / 2], indexing="ij")
    distance: Tensor = (x * angle.sin() - y * angle.cos() + 3 * offset).abs()
    light = (_HALF_WIDTH + 0.5 - distance).clamp(0, 1) + 0.1 * noise
    return sm.LabeledImages((255 * light.clamp(0, 1)).byte().unsqueeze(1), labels)
