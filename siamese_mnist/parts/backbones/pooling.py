"""2x2 max pooling by its corners: PyTorch's goes from window to window, which few channels leave slow."""

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

_TINY = 1e-37  # less than any difference
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (down, right) of a window


def corners(x: Tensor) -> list[Tensor]:
    """The four values (..., H // 2, W // 2) in every window of (..., H, W)."""
    height, width = (side // 2 * 2 for side in x.shape[-2:])
    return [x[..., down:height:2, right:width:2] for down, right in _CORNERS]


def corner_kernels(kernel: Tensor) -> Tensor:
    """Kernels (4 F, C, K + 1, K + 1) that give, with stride 2, what a kernel (F, C, K, K) gives at the four corners."""
    return torch.cat([F.pad(kernel, (right, 1 - right, down, 1 - down)) for down, right in _CORNERS])


def highest(values: Sequence[Tensor]) -> Tensor:
    """The highest of the four values of every window, without gradients."""
    a, b, c, d = values
    return torch.maximum(torch.maximum(a, b), torch.maximum(c, d))


def highest_corner(x: Tensor) -> Tensor:
    """The highest of four values (N, 4 F, H, W): (N, F, H, W). As in `max_pool2d`, the first of equals is chosen."""
    return cast(Tensor, _Highest.apply(x))


class _Highest(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        found = highest(x.chunk(4, 1))
        context.save_for_backward(x, found)
        return found

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        x, found = context.saved_tensors
        left = gradients[0].contiguous()
        slope = torch.empty_like(x)
        for value, target in zip(x.chunk(4, 1), slope.chunk(4, 1), strict=True):
            # Where the value is not the highest, zero: `left * (value == found)` in a third of the time.
            torch.ops.aten.threshold_backward.grad_input(left, value - found, -_TINY, grad_input=target)
            left = left - target
        return slope
