"""Batch norm of few channels.

PyTorch computes it channel by channel where the channels come last, which leaves most of a vector register empty with
the report's six channels and takes a third of phase 1. Here several places are taken for one, so that the register is
full. A test holds values, gradients and moving statistics to `torch.nn.BatchNorm2d`.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

_TOGETHER = 8  # places that are taken for one


class FewChannelsNorm(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`, faster on few channels in the memory format channels-last."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to (N, C, H, W)."""
        usual = not self.training or not x.is_contiguous(memory_format=torch.channels_last)
        usual = usual or x.dtype != self.weight.dtype  # as under autocast
        if usual:
            return super().forward(x)
        normed, mean, variance = cast(tuple[Tensor, Tensor, Tensor], _Normed.apply(x, self.weight, self.bias, self.eps))
        self.track(mean, variance, x.numel() // x.shape[1])
        return normed

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor, places: int) -> None:
        """Moves the moving statistics, if any, towards those of a batch (C,), whose variance is that of all its places.

        Without a momentum they are the mean over all batches, as `torch.nn.BatchNorm2d` has it.
        """
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (places / max(1, places - 1)), share)


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        rows = _rows(x)
        mean = rows.mean(0)
        centred = _together(rows, x) - _repeated(mean, x)
        variance = (centred * centred).view(rows.shape).mean(0)
        scale = (variance + eps).rsqrt()
        normed = torch.addcmul(_repeated(bias, x), centred, _repeated(weight * scale, x))
        context.save_for_backward(centred, weight, scale)
        context.mark_non_differentiable(mean, variance)
        return _places(normed, x), mean, variance

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        centred, weight, scale = context.saved_tensors
        x = gradients[0].contiguous(memory_format=torch.channels_last)
        rows = _rows(x)
        mean = rows.mean(0)
        along = (_together(rows, x) * centred).view(rows.shape).mean(0)
        found = torch.addcmul(_repeated(-mean * weight * scale, x), _together(rows, x), _repeated(weight * scale, x))
        found.addcmul_(centred, _repeated(-along * weight * scale**3, x))
        count = len(rows)
        return _places(found, x), along * scale * count, mean * count, None


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W), channels last, as (N H W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _together(rows: Tensor, x: Tensor) -> Tensor:
    return rows.view(-1, len(_repeated(rows[0], x)))


def _repeated(values: Tensor, x: Tensor) -> Tensor:
    """Values of every channel (C,), for as many places as are taken together."""
    return values.repeat(math.gcd(x.numel() // x.shape[1], _TOGETHER))


def _places(rows: Tensor, x: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    return rows.view(count, height, width, channels).permute(0, 3, 1, 2)
