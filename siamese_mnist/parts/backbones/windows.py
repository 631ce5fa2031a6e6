"""An affine block and the max pooling after it, as one matrix product per pooling window.

With fixed batch-norm statistics and no activation, what a block makes of a 2x2 pooling window is an affine function of
the 5x5 pixels that its three 2x2 convolutions see there: one large product, where convolutions of few channels leave
most of a processor idle. At the right and bottom border, where zeros come in between the convolutions, the windows see
fewer pixels and have matrices of their own.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SEEN = 5  # pixels along a side that a window inside the image depends on


class PooledWindows:
    """Computes `max_pool2d(block(x), 2)`, channels last.

    Args:
        block: affine map of (N, C, H, W) to (N, F, H, W), of three 2x2 convolutions padded by zeros at the right and
            bottom, in float64.
        channels: C.
        size: H and W, at least 2.
        device: where it computes; `block` itself is on the CPU.
    """

    def __init__(self, block: nn.Module, channels: int, size: tuple[int, int], device: torch.device) -> None:
        rows, columns = (_bands(side) for side in size)
        self._parts: list[tuple[_Band, _Band, Tensor, Tensor]] = []
        for row in rows:
            for column in columns:
                matrix, bias = _matrix(block, channels, row.seen, column.seen)
                self._parts.append((row, column, matrix.to(device), bias.to(device)))
        self._windows = (size[0] // 2, size[1] // 2)

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, H, W, C) to (N, H // 2, W // 2, F)."""
        x = F.pad(x, (0, 0, 0, 1, 0, 1)).contiguous()
        image, line, pixel, _ = x.stride()
        pooled = x.new_empty(len(x), *self._windows, len(self._parts[0][3]) // 4)
        for row, column, matrix, bias in self._parts:
            windows = x.as_strided(
                (len(x), row.count, column.count, row.seen, column.seen * x.shape[3]),
                (image, 2 * line, 2 * pixel, line, 1),
                2 * row.start * line + 2 * column.start * pixel,
            )
            corners = torch.addmm(bias, windows.reshape(-1, len(matrix)), matrix).unflatten(1, (4, -1))
            a, b, c, d = corners.unbind(1)
            found = torch.maximum(torch.maximum(a, b), torch.maximum(c, d))
            place = pooled[:, row.start : row.start + row.count, column.start : column.start + column.count]
            place.copy_(found.view_as(place))
        return pooled


@dataclass(frozen=True)
class _Band:
    """Windows along one side that see equally many pixels."""

    start: int
    count: int
    seen: int


def _bands(side: int) -> list[_Band]:
    last = side // 2 - 1
    return [*([_Band(0, last, _SEEN)] if last else []), _Band(last, 1, side - 2 * last)]


def _matrix(block: nn.Module, channels: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What one pixel of each channel adds to the four corners of a window, and what they are without any."""
    count = height * width * channels
    pixels = torch.cat([torch.zeros(1, count), torch.eye(count)]).double()
    images = pixels.view(-1, height, width, channels).permute(0, 3, 1, 2)
    answers = block(images)[:, :, :2, :2].permute(0, 2, 3, 1).flatten(1)
    return (answers[1:] - answers[0]).float(), answers[0].float()
