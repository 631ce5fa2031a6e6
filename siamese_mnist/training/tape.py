"""What every update leaves behind, in few tensors: thousands of small ones take tens of megabytes."""

import torch
from torch import Tensor

_TOGETHER = 256


class Tape:
    """Keeps a tensor of every update."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._joined: list[Tensor] = []
        self._last: list[Tensor] = []

    def add(self, values: Tensor) -> None:
        """Keeps values (n,), or a scalar as one."""
        values = values.detach().reshape(-1)
        self._sizes.append(len(values))
        self._last.append(values)
        if len(self._last) == _TOGETHER:
            self._joined.append(torch.cat(self._last))
            self._last = []

    def all(self) -> Tensor:
        """The values of all updates in a row."""
        kept = [*self._joined, *self._last]
        return torch.cat(kept) if kept else torch.empty(0)

    def updates(self) -> list[Tensor]:
        """The values of every update."""
        return list(self.all().split(self._sizes))
