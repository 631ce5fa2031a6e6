"""Which process something on disk belongs to, and whether that process is still there, on this machine or another."""

import os
import platform
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self

SILENT_SECONDS = 600.0
"""After this long without a sign of life an owner on another machine counts as gone."""


@dataclass(frozen=True)
class Owner:
    """A process: its machine since the last start, its number there, and when it started.

    Numbers are given again; with its start a process is told from a later one of the same number.
    """

    machine: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Self:
        """This process."""
        return cls(_machine(), os.getpid(), _started(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The owner that `str(owner)` gave, or None if the text is something else."""
        words = text.split(".")
        if len(words) != 3 or not (words[1].isascii() and words[1].isdigit() and len(words[1]) < 10):
            return None
        return cls(words[0], int(words[1]), words[2])

    def __str__(self) -> str:
        return f"{self.machine}.{self.pid}.{self.started}"

    @property
    def here(self) -> bool:
        """Whether it is, or was, a process of this machine since its start."""
        return self.machine == _machine()

    @property
    def running(self) -> bool:
        """Whether the process lives; only known where it is `here`."""
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # it lives, as another user's
        return self.started == _started(self.pid)


def is_gone(owner: Owner | None, place: Path) -> bool:
    """Whether nobody will finish what lies in `place`.

    Args:
        owner: whose it is; None where nobody knows.
        place: a file or folder; an owner on another machine shows by its time of change that it lives.
    """
    if owner is not None and owner.here:
        return not owner.running
    try:
        return _now_in(place.parent) - place.stat().st_mtime > SILENT_SECONDS
    except OSError:
        return False


def _now_in(folder: Path) -> float:
    """The time by the clock that dates files in a folder: on a shared one, not this machine's."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime


@cache
def _machine() -> str:
    """Name of this machine since its start; containers, which number processes on their own, count as machines."""
    marks = [platform.node()]
    with suppress(OSError):
        marks.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        marks.append(str(Path("/proc/self/ns/pid").readlink()))
    return sha256("\n".join(marks).encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """When a process started, in ticks since the system did; "0" where the system does not tell, or it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "0"
    return "gone" if fields[0] in "ZX" else fields[19]
