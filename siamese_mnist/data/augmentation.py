"""Random distortions of image batches, as tensor operations."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_FIELD = 5  # nodes per side of the elastic displacement field


def distort(
    images: Tensor,
    generator: torch.Generator,
    *,
    rotate: float = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
    shift: float = 0.0,
    elastic: float = 0.0,
    stroke: float = 0.0,
    blur: float = 0.0,
    strength: float = 1.0,
) -> Tensor:
    """Distorts a batch, every image by a random draw of its own; a strength of 0 switches a distortion off.

    Geometric distortions are combined into one bilinear resampling.

    Args:
        images: (N, C, H, W) float; all channels of an image are distorted alike.
        generator: source of randomness, on the CPU.
        rotate: largest rotation, in degrees.
        scale: largest relative change of width and of height, in [0, 1).
        shear: largest shear.
        shift: largest translation in x and in y, in pixels.
        elastic: standard deviation of a smooth random displacement (after Simard et al. 2003), in pixels.
        stroke: largest blend towards a 3x3 dilation or erosion, in [0, 1]; it makes strokes thicker or thinner.
        blur: largest blend towards the image blurred by two 3x3 means, in [0, 1]; so do images of fewer pixels look.
        strength: factor on all of them, in [0, 1].

    Returns:
        (N, C, H, W) float.
    """
    if strength == 0 or not any((rotate, scale, shear, shift, elastic, stroke, blur)):
        return images

    def uniform(*shape: int) -> Tensor:
        return strength * (2 * torch.rand(*shape, generator=generator) - 1)

    def moved(values: Tensor) -> Tensor:
        return values.to(images.device, non_blocking=True)  # a GPU does not wait for it

    count, _, height, width = images.shape
    angle, slant = uniform(count) * math.radians(rotate), uniform(count) * shear
    scale_x, scale_y = 1 + uniform(count) * scale, 1 + uniform(count) * scale
    shift_x, shift_y = uniform(count) * shift * 2 / width, uniform(count) * shift * 2 / height
    cos, sin = angle.cos(), angle.sin()
    matrix = torch.stack(
        [
            *(cos * scale_x, (slant * cos - sin) * scale_y, shift_x),
            *(sin * scale_x, (slant * sin + cos) * scale_y, shift_y),
        ],
        1,
    ).view(count, 2, 3)
    grid = F.affine_grid(moved(matrix), list(images.shape), align_corners=False)
    if elastic:
        nodes = torch.randn(count, 2, _FIELD, _FIELD, generator=generator)
        nodes *= strength * elastic * 2 / torch.tensor([width, height]).view(1, 2, 1, 1)
        field = F.interpolate(moved(nodes), size=(height, width), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1)
    images = F.grid_sample(images, grid, align_corners=False)
    if stroke:
        blend = moved(uniform(count, 1, 1, 1)) * stroke
        thicker, thinner = _extreme(images, torch.maximum), _extreme(images, torch.minimum)
        images = images + blend.clamp(min=0) * (thicker - images) - blend.clamp(max=0) * (thinner - images)
    if blur:
        blend = moved(strength * torch.rand(count, 1, 1, 1, generator=generator)) * blur
        images = images + blend * (_softened(images) - images)
    return images


def _softened(images: Tensor) -> Tensor:
    """Two 3x3 means, which are one mean of 5x5 weights; several times faster than average pooling on small images."""
    padded = F.pad(images, (2, 2, 2, 2), mode="replicate")
    rows = padded[..., 2:-2] * 3 + (padded[..., 1:-3] + padded[..., 3:-1]) * 2 + padded[..., :-4] + padded[..., 4:]
    outer = rows[..., :-4, :] + rows[..., 4:, :]
    return (rows[..., 2:-2, :] * 3 + (rows[..., 1:-3, :] + rows[..., 3:-1, :]) * 2 + outer) / 81


def _extreme(images: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Separable 3x3 maximum or minimum; several times faster than max pooling on small images."""
    padded = F.pad(images, (1, 1, 1, 1))
    rows = pick(pick(padded[..., :-2], padded[..., 1:-1]), padded[..., 2:])
    return pick(pick(rows[..., :-2, :], rows[..., 1:-1, :]), rows[..., 2:, :])
