"""Damaged images and bundles, by the thousand: none may end in a traceback, hang, or write anything.

    python benchmarks/fuzz.py [--minutes 5] [--seed 0]

Every case takes a good file, changes it at random (flipped, cut out, doubled or inserted bytes, a cut end, numbers of
the header at their extremes; of bundles also whole files, with checksums put right so that the damage gets through to
the parts behind) and loads it as `siamese-mnist predict` does; of a runs folder, a file of one of two runs, and lists
it. Right are an image, a verifier or a list with the other run, and the one error that a user sees. The good files are
the built-in images in ten formats, and bundles of three small runs.
"""

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from PIL import Image

from siamese_mnist.data import Preprocessing, load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.verifier import load
from siamese_mnist.runs.bundle import FILES, MANIFEST, write_bundle
from siamese_mnist.runs.experiment import run
from siamese_mnist.runs.store import scan_runs

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "ICO", "JPEG2000")
LIMIT_SECONDS = 20
_EXTREMES = (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x01\x00\x00")

Case = tuple[str, Path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    counts: Counter[str] = Counter()
    slowest = 0.0
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory() as outer:
        place, watched = Path(outer) / "cases", Path(outer) / "watched"
        place.mkdir()
        watched.mkdir()
        makers = [_image_cases(), _bundle_cases(Path(outer) / "runs"), _folder_cases(Path(outer) / "runs")]
        tempfile.tempdir = str(watched)  # what the product writes to a temporary place shows as well
        os.chdir(watched)
        before = _files(Path(outer))
        end = time.monotonic() + 60 * options.minutes
        while time.monotonic() < end:
            make, read = rng.choice(makers)
            kind, path = make(rng, place)
            content = path.read_bytes() if path.is_file() else b""
            start = time.monotonic()
            signal.alarm(LIMIT_SECONDS)
            try:
                read(path)
                counts[f"{kind}: read"] += 1
            except UsageError as error:
                if "\n" in str(error):
                    _report(kind, content, f"more than one line: {error}")
                counts[f"{kind}: refused"] += 1
            except BaseException:
                _report(kind, content, traceback.format_exc())
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.monotonic() - start)
            _remove(path)
            if left := _files(Path(outer)) - before:
                _report(kind, content, f"left behind: {sorted(left)}")
        os.chdir("/")
    print(f"{sum(counts.values()):,} cases in {options.minutes:g} minutes, slowest {slowest:.2f} s, no failure")
    for kind, count in sorted(counts.items()):
        print(f"{kind:<24}{count:>8,}")


def _report(kind: str, content: bytes, what: str) -> None:
    name = Path(tempfile.gettempdir()).parent.parent / f"fuzz-{hashlib.sha256(content).hexdigest()[:12]}"
    name.write_bytes(content)
    sys.exit(f"{kind}: {what}\nthe case is kept in {name}")


def _too_long(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise TimeoutError(f"longer than {LIMIT_SECONDS} s")


def _files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _image_cases() -> tuple[Callable[[random.Random, Path], Case], Callable[[Path], Any]]:
    images = load_dataset("mnist-tenth").test.images[:20, 0].numpy()
    good = {name: [_encoded(255 - image, name) for image in images] for name in FORMATS}

    def make(rng: random.Random, place: Path) -> Case:
        name = rng.choice(FORMATS)
        path = place / "image"
        path.write_bytes(_damaged(rng, rng.choice(good[name])))
        return f"image, {name}", path

    return make, lambda path: Preprocessing.MNIST.read(path, size=(28, 28))


def _encoded(image: np.ndarray, name: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).resize((64, 64)).save(file, name)
    return file.getvalue()


def _bundle_cases(runs: Path) -> tuple[Callable[[random.Random, Path], Case], Callable[[Path], Any]]:
    good: list[dict[str, bytes]] = []
    for variant, backbone in (("baseline", "report"), ("siamese", "report"), ("siamese", "convnet")):
        result = run(variant, backbone=backbone, runs_dir=runs, train_pairs=640, test_pairs=200, epochs=1)
        folder = write_bundle(result.run_dir, runs / f"{variant}-{backbone}-bundle")
        good.append({name: (folder / name).read_bytes() for name in (MANIFEST, *FILES)})

    def make(rng: random.Random, place: Path) -> Case:
        files = dict(rng.choice(good))
        way = rng.choice(("bytes of the zip", "a file", "a file, signed", "a value, signed", "files missing"))
        name = rng.choice(list(files))
        if way == "files missing":
            for each in rng.sample(list(files), rng.randint(1, 3)):
                del files[each]
        elif way == "a value, signed":
            name = rng.choice(("config.json", "decision.json"))
            files[name] = json.dumps(_changed_value(rng, json.loads(files[name]))).encode()
        elif way != "bytes of the zip":
            files[name] = _damaged(rng, files[name])
        if way.endswith("signed"):
            _sign(files)
        if rng.random() < 0.5 and way != "bytes of the zip":
            path = place / "bundle"
            path.mkdir()
            for each, content in files.items():
                (path / each).write_bytes(content)
            return f"bundle, {way}", path
        path = place / "bundle.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in files.items():
                archive.writestr(each, content)
        if way == "bytes of the zip":
            path.write_bytes(_damaged(rng, path.read_bytes()))
        return f"bundle, {way}", path

    return make, load


def _folder_cases(runs: Path) -> tuple[Callable[[random.Random, Path], Case], Callable[[Path], Any]]:
    good = [path for path in sorted(runs.iterdir()) if (path / "result.json").exists()][:2]

    def make(rng: random.Random, place: Path) -> Case:
        folder = place / "runs"
        for path in good:
            shutil.copytree(path, folder / path.name)
        damaged = rng.choice(sorted((folder / good[0].name).iterdir()))
        if damaged.suffix == ".json" and rng.random() < 0.5:
            damaged.write_text(json.dumps(_changed_value(rng, json.loads(damaged.read_text()))))
        else:
            damaged.write_bytes(_damaged(rng, damaged.read_bytes()))
        return f"runs folder, {damaged.name}", folder

    def read(folder: Path) -> None:
        runs, skipped = scan_runs(folder)
        if len(runs) + len(skipped) != 2 or good[1].name not in [Path(run.run_dir).name for run in runs]:
            raise AssertionError("a run is neither listed nor skipped")

    return make, read


def _sign(files: dict[str, bytes]) -> None:
    try:
        manifest = json.loads(files[MANIFEST])
        for name, entry in manifest["files"].items():
            entry.update(bytes=len(files[name]), sha256=hashlib.sha256(files[name]).hexdigest())
        files[MANIFEST] = json.dumps(manifest).encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        pass  # the manifest itself was damaged


def _changed_value(rng: random.Random, value: Any) -> Any:
    """A JSON value with one of its leaves replaced by something odd."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {each: inner for each, inner in value.items() if each != name}
        return {**value, name: _changed_value(rng, value[name])}
    odd = (None, True, -1, 0, 1e308, 3, 2**40, "", "x", "../../x", [], [1], {}, {"a": 1}, "report", "convnet", "supcon")
    return rng.choice(odd)


def _damaged(rng: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not data:
            break
        # Headers matter most.
        start = rng.randrange(min(len(data), 64)) if rng.random() < 0.5 else rng.randrange(len(data))
        stop = min(len(data), start + rng.choice((1, 2, 4, 16, 256)))
        way = rng.randrange(6)
        if way == 0:
            data[start] ^= 1 << rng.randrange(8)
        elif way == 1:
            del data[start:stop]
        elif way == 2:
            data[start:start] = data[start:stop]
        elif way == 3:
            data[start:stop] = rng.randbytes(stop - start)
        elif way == 4:
            data[start : start + 4] = rng.choice(_EXTREMES)
        else:
            del data[start:]
    return bytes(data)


if __name__ == "__main__":
    main()
