"""Independent parts of a training pass side by side, forwards and backwards, each on one core."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from siamese_mnist.system.threads import together

T = TypeVar("T")


def side_by_side(
    work: Callable[[T], Tensor], pieces: Sequence[T], owned: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, ...]:
    """What `work` makes of every piece.

    Args:
        work: maps a piece to a tensor.
        pieces: one or more.
        owned: the parameters that each piece needs, all of which take gradients; there are gradients of these alone.
    """
    return cast(tuple[Tensor, ...], _SideBySide.apply(work, pieces, owned, *itertools.chain.from_iterable(owned)))


class _SideBySide(torch.autograd.Function):
    """Parameters are inputs, so that these get the gradients; one that several pieces need gets their sum."""

    @staticmethod
    def forward(
        context: Any, work: Callable[[T], Tensor], pieces: Sequence[T], owned: Any, *_parameters: Tensor
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            context.found = together(work, pieces)
        context.owned = owned
        return tuple(each.detach() for each in context.found)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        parts = list(zip(context.found, context.owned, gradients, strict=True))
        found = together(lambda part: _gradients(*part), parts)
        return None, None, None, *itertools.chain.from_iterable(found)


def _gradients(made: Tensor, parameters: Sequence[Tensor], gradient: Tensor) -> tuple[Tensor, ...]:
    """Gradients of parameters from that of what was made of them.

    Given as a factor: PyTorch loads its symbolic algebra where a gradient is given, which takes half a second.
    """
    with torch.enable_grad():
        return torch.autograd.grad((made * gradient).sum(), parameters)
