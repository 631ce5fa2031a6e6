"""An affine block and the max pooling after it, as one convolution.

With fixed batch-norm statistics and no activation, three 2x2 convolutions are one 4x4 convolution and an offset of
every place. The offsets differ at the right and bottom border only, where zeros come in between the convolutions.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from siamese_mnist.parts.backbones.pooling import corner_kernels, corners, highest

_SIDE = 4  # of the kernel that three 2x2 kernels make
_REGISTER = 16  # filters that fill a vector register


class Affine(Protocol):
    """Three affine 2x2 convolutions, padded by zeros at the right and bottom.

    Maps (N, C, H, W) to (N, F, H, W), or to (N, C + F, H, W) if it is residual: its input comes first then.
    """

    residual: bool

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to what the convolutions make of it."""


class PooledAffine:
    """Computes `max_pool2d(block(x), 2)`.

    Where there are too few filters to fill a register, the four corners of every window are computed by four times as
    many filters.

    Args:
        block: in float64, on the CPU.
        channels: C.
        size: H and W, at least 2.
        device: where it computes.
    """

    def __init__(self, block: Affine, channels: int, size: tuple[int, int], device: torch.device) -> None:
        self._residual = block.residual
        made = channels if block.residual else 0  # the first channel that the convolutions make
        kernel = _kernel(block, channels)[made:]
        offset = block(torch.zeros(1, channels, *size, dtype=torch.float64))[0, made:]
        self._by_corners = len(kernel) % _REGISTER != 0
        if self._by_corners:
            kernel = corner_kernels(kernel)
            offset = torch.cat(corners(offset))
        self._kernel, self._offset = (each.float().to(device).contiguous() for each in (kernel, offset))

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, F or C + F, H // 2, W // 2)."""
        padded = F.pad(x, (0, _SIDE - 1, 0, _SIDE - 1))
        found = F.conv2d(padded, self._kernel, stride=2 if self._by_corners else 1).add_(self._offset)
        pooled = highest(found.chunk(4, 1) if self._by_corners else corners(found))
        return torch.cat([highest(corners(x)), pooled], 1) if self._residual else pooled


def _kernel(block: Affine, channels: int) -> Tensor:
    """The weights (F, C, 4, 4) of one convolution that does what the three do, away from the border."""
    last, size = _SIDE - 1, 2 * _SIDE - 1
    pixels = torch.zeros(1 + channels, channels, size, size, dtype=torch.float64)
    pixels[1:, :, last, last] = torch.eye(channels)
    answers = block(pixels)[:, :, :_SIDE, :_SIDE]
    return (answers[1:] - answers[0]).flip(2, 3).transpose(0, 1)
