"""Claims: of several programs that share a folder of runs, on one machine or many, one trains each setting.

A claim is an empty file beside the runs whose name tells what is claimed and by which process. Whoever wants a run
makes a claim and then looks: where it sees another one whose owner lives, it takes its own back. Two that look at the
same time both see each other, so that never two go on. Nothing is ever taken from anybody, and what an ended process
left is nobody's. All that is asked of the folder is that a file which one machine has made is seen by another that
makes one afterwards and lists the folder, which NFS, SMB and cluster file systems give.
"""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from siamese_mnist.system.files import CLAIM_PREFIX
from siamese_mnist.system.owners import SILENT_SECONDS, Owner, is_gone

_BEAT_SECONDS = SILENT_SECONDS / 10


@contextlib.contextmanager
def claim(runs_dir: Path, name: str) -> Iterator[Owner | None]:
    """Claims a run for as long as the context lasts.

    Gives None where it is claimed, else the owner of the claim that stands in the way.

    Args:
        runs_dir: folder of all runs, made if missing.
        name: the run's name, see `run_name`.

    Raises:
        OSError: if nothing can be written to the folder.
    """
    runs_dir.mkdir(parents=True, exist_ok=True)
    mine = runs_dir / f"{CLAIM_PREFIX}{Owner.this()}-{secrets.token_hex(4)}-{name}"
    mine.touch(exist_ok=False)
    try:
        other = _other_owner(mine, name)
        if other is not None:
            mine.unlink(missing_ok=True)
            yield other
            return
        with _beating(mine):
            yield None
    finally:
        mine.unlink(missing_ok=True)


def _other_owner(mine: Path, name: str) -> Owner | None:
    """Who else claims the run and lives; claims of those who do not are removed."""
    for path in mine.parent.glob(f"{CLAIM_PREFIX}*-{name}"):
        owner, _, rest = path.name.removeprefix(CLAIM_PREFIX).partition("-")
        if path == mine or rest.partition("-")[2] != name:
            continue
        parsed = Owner.parse(owner)
        if not is_gone(parsed, path):
            return parsed
        path.unlink(missing_ok=True)
    return None


@contextlib.contextmanager
def _beating(path: Path) -> Iterator[None]:
    """Shows to other machines that this process lives."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                path.touch()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
