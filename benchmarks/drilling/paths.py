"""Names that no file can have, and places where none can be."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from drilling.base import TINY, Drill, Failure, Place, digit_files, forked, trouble
from siamese_mnist.system.text import printable

_DEVICES = (Path("/dev/full"), Path("/dev/null"), Path("/dev/zero"))


def paths(place: Place) -> Iterator[Failure]:
    """Every path that a user can name, in every command that takes one."""
    for words, name in _shuffled(place, _names):
        yield _tried(place, words, name)


def closed_paths(place: Place) -> Iterator[Failure]:
    """Folders and files that refuse the user: root, whom nothing refuses, runs the command as `nobody`."""
    for words, name in _shuffled(place, _closed_names):
        yield _tried(place, words, name, nobody=os.geteuid() == 0)


def _shuffled(place: Place, names: Callable[[Path], Sequence[str | Path]]) -> list[tuple[list[Any], str | Path]]:
    """Every command with every name."""
    pairs = [(words, name) for words in _commands(place) for name in names(place.folder)]
    place.rng.shuffle(pairs)
    return pairs


def _tried(place: Place, words: list[Any], name: str | Path, *, nobody: bool = False) -> Failure:
    given = [name if word is None else word for word in words]
    here = Path(tempfile.mkdtemp(dir=place.folder))
    here.chmod(0o777)
    with contextlib.chdir(here):
        done = forked(given, place.folder, nobody=nobody)
    what = trouble(done, [0, 2])
    lines = [line for line in done.err.splitlines() if not line.startswith(("pair ", "predict: "))]
    if what is None and done.status == 2 and len(lines) != 1:
        what = f"{len(lines)} lines: {done.err[:200]!r}"
    if what is None and not all(device.is_char_device() for device in _DEVICES):
        what = "a file has taken the place of a device"
    return what and f"{printable(' '.join(str(word)[:40] for word in given))}: {what}"


def _commands(place: Place) -> list[list[Any]]:
    """Commands with None where the path belongs."""
    run = next(place.runs.glob("siamese-*"))
    good, _ = digit_files(place.folder)
    return [
        ["predict", None, good, good],
        ["predict", run, None, good],
        ["predict", run, "--pairs", None],
        ["bundle", None, "new"],
        ["bundle", run, None],
        ["export", None],
        ["demo", None, "--no-browser"],
        ["report", None],
        ["report", run, "--output", None],
        ["figures", run, "--output", None],
        ["evaluate", None],
        ["run", f"siamese:{TINY}", "--runs-dir", None],
        ["run", "siamese", "--dataset", "mnist", "--data-dir", None],
        ["compare", f"siamese:{TINY}", "--seeds", "1", "--runs-dir", place.runs, "--csv", None],
    ]


def _names(folder: Path) -> list[str | Path]:
    here = Path(tempfile.mkdtemp(dir=folder))
    os.mkfifo(here / "fifo")
    (here / "file").write_text("mine")
    below = [here / "fifo", here / "fifo" / "a", here / "file" / "a"]
    return ["a" * 300, "a" * 5000, "/dev/full", "/dev/full/a", "\x1b]0;a\x07", "a\nb", "", *below]


def _closed_names(folder: Path) -> list[Path]:
    here = Path(tempfile.mkdtemp(dir=folder))
    here.chmod(0o755)
    (here / "closed").mkdir(mode=0)
    (here / "readable").mkdir(mode=0o555)
    (here / "secret").touch(mode=0)
    return [here / "closed", here / "closed" / "a", here / "readable" / "a", here / "secret"]


DRILLS = [Drill("paths", 140, 40, 50, paths), Drill("closed paths", 56, 28, 20, closed_paths)]
