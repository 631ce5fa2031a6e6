"""Convolutions and batch norms in turn without activation, in training, with written-out gradients.

A batch norm multiplies every channel by a number and adds one. Here the next convolution's weights and offsets take
both, so that nothing but what the convolutions give, less its mean, is ever computed for every place; and the sums over
all places that the gradients of a batch norm need follow from the gradients of the convolution after it. A test holds
values, gradients and statistics to `torch.nn.Conv2d`, `torch.nn.BatchNorm2d` and autograd.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.parts.backbones.norm import FewChannelsNorm

_TOGETHER = 8  # places that are taken for one, so that few channels fill a vector register
_NUMBERS = 4  # tensors of a layer: weights, offsets, and the norm's


def in_training(x: Tensor, convs: Sequence[nn.Conv2d], norms: Sequence[FewChannelsNorm]) -> Tensor:
    """Maps (N, C, H, W) to (N, F, H, W) by 2x2 convolutions padded by zeros at the right and bottom, a norm after each.

    The norms are in training mode, and keep their moving statistics.
    """
    layers = [
        tensor
        for conv, norm in zip(convs, norms, strict=True)
        for tensor in (conv.weight, conv.bias, norm.weight, norm.bias)
    ]
    out, *statistics = cast(tuple[Tensor, ...], _Normed.apply(x, norms[0].eps, *layers))
    for norm, mean, variance in zip(norms, statistics[::2], statistics[1::2], strict=True):
        norm.track(mean, variance, out.numel() // out.shape[1])
    return out


class _Passed(NamedTuple):
    """What a layer leaves for its gradients."""

    inputs: Tensor  # (N, C, H + 1, W + 1), what the layer before gave, less its mean
    scale: Tensor  # (C,) by which the norm before multiplies them
    shift: Tensor  # (C,) that it adds
    centred: Tensor  # (N, F, H, W), what the convolution gave, less its mean
    inverse: Tensor  # (F,) 1 / standard deviation


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, eps: float, *layers: Tensor) -> tuple[Tensor, ...]:
        centred = _channels_last(x)
        scale, shift = x.new_ones(x.shape[1]), x.new_zeros(x.shape[1])
        statistics, passed = [], []
        for start in range(0, len(layers), _NUMBERS):
            weight, bias, gain, offset = layers[start : start + _NUMBERS]
            inputs = F.pad(centred, (0, 1, 0, 1))
            centred = _convolved(inputs, weight, bias, scale, shift)
            before, scale_before, shift_before = inputs, scale, shift
            mean = _rows(centred).mean(0).view(-1, len(bias)).mean(0)
            _rows(centred).sub_(_repeated(mean, centred))
            variance = _rows(centred).square().mean(0).view(-1, len(bias)).mean(0)
            inverse = (variance + eps).rsqrt()
            scale, shift = gain * inverse, offset
            statistics += [mean, variance]
            passed.append(_Passed(before, scale_before, shift_before, centred, inverse))
        out = torch.empty_like(centred)
        torch.addcmul(_repeated(shift, out), _rows(centred), _repeated(scale, out), out=_rows(out))
        context.save_for_backward(*layers, *(tensor for each in passed for tensor in each))
        context.count = len(layers)
        context.mark_non_differentiable(*statistics)
        return out, *statistics

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        layers, kept = context.saved_tensors[: context.count], context.saved_tensors[context.count :]
        found: list[Tensor] = []
        slope = _channels_last(gradients[0])  # of what the norm gives
        size = len(_Passed._fields)
        last = kept[-2]
        total = _rows(slope).sum(0).view(-1, slope.shape[1]).sum(0)
        along = (_rows(slope) * _rows(last)).sum(0).view(-1, slope.shape[1]).sum(0)
        for number in reversed(range(context.count // _NUMBERS)):
            weight, _, gain, _ = layers[_NUMBERS * number : _NUMBERS * (number + 1)]
            inputs, scale, shift, centred, inverse = _Passed(*kept[size * number : size * (number + 1)])
            places = centred.numel() // centred.shape[1]
            of_norm = [along * inverse, total]
            error = torch.empty_like(centred)
            factor = gain * inverse
            torch.addcmul(
                _repeated(-factor * total / places, centred),
                _rows(slope),
                _repeated(factor, centred),
                out=_rows(error),
            ).addcmul_(_rows(centred), _repeated(-factor * inverse.square() * along / places, centred))
            raw = _weight_gradient(error, inputs, weight)
            seen = _sums_seen(error)
            found = [raw * scale[:, None, None] + seen[:, None] * shift[:, None, None], seen[:, 0, 0], *of_norm, *found]
            if number or context.needs_input_grad[0]:
                slope = _channels_last(F.conv2d(F.pad(error, (1, 0, 1, 0)), weight.transpose(0, 1).flip(2, 3)))
                total, along = ((weight * sums).sum((0, 2, 3)) for sums in (seen[:, None], raw))
        return slope if context.needs_input_grad[0] else None, None, *found


def _convolved(inputs: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The convolution of `scale * inputs + shift`, where `inputs` (N, C, H + 1, W + 1) are padded by zeros."""
    taps = (weight * shift[:, None, None]).sum(1)  # (F, 2, 2), what the shift adds by every tap
    out = _channels_last(F.conv2d(inputs, weight * scale[:, None, None], bias + taps.sum((1, 2))))
    places = out.permute(0, 2, 3, 1)
    places[:, :, -1].sub_(taps[:, :, 1].sum(1))  # where padding is seen, there is no shift
    places[:, -1].sub_(taps[:, 1].sum(1))
    places[:, -1, -1].add_(taps[:, 1, 1])
    return out


def _weight_gradient(error: Tensor, inputs: Tensor, weight: Tensor) -> Tensor:
    found: Tensor = torch.ops.aten.convolution_backward(
        error, inputs, weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1, (False, True, False)
    )[1]
    return found


def _sums_seen(error: Tensor) -> Tensor:
    """Sums (F, 2, 2) of errors (N, F, H, W) over all places where a tap sees no padding."""
    sums = error.permute(0, 2, 3, 1).sum(0)  # (H, W, F)
    of_rows = torch.stack([sums.sum(0), sums[:-1].sum(0)])  # (2, W, F)
    return torch.stack([of_rows.sum(1), of_rows[:, :-1].sum(1)], 1).permute(2, 0, 1)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _rows(x: Tensor) -> Tensor:
    """(N, C, H, W), channels last, as rows of the channels of several places."""
    return x.permute(0, 2, 3, 1).view(-1, x.shape[1] * _together(x))


def _repeated(values: Tensor, x: Tensor) -> Tensor:
    """Values of every channel (C,), for as many places as are in a row."""
    return values.expand(_together(x), -1).reshape(-1)


def _together(x: Tensor) -> int:
    return math.gcd(x.numel() // x.shape[1], _TOGETHER)
