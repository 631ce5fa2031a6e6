"""Files and folders that appear whole or not at all."""

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
