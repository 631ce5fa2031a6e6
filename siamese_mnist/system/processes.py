"""Worker processes that end with the process that asked for them, and are not hit by its Ctrl-C."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from siamese_mnist.system.owners import Owner

_LOOK_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # of Linux' prctl.h
_watched: set[Owner] = set()


def end_with(asker: Owner) -> None:
    """Lets this process end when another one of this machine does, at once if that has ended already.

    Linux sees to it for a child of the asker; elsewhere, and where the child was started by others, a thread looks.

    Args:
        asker: the process that this one works for; nothing happens if it is this one, or on another machine.
    """
    if not asker.here or asker.pid == os.getpid() or asker in _watched:
        return
    _watched.add(asker)
    if sys.platform == "linux" and os.getppid() == asker.pid:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if not asker.running:
        os._exit(1)
    threading.Thread(target=_watch, args=(asker,), daemon=True).start()


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back for a moment; processes started in it never see it, and are ended by their parent."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(asker: Owner) -> None:
    while asker.running:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
