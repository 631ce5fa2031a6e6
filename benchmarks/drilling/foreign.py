"""Files and names of other hands: in a runs folder, as bundles, images, score files and paths."""

import gzip
import hashlib
import json
import os
import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from drilling.base import TINY, Drill, Failure, Place, forked, trouble
from siamese_mnist.data import load_dataset
from siamese_mnist.runs.bundle import FILES, MANIFEST, write_bundle
from siamese_mnist.system.text import printable

_ODD: list[Any] = [None, True, -1, 10**400, 1e308, "high", "\x1b[31m\x07", [], [1, [2]], {}, {"a": None}]
_RESULT_FIELDS = ("config", "versions", "test", "test.accuracy", "decision.threshold", "seed", "variant", "dataset")


def runs_folder(place: Place) -> Iterator[Failure]:
    """Sixty kinds of content beside good runs: these are used all the same, and what is skipped is named."""
    entries = [f"{variant}:{TINY}" for variant in ("siamese", "baseline")]
    good = next(place.runs.glob("siamese-*"))
    digits = _digits(place.folder)
    for make in _contents(good):
        runs = Path(tempfile.mkdtemp(dir=place.folder))
        shutil.copytree(place.runs, runs, dirs_exist_ok=True)
        folder = make(runs)
        for words in (
            ["compare", *entries, "--runs-dir", runs],
            ["report", "--runs-dir", runs, "--output", place.folder / "report.html"],
            ["predict", "siamese", *digits, "--runs-dir", runs],
        ):
            done = forked(words, place.folder)
            what = trouble(done, [0])
            if what is None and folder is not None and printable(folder.name) not in done.err:
                what = "it is not named"
            yield what and f"{make.__name__} {printable(folder.name if folder else '')}, {words[0]}: {what}"
        shutil.rmtree(runs, ignore_errors=True)


def _contents(good: Path) -> Iterator[Callable[[Path], Path | None]]:
    """Makers of something in a runs folder; each gives the folder that has to be named, or None."""

    def text(content: bytes, name: str = "odd") -> Callable[[Path], Path]:
        def content_of_result(runs: Path) -> Path:
            (runs / name).mkdir()
            (runs / name / "result.json").write_bytes(content)
            return runs / name

        return content_of_result

    def special(make: Callable[[Path], Any]) -> Callable[[Path], Path]:
        def special_result(runs: Path) -> Path:
            (runs / "odd").mkdir()
            make(runs / "odd" / "result.json")
            return runs / "odd"

        return special_result

    def field(path: str, value: Any) -> Callable[[Path], Path]:
        def odd_field(runs: Path) -> Path:
            shutil.copytree(good, runs / "zz-odd")
            values = json.loads((good / "result.json").read_text())
            inner = values
            *outer, last = path.split(".")
            for name in outer:
                inner = inner[name]
            inner[last] = value
            (runs / "zz-odd" / "result.json").write_text(json.dumps(values))
            return runs / "zz-odd"

        return odd_field

    def file(name: str, change: Callable[[Path], Any]) -> Callable[[Path], None]:
        def odd_file(runs: Path) -> None:
            shutil.copytree(good, runs / "zz-odd")
            (runs / "zz-odd" / name).unlink()
            change(runs / "zz-odd" / name)

        return odd_file

    nothing: list[Callable[[Path], Any]] = [lambda path: None, lambda path: path.write_bytes(b"x"), os.mkfifo]  # noqa: ARG005
    links = ["/dev/zero", "/dev/full", "/dev/tty", "/proc/self/mem", "result.json", "missing", "/etc", "/dev/urandom"]
    for content in (
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 400 + b"1" + b"}" * 400,
        b"NaN",
    ):
        yield text(content)
    for name in ("a\x1b[2Jb", "a\nb", "a\x07", "é" * 100, "a" * 255, os.fsdecode(b"a\xff"), "-", "[red]"):
        yield text(b"{}", name)
    yield from (special(make) for make in (os.mkfifo, os.mkdir))
    yield from (special(lambda path, target=target: path.symlink_to(target)) for target in links)
    for path in _RESULT_FIELDS:
        for value in (None, float("nan"), "high\x1b", [], 7.0):
            if (path, value) not in (("versions", []), ("variant", "high\x1b"), ("dataset", "high\x1b")):
                yield field(path, value)
    for name in ("config.json", "test_scores.npz", "model.safetensors", "history.csv"):
        yield from (file(name, change) for change in nothing)


def _digits(folder: Path) -> list[Path]:
    images = load_dataset("mnist-tenth").test.images[:2, 0].numpy()
    paths = [folder / f"{number}.png" for number in range(2)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


def bundles(place: Place) -> Iterator[Failure]:
    """Bundles whose checksums agree and whose content does not."""
    digits = _digits(place.folder)
    pristine = write_bundle(next(place.runs.glob("siamese-*")), place.folder / "pristine")
    for number, (name, change) in enumerate(_forgeries(place.rng)):
        folder = place.folder / f"bundle{number}"
        shutil.copytree(pristine, folder)
        change(folder / name)
        _sign(folder)
        path = folder
        if number % 2:
            path = folder.with_suffix(".zip")
            with zipfile.ZipFile(path, "w") as archive:
                for each in folder.iterdir():
                    archive.write(each, each.name)
        what = trouble(forked(["predict", path, *digits], place.folder), [0, 2])
        yield what and f"{name}, number {number}: {what}"


def _forgeries(rng: random.Random) -> Iterator[tuple[str, Callable[[Path], Any]]]:
    def config(**changes: Any) -> Callable[[Path], Any]:
        def change(path: Path) -> None:
            values = json.loads(path.read_text())
            for name, value in changes.items():
                inner = values[name]
                values[name] = {**inner, **value} if isinstance(value, dict) and isinstance(inner, dict) else value
            path.write_text(json.dumps(values))

        return change

    def weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], Any]:
        def save(path: Path) -> None:
            save_file({name: change(tensor).contiguous() for name, tensor in load_file(path).items()}, path)

        return save

    for kind in (torch.int8, torch.int64, torch.float16, torch.float64, torch.bfloat16, torch.bool):
        yield "model.safetensors", weights(lambda tensor, kind=kind: tensor.to(kind))
    for value in (float("nan"), float("inf"), 1e38):
        yield (
            "model.safetensors",
            weights(lambda tensor, value=value: (0 * tensor + value).to(tensor.dtype)),
        )
    yield "model.safetensors", weights(lambda tensor: tensor.reshape(-1))
    for count in (10**6, 10**9, 2**70):
        yield "config.json", config(parts={"backbone": "convnet", "backbone_options": {"members": count}})
        yield "config.json", config(parts={"backbone": "convnet", "backbone_options": {"width": count}})
        yield "config.json", config(parts={"backbone": "report", "backbone_options": {"blocks": count}})
        yield "config.json", config(image_size=[count, count])
        yield "config.json", config(classes=["a"] * min(count, 10**6))
    for odd in _ODD:
        yield "config.json", config(parts={"backbone_options": odd})
        yield "config.json", config(image_size=odd)
        yield "config.json", config(design=odd)
        yield "decision.json", config(threshold=odd)
    while True:
        name = rng.choice(["config.json", "decision.json", "model.safetensors"])
        yield name, lambda path: path.write_bytes(_cut(rng, path.read_bytes()))


def _cut(rng: random.Random, content: bytes) -> bytes:
    start = rng.randrange(len(content))
    return content[:start] + rng.randbytes(rng.randrange(8)) + content[start + rng.randrange(64) :]


def _sign(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in FILES:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def images(place: Place) -> Iterator[Failure]:
    """Damaged images of several formats."""
    run = next(place.runs.glob("siamese-*"))
    digit = Image.fromarray(255 - load_dataset("mnist-tenth").test.images[0, 0].numpy()).resize((64, 64))
    good = place.folder / "good.png"
    digit.save(good)
    kinds = ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm", "tga")
    while True:
        for kind in kinds:
            path = place.folder / f"a\x1b[1m{place.rng.randrange(10**9)}.{kind}"
            digit.save(path)
            path.write_bytes(_cut(place.rng, path.read_bytes()))
            what = trouble(forked(["predict", run, good, path], place.folder), [0, 2])
            yield what and f"{kind}: {what}"


def score_files(place: Place) -> Iterator[Failure]:
    """Score files of every kind of damage."""
    rng = np.random.default_rng(0)
    rows = [f"{a},{b},{int(a % 3 == b % 3)},{rng.normal():.4f}" for a, b in rng.integers(0, 40, (300, 2)) if a != b]
    text = "\n".join(["left,right,same,score", *rows]).encode()
    special = {
        "one field of 200 MB.csv.gz": gzip.compress(b"left,right,same,score\n1,2,1," + b"9" * 200_000_000, 1),
        "many columns.csv": b",".join(b"c%d" % number for number in range(10**6)) + b"\n" + b"1," * 10**6,
        "header only.csv": b"left,right,same,score\n",
        "empty.csv": b"",
        "UPPER.CSV": text,
        "nul.csv": text.replace(b",1,", b",\0,", 1),
        "nan.csv": text + b"\n1,2,1,nan\n",
        "no zip.csv.gz": text,
        "no parquet.parquet": text,
        "utf16.csv": text.decode().encode("utf-16"),
        "quote.csv": text + b'\n"1,2,1,0.5',
        "esc\x1b[5m.csv": text.replace(b"same", b"s\x1b[1mame"),
    }
    for name, content in special.items():
        path = place.folder / name
        path.write_bytes(content)
        what = trouble(forked(["evaluate", path, "--fit-on-test"], place.folder), [0, 2])
        yield what and f"{printable(name)}: {what}"
    while True:
        name = place.rng.choice(["a.csv", "a.csv.gz", "a.parquet"])
        content = _cut(place.rng, gzip.compress(text) if name.endswith("gz") else text)
        (place.folder / name).write_bytes(content)
        what = trouble(forked(["evaluate", place.folder / name, "--fit-on-test"], place.folder), [0, 2])
        yield what and f"{name}: {what}: {content[:300]!r}"


def paths(place: Place) -> Iterator[Failure]:
    """Names that no file can have, and places where none can be."""
    run = next(place.runs.glob("siamese-*"))
    (good,) = _digits(place.folder)[:1]
    commands: list[list[Any]] = [
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
        ["compare", f"siamese:{TINY}", f"baseline:{TINY}", "--runs-dir", place.runs, "--csv", None],
    ]
    for words in commands:
        for name in _names(place.folder):
            os.chdir(tempfile.mkdtemp(dir=place.folder))
            given = [name if word is None else word for word in words]
            done = forked(given, place.folder)
            what = trouble(done, [0, 2])
            lines = [line for line in done.err.splitlines() if not line.startswith(("pair ", "predict: "))]
            if what is None and done.status == 2 and len(lines) != 1:
                what = f"{len(lines)} lines: {done.err[:200]!r}"
            if what is None and not Path("/dev/full").is_char_device():
                what = "a file has taken the place of a device"
            yield what and f"{printable(' '.join(str(word)[:40] for word in given))}: {what}"


def _names(folder: Path) -> list[str | Path]:
    """Names that no file can have or that are no plain file; as another user than root, of a closed folder as well."""
    here = Path(tempfile.mkdtemp(dir=folder))
    (here / "closed").mkdir(mode=0)
    os.mkfifo(here / "fifo")
    (here / "file").write_text("mine")
    below = [here / "fifo", *(here / name / "a" for name in ("fifo", "file", "closed"))]
    return ["a" * 300, "a" * 5000, "/dev/full", "/dev/full/a", "\x1b]0;a\x07", "", *below]


DRILLS = [
    Drill("foreign runs folder", 240, 6, runs_folder),
    Drill("hostile bundles", 120, 12, bundles),
    Drill("damaged images", 75, 8, images),
    Drill("score files", 130, 14, score_files),
    Drill("paths", 140, 20, paths),
]
