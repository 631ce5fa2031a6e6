"""Independent pieces of work side by side, each on one core.

Where many small operations are run on pieces that do not depend on each other, this is faster than splitting every
operation over all cores, as its threads never wait for each other.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def for_each(work: Callable[[T], None], pieces: Iterable[T]) -> None:
    """Calls `work` on every piece without gradients, in as many threads as PyTorch uses, with one core each."""
    threads = torch.get_num_threads()

    def alone(piece: T) -> None:
        with torch.no_grad():
            work(piece)

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(alone, pieces):
                pass
    finally:
        torch.set_num_threads(threads)
