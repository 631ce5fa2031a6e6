"""Muon: momentum whose filters are made orthogonal, so that every direction of a layer learns equally fast.

PyTorch has it for matrices alone, and as its other optimizer classes it loads a compiler when the first one is made;
a test holds this one to it.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from siamese_mnist.system.threads import for_each
from siamese_mnist.training.adam import Adam

_MOMENTUM = 0.9
_ROOT_MEAN_SQUARE = 0.2  # of an update, about that of Adam's
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon:
    """Muon for filters and matrices, Adam for all else (Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982).

    An update of filters is as large as Adam's, so that both have one step size.

    Args:
        parameters: what is trained; filters (F, C, H, W) are matrices of F rows.
        learning_rate: step size, > 0; may be changed between steps.
        beta2: decay of the second moment of what Adam trains, in (0, 1).
        weight_decay: decoupled weight decay, >= 0.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, learning_rate: float, beta2: float = 0.999, weight_decay: float = 0.0
    ) -> None:
        parameters = list(parameters)
        self.learning_rate = learning_rate
        self._weight_decay = weight_decay
        others = [each for each in parameters if each.ndim < 2]
        self._adam = Adam(others, learning_rate=learning_rate, beta2=beta2, weight_decay=weight_decay)
        self._matrices = [(each, torch.zeros_like(each)) for each in parameters if each.ndim >= 2]

    def step(self) -> None:
        """Moves every parameter that has a gradient, then forgets the gradients."""
        self._adam.learning_rate = self.learning_rate
        self._adam.step()
        for_each(self._move, [pair for pair in self._matrices if pair[0].grad is not None])

    def _move(self, matrix: tuple[Tensor, Tensor]) -> None:
        parameter, momentum = matrix
        gradient = parameter.grad
        assert gradient is not None
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, _MOMENTUM).flatten(1)).view_as(parameter)
        size = _ROOT_MEAN_SQUARE * math.sqrt(max(len(parameter), parameter[0].numel()))
        parameter.mul_(1 - self.learning_rate * self._weight_decay)
        parameter.add_(update, alpha=-self.learning_rate * size)
        parameter.grad = None


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix (A, B) with its singular vectors, and all its singular values near 1.

    Newton and Schulz's iteration with Jordan's coefficients. As every iterate is a polynomial of the Gram matrix times
    the first one, the Gram matrix alone is iterated, which is the smaller one of both sides.
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    first, second, third = _COEFFICIENTS
    matrix = matrix / matrix.norm().clamp(min=1e-7)
    gram = matrix @ matrix.T
    product = None
    for left in reversed(range(_ITERATIONS)):
        factor = torch.addmm(gram, gram, gram, beta=second, alpha=third)
        factor.diagonal().add_(first)
        product = factor if product is None else factor @ product
        if left:
            gram = factor @ gram @ factor
    assert product is not None
    return product @ matrix
