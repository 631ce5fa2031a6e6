"""Corruptions of images in three grades, after the kinds of MNIST-C (Mu and Gilmer 2019, arXiv 1906.02337).

A corruption maps images uint8 (N, C, H, W), a severity from 1 to `SEVERITIES` and a generator to new images of the same
shape. Sizes are relative to the images' height.
"""

import io
import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SEVERITIES = 3

Corruption = Callable[[Tensor, int, torch.Generator], Tensor]


def noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Adds Gaussian noise of standard deviation 20, 50 or 90."""
    deviation = (20, 50, 90)[severity - 1]
    return _bytes(images.float() + deviation * torch.randn(images.shape, generator=generator))


def blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Gaussian blur; in 28 pixels its standard deviation is 0.7, 1.4 or 2.1."""
    from torchvision.transforms.v2.functional import gaussian_blur

    sigma = images.shape[2] * severity / 40
    blurred: Tensor = gaussian_blur(images, 2 * math.ceil(2 * sigma) + 1, sigma)
    return blurred


def occlusion(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Covers a square somewhere with middle grey, of 15, 30 or 45 % of the height."""
    count, _, height, width = images.shape
    side = max(1, round(0.15 * severity * height))
    tops, lefts = (
        torch.randint(max(1, length - side + 1), (count, 1, 1, 1), generator=generator) for length in (height, width)
    )
    row, column = torch.arange(height).view(-1, 1), torch.arange(width)
    inside = (row >= tops) & (row < tops + side) & (column >= lefts) & (column < lefts + side)
    return images.masked_fill(inside, 128)


def rotation(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Turns each image by 15, 30 or 45 degrees to the left or to the right."""
    angle = math.radians(15 * severity) * _signs(len(images), generator)
    zero = torch.zeros_like(angle)
    height, width = images.shape[2:]
    skew = height / width
    rows = (
        torch.stack([angle.cos(), -angle.sin() * skew, zero], 1),
        torch.stack([angle.sin() / skew, angle.cos(), zero], 1),
    )
    return _resampled(images, torch.stack(rows, 1))


def shift(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Moves each image by 7, 14 or 21 % of its height in a random direction."""
    direction = 2 * math.pi * torch.rand(len(images), generator=generator)
    moved = 2 * 0.07 * severity * torch.stack([direction.cos(), direction.sin()], 1)
    kept = torch.eye(2).expand(len(images), 2, 2)
    return _resampled(images, torch.cat([kept, moved[:, :, None]], 2))


def thickness(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Blends each image by 1/3, 2/3 or wholly with its 3 x 3 dilation or erosion."""
    plain = images.float()
    thick, thin = F.max_pool2d(plain, 3, 1, 1), -F.max_pool2d(-plain, 3, 1, 1)
    thicker = _signs(len(images), generator).view(-1, 1, 1, 1) > 0
    return _bytes(plain.lerp(torch.where(thicker, thick, thin), severity / 3))


def contrast(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Brings each image's tones nearer to their mean: 60, 35 or 15 % of the distance stay."""
    plain = images.float()
    return _bytes(plain.mean((1, 2, 3), keepdim=True).lerp(plain, (0.6, 0.35, 0.15)[severity - 1]))


def jpeg(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Compresses each image as JPEG of quality 30, 12 or 4."""
    quality = (30, 12, 4)[severity - 1]
    return torch.from_numpy(np.stack([_compressed(image, quality) for image in images.numpy()])).view(images.shape)


CORRUPTIONS: Mapping[str, Corruption] = {
    each.__name__: each for each in (noise, blur, occlusion, rotation, shift, thickness, contrast, jpeg)
}
"""All corruptions by name."""


def corrupt(name: str, images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Images uint8 (N, C, H, W), each corrupted by a draw of its own.

    Args:
        name: in `CORRUPTIONS`.
        images: uint8 (N, C, H, W).
        severity: from 1 to `SEVERITIES`.
        generator: source of randomness, on the CPU.

    Raises:
        ValueError: if the name or the severity is unknown.
    """
    if name not in CORRUPTIONS or not 1 <= severity <= SEVERITIES:
        raise ValueError(f"no corruption {name!r} of severity {severity}; known: {', '.join(CORRUPTIONS)}, 1 to 3")
    return CORRUPTIONS[name](images, severity, generator)


def _resampled(images: Tensor, transform: Tensor) -> Tensor:
    """Images under affine maps (N, 2, 3); what comes in from outside continues the border."""
    grid = F.affine_grid(transform, list(images.shape), align_corners=False)
    return _bytes(F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False))


def _compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """One image (C, H, W) through a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)).save(file, "JPEG", quality=quality)
    pixels = np.asarray(Image.open(file))
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def _signs(count: int, generator: torch.Generator) -> Tensor:
    """(N,) float, +1 or -1."""
    return 2.0 * torch.randint(2, (count,), generator=generator) - 1


def _bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).byte()
