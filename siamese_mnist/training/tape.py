"""What every update leaves behind, in few tensors: thousands of small ones take tens of megabytes."""

from collections.abc import Iterator

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
        """The values of all updates in a row, on the CPU."""
        kept = [*self._joined, *self._last]
        return torch.cat(kept).cpu() if kept else torch.empty(0)

    def updates(self) -> Iterator[Tensor]:
        """The values of every update, one after another: all at once, the tensors would be larger than the values."""
        sizes = iter(self._sizes)
        for block in self._joined:
            yield from block.split([next(sizes) for _ in range(_TOGETHER)])
        yield from self._last

    @property
    def device(self) -> torch.device:
        """Where the values are."""
        kept = self._joined or self._last
        return kept[0].device if kept else torch.device("cpu")

    def __len__(self) -> int:
        return len(self._sizes)
