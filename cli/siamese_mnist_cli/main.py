"""The `siamese-mnist` command: its commands, and how errors reach the user."""

import contextlib
import ctypes
import os
import sys
from typing import Any, NoReturn

import typer

from siamese_mnist_cli import audit, bundling, compare, demo, evaluate, listing, predict, report, run

app = typer.Typer(
    name="siamese-mnist",
    help="Siamese metric-learning variants on MNIST pairs: train, compare, use.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="run")(run.run)
app.command(name="compare")(compare.compare)
app.command(name="evaluate")(evaluate.evaluate)
app.command(name="audit")(audit.audit)
app.command(name="report")(report.report)
app.command(name="figures")(report.figures)
app.command(name="predict")(predict.predict)
app.command(name="demo")(demo.demo)
app.command(name="bundle")(bundling.bundle)
app.command(name="export")(bundling.export)
app.command(name="list")(listing.list_parts)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_INTERRUPTED = 130  # the status with which Typer answers Ctrl-C


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command; a user's mistake ends in one line on stderr and exit status 2."""
    _tune_process()
    try:
        status = app(arguments, standalone_mode=False) or 0
        if status == _INTERRUPTED:
            _fail("interrupted; finished runs are kept, nothing else was written", _INTERRUPTED)
        sys.exit(status)
    except BrokenPipeError:
        # The reader went away; Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's own usage errors
            message = error.format_message().rstrip(".")
            _fail(f"{message}{_given(error, arguments or sys.argv[1:])} (--help shows the usage)", 2)
        from siamese_mnist.errors import UsageError

        if isinstance(error, UsageError):
            _fail(str(error), 2)
        raise


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
    line = " ".join(message.split())
    print(f"siamese-mnist: {line}", file=sys.stderr)
    sys.exit(status)


def _tune_process() -> None:
    """Settings of this process that PyTorch is faster with; they have to come before it is imported.

    Waiting OpenMP threads spin for long by default, which costs several times the time where other programs want the
    cores too. And glibc gives large blocks back to the system at once, so that every batch pays for fresh pages.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
                libc.mallopt(parameter, 1 << 30)
