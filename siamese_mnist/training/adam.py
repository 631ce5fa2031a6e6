"""Adam on PyTorch's fused kernel.

PyTorch's own optimizer classes load its compiler when the first one is made, which takes as long as a sixth of a fast
training. This calls the same kernel; a test holds it to `torch.optim.AdamW` bit by bit.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Adam:
    """Adam with decoupled weight decay (Kingma and Ba 2015, Loshchilov and Hutter 2019).

    Args:
        parameters: what is trained.
        learning_rate: step size, > 0; may be changed between steps.
        beta2: decay of the second moment, in (0, 1).
        weight_decay: decoupled weight decay, >= 0.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, learning_rate: float, beta2: float = 0.999, weight_decay: float = 0.0
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self._beta2 = beta2
        self._weight_decay = weight_decay
        self._first = [torch.zeros_like(each) for each in self.parameters]
        self._second = [torch.zeros_like(each) for each in self.parameters]
        self._steps = [torch.zeros((), device=each.device) for each in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Moves every parameter that has a gradient, then forgets the gradients."""
        moved = [number for number, each in enumerate(self.parameters) if each.grad is not None]
        if not moved:
            return
        steps = [self._steps[number] for number in moved]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            [self.parameters[number] for number in moved],
            [self.parameters[number].grad for number in moved],  # type: ignore[misc]
            [self._first[number] for number in moved],
            [self._second[number] for number in moved],
            [],
            steps,
            amsgrad=False,
            lr=self.learning_rate,
            beta1=0.9,
            beta2=self._beta2,
            weight_decay=self._weight_decay,
            eps=1e-7,  # Keras's default, which the report used
            maximize=False,
        )
        for each in self.parameters:
            each.grad = None
