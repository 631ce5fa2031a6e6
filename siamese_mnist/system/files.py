"""Files and folders that appear whole or not at all, and files of other hands, read with care."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unfinished(place: Path) -> Iterator[Path]:
    """Gives a path to write a file or a folder to, which takes its place at the end.

    It lies in a hidden folder beside `place`. If anything fails, that folder goes, and `place` stays as it was.

    Args:
        place: where the file or folder belongs; its parent is made if missing. A file that is there is replaced.

    Raises:
        OSError: if it cannot be written, or `place` is a folder that is not empty.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=place.parent, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / place.name
        yield path
        path.replace(place)


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
