"""Ctrl-C and SIGTERM: one line, the right exit status, nothing half-written, whenever they come."""

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn

_MOST_SECONDS = 3.0  # that putting things in order may take
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_UNSAID = "ignore:resource_tracker:UserWarning"
_alarm = -1

received: int | None = None
"""The signal that ends this program, once it has come."""


def install() -> None:
    """Lets both signals end the program by `KeyboardInterrupt`, or at once where that would not do.

    It would not do while modules are imported, some of which answer it with errors of their own; when the first signal
    is already being answered; and inside a destructor, which Python lets swallow it. Nothing needs to be put in order
    then: what is unfinished lies in a hidden folder that the next command removes, and workers end with their parent.
    """
    global _alarm
    ears, _alarm = os.pipe()
    # A thread of old: one that the handler started would wait for ever where the program was just starting another.
    threading.Thread(target=_insist, args=(ears,), daemon=True).start()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _answer)
    sys.unraisablehook = _unraisable
    # The process in which joblib keeps count of semaphores is told not to list those that a killed worker held.
    given = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = f"{given},{_UNSAID}" if given else _UNSAID


def finish() -> None:
    """Lets a signal that comes from now on end the program at once."""
    for number in _SIGNALS:
        if signal.getsignal(number) is _answer:
            signal.signal(number, _stop)


def stop(number: int) -> NoReturn:
    """Ends this process with one line, by a signal's exit status."""
    os.write(2, b"siamese-mnist: interrupted; finished runs are kept, nothing else was written\n")
    os._exit(128 + number)


def _answer(number: int, frame: FrameType | None) -> None:
    global received
    if received is not None or _importing(frame):
        stop(number)
    received = number
    os.write(_alarm, bytes([number]))
    raise KeyboardInterrupt


def _insist(ears: int) -> None:
    """Ends the program some seconds after the signal, whatever it is doing."""
    (number,) = os.read(ears, 1)
    time.sleep(_MOST_SECONDS)
    stop(number)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    stop(number)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _unraisable(unraisable: Any) -> None:
    if received is not None and issubclass(unraisable.exc_type, KeyboardInterrupt):
        stop(received)
    sys.__unraisablehook__(unraisable)
