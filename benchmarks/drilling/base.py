"""A drill, what it works with, and the command as it ends."""

import os
import pwd
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from siamese_mnist.data import load_dataset

LIMIT_SECONDS = 20.0
LIMIT_BYTES = 2 << 30
TINY = "train_pairs=640,test_pairs=300,pretrain_epochs=0,epochs=1,curve=false"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Failure = str | None  # what went wrong in a try, in one line


@dataclass(frozen=True)
class Place:
    """What drills work with: a folder of their own, chance, and a folder with a good run of each design."""

    folder: Path
    rng: random.Random
    runs: Path
    timed: bool  # whether it counts how long answers take; not in short, which runs beside other tests


class Drill(NamedTuple):
    """Something that may befall the program: every item is a try, and None where it went well."""

    name: str
    tries: int  # in full
    few: int  # in short
    seconds: int  # that it takes in full, about
    run: Callable[[Place], Iterator[Failure]]  # without end, or ends with its last kind


class Done(NamedTuple):
    """How a command ended."""

    status: int | None  # None: it had to be stopped
    out: str
    err: str
    seconds: float
    peak_bytes: int


def forked(words: Sequence[str | Path], folder: Path, limit: float = LIMIT_SECONDS, *, nobody: bool = False) -> Done:
    """Runs the command in a child of this process, which has imported what is slow to import.

    Args:
        words: of the command.
        folder: for what it prints.
        limit: seconds after which it is stopped.
        nobody: whether it is run as the user of that name, which only root can ask for.
    """
    out, err = folder / "stdout", folder / "stderr"
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(words, out, err, nobody=nobody)
    stopped = False
    while not (ended := os.wait4(child, os.WNOHANG))[0]:
        if time.monotonic() - start > limit and not stopped:
            os.killpg(child, signal.SIGKILL)
            stopped = True
        time.sleep(0.005)
    status = None if stopped else os.waitstatus_to_exitcode(ended[1])
    texts = [path.read_bytes().decode("utf-8", "surrogateescape") for path in (out, err)]
    return Done(status, *texts, time.monotonic() - start, ended[2].ru_maxrss * 1024)


def _become(words: Sequence[str | Path], out: Path, err: Path, *, nobody: bool) -> None:
    """Turns a forked child into the command; does not return."""
    status = 70
    try:
        os.setsid()
        for path, number in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if nobody:
            entry = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        from siamese_mnist_cli.main import main

        main([os.fspath(word) for word in words])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def trouble(done: Done, statuses: Sequence[int] = (0, 1, 2)) -> Failure:
    """What is wrong with how a command ended, or None."""
    if done.status is None:
        return f"not ended after {done.seconds:.0f} s"
    if "Traceback" in done.err:
        return f"a traceback: {done.err.strip().splitlines()[-1]}"
    if done.status not in statuses:
        return f"status {done.status}: {done.err.strip()[-200:]!r}"
    if done.peak_bytes > LIMIT_BYTES:
        return f"a peak of {done.peak_bytes >> 20} MiB"
    if found := _CONTROL.search(done.out + done.err):
        return f"the control character {found[0]!r} reaches the terminal"
    if re.search(r"\bnan\b", done.out, re.IGNORECASE):
        return "NaN in the output"
    return None


def digit_files(folder: Path) -> list[Path]:
    """Two digits as image files."""
    images = load_dataset("mnist-tenth").test.images[:2, 0].numpy()
    paths = [folder / f"{number}.png" for number in range(2)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def started(words: Sequence[str | Path]) -> subprocess.Popen[str]:
    """The command as a program of a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "siamese_mnist_cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def members(group: int) -> list[int]:
    """Living processes of a group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(path.parent.name))
    return found


def survivors(group: int, seconds: float = 5.0) -> list[int]:
    """Processes of a group that live after some seconds; they are ended then."""
    end = time.monotonic() + seconds
    while (left := members(group)) and time.monotonic() < end:
        time.sleep(0.05)
    for number in left:
        os.kill(number, signal.SIGKILL)
    return left


def until(state: Callable[[], object], seconds: float) -> bool:
    """Waits for a state, for some seconds at most; whether it came."""
    end = time.monotonic() + seconds
    while not state():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
