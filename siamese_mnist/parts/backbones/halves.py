"""Both halves of a batch side by side, each on one core and with batch statistics of its own."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.parts.backbones.parallel import side_by_side

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and variance (C,) of every batch norm."""


class _Piece(NamedTuple):
    member: nn.Sequential
    x: Tensor  # (n, C, H, W)
    statistics: Statistics  # of its pass


def halved(members: Sequence[nn.Sequential], seen: Sequence[Tensor], *, beside: bool) -> list[Tensor]:
    """Features of training batches, of which every batch norm sees the even and the odd images apart.

    Both halves are of the same classes where a batch is sorted by class. Running statistics move once, to the mean of
    the halves', so that they do not depend on which is done first.

    Args:
        members: networks in which batch norms alone have buffers.
        seen: images (N, C, H, W) that each member sees, at least 2.
        beside: whether the halves are computed at once; gradients are of all parameters then, and not of images.

    Returns:
        (N, F) of each member, its means over all places.
    """
    pieces = [_Piece(member, x[start::2], []) for member, x in zip(members, seen, strict=True) for start in range(2)]
    found: Sequence[Tensor]
    if beside:
        found = side_by_side(_features, pieces, [list(piece.member.parameters()) for piece in pieces])
    else:
        found = [_features(piece) for piece in pieces]
    for even, odd in zip(pieces[::2], pieces[1::2], strict=True):
        _note(even.member, even.statistics, odd.statistics)
    return [_in_turn(even, odd) for even, odd in zip(found[::2], found[1::2], strict=True)]


def _features(piece: _Piece) -> Tensor:
    x = piece.x
    for layer in piece.member:
        if isinstance(layer, nn.BatchNorm2d):
            mean, variance = layer.weight.new_zeros(2, layer.num_features)
            x = F.batch_norm(x, mean, variance, layer.weight, layer.bias, training=True, momentum=1.0, eps=layer.eps)
            piece.statistics.append((mean, variance))
        else:
            x = layer(x)
    return x.mean((2, 3))


@torch.no_grad()
def _note(member: nn.Sequential, even: Statistics, odd: Statistics) -> None:
    norms = [layer for layer in member if isinstance(layer, nn.BatchNorm2d)]
    for norm, first, second in zip(norms, even, odd, strict=True):
        for kept, one, other in zip((norm.running_mean, norm.running_var), first, second, strict=True):
            cast(Tensor, kept).lerp_((one + other) / 2, cast(float, norm.momentum))
        cast(Tensor, norm.num_batches_tracked).add_(1)


def _in_turn(even: Tensor, odd: Tensor) -> Tensor:
    features = even.new_empty(len(even) + len(odd), even.shape[1])
    features[::2], features[1::2] = even, odd
    return features
