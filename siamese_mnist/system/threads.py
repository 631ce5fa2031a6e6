"""How many threads compute, and independent pieces of work side by side, each on one core.

Where many small operations are run on pieces that do not depend on each other, this is faster than splitting every
operation over all cores, as its threads never wait for each other.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch

R = TypeVar("R")
T = TypeVar("T")

RUN_THREADS = 1
"""Threads of every training: sums are added in another order with another number of threads, and the figures change
with it, so the number must not depend on the program around a run, nor on how many runs are trained at once. Small
operations split over threads also wait for each other most of the time where another program wants the cores too."""


_outer_threads: ContextVar[int | None] = ContextVar("_outer_threads", default=None)


def cores() -> int:
    """How many independent pieces are worked on at once: PyTorch's threads, before `threads` took any away."""
    return max(_outer_threads.get() or 1, torch.get_num_threads())


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Lets each of PyTorch's operations compute with `count` threads for a while; `cores` stay as they were."""
    before = torch.get_num_threads()
    token = _outer_threads.set(cores())
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _outer_threads.reset(token)


@contextmanager
def without_subnormals() -> Iterator[None]:
    """Takes numbers below 1e-38 for zero in this thread and those that it starts.

    Adam's moments of weights without gradients decay into such numbers, with which a processor is many times slower.
    """
    before = not bool(torch.full((1,), 1e-38).mul_(0.1))
    torch.set_flush_denormal(True)
    _HELPERS.dismiss()
    try:
        yield
    finally:
        _HELPERS.dismiss()
        torch.set_flush_denormal(before)


class Lane:
    """A second thread for work in pieces that follow each other, each with one thread; to be used in a `with` block.

    The caller does other pieces meanwhile. Without a core for it, the caller's own thread does all.
    """

    def __enter__(self) -> "Lane":
        self._before = torch.get_num_threads()
        self._started: list[Future[None]] = []
        self._pool = None
        if cores() > 1:
            self._pool = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            torch.set_num_threads(self._before)

    def start(self, work: Callable[..., None], *arguments: Any) -> Future[None]:
        """Has work done after what was started before, on tensors that need no gradients."""
        if self._pool is not None:
            started = self._pool.submit(work, *arguments)
        else:
            work(*arguments)
            started = Future()
            started.set_result(None)
        self._started.append(started)
        return started

    def wait(self) -> None:
        """Returns when all that was started is done."""
        for each in self._started:
            each.result()
        self._started = []


class _Helpers(threading.local):
    """Threads that wait for the calling thread's work: new ones for every call would begin with cold memory."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._made_for = (0, 0)

    def of(self, count: int) -> ThreadPoolExecutor:
        if self._pool is None or self._made_for != (os.getpid(), count):  # a forked process has no threads
            self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
            self._made_for = os.getpid(), count
        return self._pool

    def dismiss(self) -> None:
        self._pool = None


_HELPERS = _Helpers()


def together(work: Callable[[T], R], pieces: Sequence[T]) -> list[R]:
    """Results of `work` on every piece, on all `cores`, each with one thread; gradients and autocast as outside."""
    graded, cast = torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
    kind = torch.get_autocast_dtype("cpu")
    before = torch.get_num_threads()

    def alone(piece: T) -> R:
        # A thread of its own begins with PyTorch's defaults.
        with torch.set_grad_enabled(graded), torch.autocast("cpu", kind, enabled=cast, cache_enabled=False):
            return work(piece)

    last = len(pieces) - 1
    helpers = min(cores() - 1, last)
    waiting = [_HELPERS.of(helpers).submit(alone, piece) for piece in pieces] if helpers > 0 else []
    try:
        torch.set_num_threads(1)
        # This thread takes from the end what no helper has begun.
        own = {at: alone(pieces[at]) for at in range(last, -1, -1) if not waiting or waiting[at].cancel()}
        return [own[at] if at in own else waiting[at].result() for at in range(last + 1)]
    finally:
        wait([each for each in waiting if not each.cancelled()])
        torch.set_num_threads(before)


def for_each(work: Callable[[T], None], pieces: Iterable[T]) -> None:
    """Calls `work` on every piece without gradients, on all `cores`, each piece with one thread; one alone with all."""
    pieces = list(pieces)
    with torch.no_grad():
        if len(pieces) == 1:
            work(pieces[0])
        else:
            together(work, pieces)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, each made while the one before is in use, where there is a core for that."""
    if cores() == 1:
        yield from items
        return
    before = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = pool.submit(next, items, None)
        while (item := waiting.result()) is not None:
            torch.set_num_threads(before)
            waiting = pool.submit(next, items, None)
            yield item
