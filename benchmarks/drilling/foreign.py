"""Files of other hands: bundles, images and score files."""

import gzip
import hashlib
import json
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from drilling.base import Drill, Failure, Place, digit_files, forked, trouble
from siamese_mnist.data import load_dataset
from siamese_mnist.runs.bundle import FILES, MANIFEST, write_bundle
from siamese_mnist.system.text import printable

_ODD: list[Any] = [None, True, -1, 10**400, 1e308, "high", "\x1b[31m\x07", [], [1, [2]], {}, {"a": None}]


def bundles(place: Place) -> Iterator[Failure]:
    """Bundles whose checksums agree and whose content does not."""
    digits = digit_files(place.folder)
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


DRILLS = [
    Drill("hostile bundles", 120, 12, 40, bundles),
    Drill("damaged images", 75, 8, 25, images),
    Drill("score files", 130, 14, 40, score_files),
]
