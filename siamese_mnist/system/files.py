"""Files and folders that appear whole or not at all, and files of other hands, read with care."""

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from siamese_mnist.system.owners import Owner, is_gone

CLAIM_PREFIX = ".claim-"
_PREFIX = ".unfinished-"


@contextmanager
def unfinished(place: Path) -> Iterator[Path]:
    """Gives a path to write a file or a folder to, which takes its place at the end.

    It lies in a hidden folder beside `place`, see `workspace`. If anything fails, `place` stays as it was.

    Args:
        place: where the file or folder belongs; its parent is made if missing. A file that is there is replaced.

    Raises:
        OSError: if it cannot be written, or `place` is a folder that is not empty, a device or a pipe.
    """
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise OSError(errno.EINVAL, "it is no regular file", str(place))  # renaming would put a file in its place
    with workspace(place.parent) as folder:
        path = folder / place.name
        yield path
        path.replace(place)


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """Gives a hidden folder of this process within `parent`, which is made if missing; it goes at the end.

    What a process that was killed left there goes at the start. The folder's name tells its owner, so that there is no
    moment at which it has none.

    Raises:
        OSError: if nothing can be written to `parent`.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{Owner.this()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_folder(folder: Path) -> None:
    """Makes sure, before any work, that files can be written to a folder, which is made if missing.

    Raises:
        OSError: if not.
    """
    with workspace(folder) as place, (place / "probe").open("wb") as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fsync(file.fileno())


def sweep(parent: Path) -> None:
    """Removes what processes that are gone left unfinished or claimed in a folder; that of others stays."""
    with suppress(OSError):
        for path in parent.iterdir():
            for prefix in (_PREFIX, CLAIM_PREFIX):
                owner = Owner.parse(path.name.removeprefix(prefix).partition("-")[0])
                if path.name.startswith(prefix) and is_gone(owner, path):
                    _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def read_regular(path: Path, limit: int) -> bytes:
    """Content of a regular file of at most `limit` bytes; a pipe, a device or a folder is refused without waiting.

    Raises:
        OSError: if it cannot be opened or read.
        ValueError: if it is no regular file, or larger than `limit`.
    """
    # Opening a pipe or a terminal would wait for its other side.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no regular file")
        content = file.read(limit + 1) if status.st_size <= limit else b""
        if max(status.st_size, len(content)) > limit:
            raise ValueError(f"it is larger than {limit:,} bytes")
    return content
