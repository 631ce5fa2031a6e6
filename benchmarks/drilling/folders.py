"""Things of other hands in a runs folder."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from drilling.base import TINY, Drill, Failure, Place, digit_files, forked, trouble
from siamese_mnist.system.text import printable

Maker = Callable[[Path], Path | None]  # puts something into a runs folder; gives the folder that has to be named

_CONTENTS = {
    "empty": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "no text": b"\xff\xfe",
    "100,000 deep": b"[" * 100_000,
    "400 deep": b'{"a":' * 400 + b"1" + b"}" * 400,
    "NaN": b"NaN",
}
_NAMES = ("a\x1b[2Jb", "a\nb", "a\x07", "é" * 100, "a" * 255, os.fsdecode(b"a\xff"), "-", "[red]")
_LINKS = ("/dev/zero", "/dev/full", "/dev/tty", "/dev/urandom", "/proc/self/mem", "/etc", "missing", "result.json")
_FIELDS: dict[str, tuple[Any, ...]] = {
    "config": (None, [], "high\x1b"),
    "versions": (None, "high", {"siamese_mnist": "\x07"}),
    "test": (None, [], 7.0),
    "test.accuracy": (None, float("nan"), "high", 7.0),
    "decision.threshold": (None, float("nan"), []),
    "seed": (None, 7.5, 10**400),
    "variant": (None, "a\x1b[31m\x07", [1]),
    "dataset": (None, "a\nb", {"a": None}),
}
_FILES = ("config.json", "test_scores.npz", "model.safetensors", "history.csv")


def runs_folder(place: Place) -> Iterator[Failure]:
    """Every kind of content beside a good run, four commands each: the run is used, what is skipped is named."""
    good = next(place.runs.glob("siamese-*"))
    digits = digit_files(place.folder)
    kinds = list(kinds_of_content(good).items())
    place.rng.shuffle(kinds)
    commands: list[list[str | Path]] = [
        ["list", "variants"],
        ["compare", f"siamese:{TINY}", "--seeds", "1"],
        ["report"],
        ["predict", "siamese", *digits],
    ]
    for kind, make in kinds:
        here = Path(tempfile.mkdtemp(dir=place.folder))
        shutil.copytree(good, here / "runs" / good.name)
        odd = make(here / "runs")
        for words in commands:
            with contextlib.chdir(here):
                done = forked(words, place.folder)
            what = trouble(done, [0])
            if what is None and odd is not None and words[0] != "list" and printable(odd.name) not in done.err:
                what = f"it is not named: {done.err[-200:]!r}"
            yield what and f"{kind}, {words[0]}: {what}"
        shutil.rmtree(here, ignore_errors=True)


def kinds_of_content(good: Path) -> dict[str, Maker]:
    """Makers of something beside the good run, by what it is."""
    kinds = {
        kind: _result(lambda path, content=content: path.write_bytes(content)) for kind, content in _CONTENTS.items()
    }
    kinds |= {f"named {printable(name[:9])}": _result(lambda path: path.write_bytes(b"{}"), name) for name in _NAMES}
    kinds |= {"a pipe": _result(os.mkfifo), "a folder": _result(os.mkdir)}
    kinds |= {f"a link to {target}": _result(lambda path, target=target: path.symlink_to(target)) for target in _LINKS}
    for field, values in _FIELDS.items():
        kinds |= {f"{field} {str(value)[:20]!r}": _with_field(good, field, value) for value in values}
    for name in _FILES:
        kinds[f"no {name}"] = _with_file(good, name, lambda path: None)  # noqa: ARG005
        kinds[f"{name} of one byte"] = _with_file(good, name, lambda path: path.write_bytes(b"x"))
        kinds[f"{name} a pipe"] = _with_file(good, name, os.mkfifo)
    return kinds


def _result(write: Callable[[Path], Any], name: str = "odd") -> Maker:
    def make(runs: Path) -> Path:
        (runs / name).mkdir()
        write(runs / name / "result.json")
        return runs / name

    return make


def _with_field(good: Path, field: str, value: Any) -> Maker:
    """A newer copy of the good run with another value in a field of its result."""

    def make(runs: Path) -> Path:
        odd = shutil.copytree(good, runs / "zz-odd")
        values = json.loads((good / "result.json").read_text())
        *outer, last = field.split(".")
        inner = values
        for name in outer:
            inner = inner[name]
        inner[last] = value
        (odd / "result.json").write_text(json.dumps(values))
        return odd

    return make


def _with_file(good: Path, name: str, write: Callable[[Path], Any]) -> Maker:
    """A newer copy of the good run with another file in place of one of its own."""

    def make(runs: Path) -> Path:
        odd = shutil.copytree(good, runs / "zz-odd")
        (odd / name).unlink()
        write(odd / name)
        (odd / "result.json").touch()
        return odd

    return make


DRILLS = [Drill("foreign runs folder", 4 * len(kinds_of_content(Path())), 16, 200, runs_folder)]
