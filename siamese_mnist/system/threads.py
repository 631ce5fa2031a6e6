"""How many threads compute, and independent pieces of work side by side, each on one core.

Where many small operations are run on pieces that do not depend on each other, this is faster than splitting every
operation over all cores, as its threads never wait for each other.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")

RUN_THREADS = 1
"""Threads of every training: sums are added in another order with another number of threads, and the figures change
with it, so the number must not depend on the program around a run, nor on how many runs are trained at once. Small
operations split over threads also wait for each other most of the time where another program wants the cores too."""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Lets PyTorch compute with `count` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def for_each(work: Callable[[T], None], pieces: Iterable[T]) -> None:
    """Calls `work` on every piece without gradients, in as many threads as PyTorch uses, with one core each."""
    cores = torch.get_num_threads()

    def alone(piece: T) -> None:
        with torch.no_grad():
            work(piece)

    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(alone, pieces):
                pass
    finally:
        torch.set_num_threads(cores)
