"""Both halves of a batch side by side, each on one core and with batch statistics of its own."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.system.threads import together

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and variance (C,) of every batch norm."""


class _Piece(NamedTuple):
    member: nn.Sequential
    x: Tensor  # (n, C, H, W)


def halved(members: Sequence[nn.Sequential], x: Tensor, *, beside: bool) -> Tensor:
    """Features of a training batch, of which every batch norm sees the even and the odd images apart.

    Both halves are of the same classes where a batch is sorted by class. Running statistics move once, to the mean of
    the halves', so that they do not depend on which is done first.

    Args:
        members: networks in which batch norms alone have buffers.
        x: images (N, C, H, W), at least 2.
        beside: whether the halves are computed at once; gradients are of all parameters then, and not of `x`.

    Returns:
        (N, F), the members' means over all places, concatenated.
    """
    pieces = [_Piece(member, x[start::2]) for member in members for start in range(2)]
    if beside:
        statistics: list[Statistics] = []
        parameters = [each for member in members for each in member.parameters()]
        found = _Pieces.apply(pieces, statistics, *parameters)
    else:
        both = [_forward(piece) for piece in pieces]
        found, statistics = [features for features, _ in both], [each for _, each in both]
    for number, member in enumerate(members):
        _note(member, statistics[2 * number : 2 * number + 2])
    features = [_in_turn(*found[start : start + 2]) for start in range(0, len(found), 2)]
    return torch.cat(features, 1)


class _Pieces(torch.autograd.Function):
    """Pieces side by side, in both directions; parameters are inputs, so that these get the gradients."""

    @staticmethod
    def forward(
        context: Any, pieces: list[_Piece], statistics: list[Statistics], *_parameters: Tensor
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            found = together(_forward, pieces)
        context.found = [features for features, _ in found]
        context.owned = [list(piece.member.parameters()) for piece in pieces]
        statistics += [each for _, each in found]
        return tuple(features.detach() for features in context.found)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        parts = list(zip(context.found, context.owned, gradients, strict=True))
        found = together(lambda part: gradients_of(*part), parts)
        halves = zip(found[::2], found[1::2], strict=True)
        return None, None, *(one + other for both in halves for one, other in zip(*both, strict=True))


def gradients_of(features: Tensor, parameters: Sequence[Tensor], gradient: Tensor) -> tuple[Tensor, ...]:
    """Gradients of parameters from the features' gradient.

    Given as a factor: PyTorch loads its symbolic algebra where a gradient is given, which takes half a second.
    """
    with torch.enable_grad():
        return torch.autograd.grad((features * gradient).sum(), parameters)


def _forward(piece: _Piece) -> tuple[Tensor, Statistics]:
    x = piece.x
    statistics: Statistics = []
    for layer in piece.member:
        if isinstance(layer, nn.BatchNorm2d):
            mean, variance = layer.weight.new_zeros(2, layer.num_features)
            x = F.batch_norm(x, mean, variance, layer.weight, layer.bias, training=True, momentum=1.0, eps=layer.eps)
            statistics.append((mean, variance))
        else:
            x = layer(x)
    return x.mean((2, 3)), statistics


@torch.no_grad()
def _note(member: nn.Sequential, halves: list[Statistics]) -> None:
    norms = [layer for layer in member if isinstance(layer, nn.BatchNorm2d)]
    for norm, first, second in zip(norms, *halves, strict=True):
        for kept, one, other in zip((norm.running_mean, norm.running_var), first, second, strict=True):
            cast(Tensor, kept).lerp_((one + other) / 2, cast(float, norm.momentum))
        cast(Tensor, norm.num_batches_tracked).add_(1)


def _in_turn(even: Tensor, odd: Tensor) -> Tensor:
    features = even.new_empty(len(even) + len(odd), even.shape[1])
    features[::2], features[1::2] = even, odd
    return features
