"""Adam on PyTorch's fused kernel.

PyTorch's own optimizer classes load its compiler when the first one is made, which takes as long as a sixth of a fast
training. This calls the same kernel; a test holds it to `torch.optim.AdamW` bit by bit. The kernel is not part of
PyTorch's public interface: where a version lacks it, `torch.optim.AdamW` does the work.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

_EPSILON = 1e-7  # Keras's default, which the report used
_KERNELS = ("_fused_adamw_", "_foreach_add_")


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
        self._public: torch.optim.AdamW | None = None
        if self.parameters and not all(hasattr(torch, name) for name in _KERNELS):
            self._public = torch.optim.AdamW(
                self.parameters,
                lr=learning_rate,
                betas=(0.9, beta2),
                eps=_EPSILON,
                weight_decay=weight_decay,
            )
            return
        self._first = [torch.zeros_like(each) for each in self.parameters]
        self._second = [torch.zeros_like(each) for each in self.parameters]
        self._steps = [torch.zeros((), device=each.device) for each in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Moves every parameter that has a gradient, then forgets the gradients."""
        if self._public is not None:
            for group in self._public.param_groups:
                group["lr"] = self.learning_rate
            self._public.step()
            self._public.zero_grad()
            return
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
            eps=_EPSILON,
            maximize=False,
        )
        for each in self.parameters:
            each.grad = None
