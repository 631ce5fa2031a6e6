"""The page without Python: the network as ONNX, run in the browser, in a folder for any web server."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siamese_mnist.demo.answers import shown
from siamese_mnist.demo.digits import Digits, balanced
from siamese_mnist.demo.nearest import SHOWN, Neighbours
from siamese_mnist.demo.page import page_files
from siamese_mnist.demo.puzzles import puzzles
from siamese_mnist.demo.runtime import FILES
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.onnx import export_onnx
from siamese_mnist.inference.verifier import Verifier
from siamese_mnist.system.files import unfinished

_SAMPLES = 200
_NETWORKS = ("embedder.onnx", "embedding_scorer.onnx")
_UNBUILT = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Not built here</title>
<link rel="icon" href="data:,">
<p>The live page was not built here; use <code>siamese-mnist demo</code>.</p>
</html>
"""


def write_static_demo(
    verifier: Verifier, digits: Digits, about: Mapping[str, Any], folder: Path, runtime: Path
) -> Path:
    """Writes the page with a verifier's network into a new folder, which appears whole or not at all.

    Args:
        verifier: of a design that embeds.
        digits: the images it shows.
        about: what the page says of the model, see `answers.describe`.
        folder: a path where nothing is yet.
        runtime: folder with onnxruntime-web, see `runtime.fetch_runtime`.

    Returns:
        `folder`.

    Raises:
        UsageError: if the design does not embed, the network cannot be exported, or the folder exists or cannot be
            written.
    """
    if not verifier.model.embeds:
        raise UsageError("the static page embeds each image once, which this design cannot; use a siamese variant")
    if folder.exists():
        raise UsageError(f"{folder} exists already; name another folder or remove it")
    try:
        with unfinished(folder) as page:
            (page / "runtime").mkdir(parents=True)
            for name, content in page_files("browser").items():
                (page / name).write_bytes(content)
            for name in FILES:
                shutil.copyfile(runtime / name, page / "runtime" / name)
            networks = page.with_name("onnx")
            export_onnx(verifier, networks)
            for name in _NETWORKS:
                (networks / name).rename(page / name)
            _write_data(verifier, digits, about, page)
    except OSError as error:
        raise UsageError(f"cannot write {folder} ({error.strerror or error}); name another folder") from error
    return folder


def write_unbuilt(folder: Path) -> None:
    """Writes a page that says in one sentence that there is no live one, and what to use."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(_UNBUILT, encoding="utf-8")


def _write_data(verifier: Verifier, digits: Digits, about: Mapping[str, Any], page: Path) -> None:
    """The numbers and images that the page reads: one JSON file, and arrays as plain bytes, little-endian."""
    neighbours, samples = Neighbours(verifier, digits.train), balanced(digits.test, _SAMPLES)
    assert neighbours.directions is not None
    assert neighbours.plane is not None
    hard = puzzles(verifier, digits)
    height, width = verifier.image_size
    values = {
        "about": {**about, **shown(verifier, digits, neighbours)},
        "height": height,
        "width": width,
        "threshold": verifier.decision.threshold,
        "shown": SHOWN,
        "train_labels": neighbours.labels.tolist(),
        "sample_labels": samples.labels.tolist(),
        "map": {name: getattr(neighbours.plane, name).tolist() for name in ("rows", "points", "labels")},
        "puzzle_labels": [each.labels for each in hard],
    }
    (page / "demo.json").write_text(json.dumps(values), encoding="utf-8")
    (page / "train.bin").write_bytes(neighbours.images.tobytes())
    (page / "directions.bin").write_bytes(neighbours.directions.astype("<f4").tobytes())
    (page / "puzzles.bin").write_bytes(b"".join(each.left.tobytes() + each.right.tobytes() for each in hard))
    (page / "samples.bin").write_bytes(samples.images.numpy().tobytes())
