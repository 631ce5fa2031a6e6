"""The `siamese-mnist` program: how it starts, how errors reach the user, how it ends."""

import contextlib
import ctypes
import gc
import os
import sys
from typing import Any, NoReturn

from siamese_mnist_cli import signals

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_OBJECTS = 50_000  # new ones between two looks for garbage; with Python's 700, imports are looked at a thousand times
_INTERRUPTED = 130  # the status with which Typer answers Ctrl-C


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command; a user's mistake ends in one line on stderr and exit status 2.

    Args:
        arguments: words of the command; None takes the program's own, and answers signals as a program does.
    """
    _tune_process()
    if arguments is None:
        signals.install()  # before anything heavy is imported
        gc.set_threshold(_OBJECTS)
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away; Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # a full disk behind stdout
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        named = "the output" if error.filename is None else repr(os.fsdecode(error.filename))
        _fail(f"{named} cannot be used ({error.strerror or error}); name another place", 2)
    signals.finish()
    if arguments is None:
        gc.freeze()  # Python would look through all that is left once more, only to leave it to the system
    sys.exit(status)


def _run(arguments: list[str] | None) -> int:
    """The command's exit status, its mistakes told; errors of the system come through."""
    words = sys.argv[1:] if arguments is None else arguments
    if any("\0" in word for word in words):
        _fail("a word of the command holds a NUL character; leave it out", 2)
    try:
        from siamese_mnist_cli.app import app

        status = app(arguments, standalone_mode=False) or 0
    except (OSError, KeyboardInterrupt):  # Ctrl-C comes this far while Typer is still reading the commands
        _end_if_interrupted()
        raise
    except Exception as error:
        _end_if_interrupted()
        if hasattr(error, "format_message"):  # Typer's own usage errors
            message = error.format_message().rstrip(".")
            _fail(f"{message}{_given(error, words)} (--help shows the usage)", 2)
        from siamese_mnist.errors import UsageError

        if isinstance(error, UsageError):
            _fail(str(error), error.status)
        raise
    _end_if_interrupted()
    if status == _INTERRUPTED:
        _fail("interrupted; finished runs are kept, nothing else was written", _INTERRUPTED)
    return int(status)


def _end_if_interrupted() -> None:
    """Ends without what Python does at exit, which would wait for workers and answer no second signal."""
    if signals.received is not None:
        signals.stop(signals.received)


def _given(error: Any, words: list[str]) -> str:
    """The refused value of an option, which Typer's messages leave out."""
    names = getattr(getattr(error, "param", None), "opts", ())
    if not str(error.format_message()).startswith("Invalid value"):
        return ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in names:
            return f", got {(value if equals else following)!r}"
    return ""


def _fail(message: str, status: int) -> NoReturn:
    from siamese_mnist.system.text import printable

    line = printable(" ".join(message.split()))
    print(f"siamese-mnist: {line}", file=sys.stderr)
    sys.exit(status)


def _tune_process() -> None:
    """Settings of this process that PyTorch is faster with; they have to come before it is imported.

    Waiting OpenMP threads spin for long by default, which costs several times the time where other programs want the
    cores too. And glibc gives large blocks back to the system at once, so that every batch pays for fresh pages; only
    the largest, which are not a batch's, still go back.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
            libc.mallopt(_M_MMAP_THRESHOLD, 1 << 25)
