"""One model, asked in every way that there is: pictures in colour, made and put in a folder as one's own would be.

Command:

    python benchmarks/coloured_letters.py

Draws 300 letters of 12 classes, 64 x 48 pixels, in many colours on grounds of many colours, as PNG files: 192 to train
on and 108 that give exactly 2,000 test pairs. Trains a model by `siamese-mnist run siamese --dataset folder`, without
any other setting, and takes the same 2,000 pairs through `predict --pairs`, a bundle, the Python verifier, the
scikit-learn classifier and the exported network in onnxruntime, whose pictures are prepared as its own metadata say.
Prints the accuracy of each; the exit status is 1 if they differ in the fourth digit. `--recipe` names another recipe
for the run, `--keep FOLDER` keeps the pictures and all that was made of them, `--json` prints one JSON object.
"""

import argparse
import contextlib
import csv
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from siamese_mnist_cli.main import main as siamese_mnist

from siamese_mnist import load
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.estimator import SiameseClassifier
from siamese_mnist.runs.store import read_scores

LETTERS = "ABEGKRSΔΛΞΣЖ"
FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif", "DejaVuSerif-Bold")
WIDTH, HEIGHT = 64, 48
TRAIN = (16,) * 12
TEST = (8,) * 8 + (10, 10, 12, 12)  # whose squares add up to 1,000 genuine pairs


def draw(letter: str, rng: np.random.Generator) -> Image.Image:
    """A letter in some font, size and place, turned a little, light on dark or dark on light, in colour."""
    ink, ground = (tuple(map(int, rng.integers(low, low + 120, 3))) for low in rng.permutation([0, 136]))
    name = FONTS[rng.integers(len(FONTS))]
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/{name}.ttf", int(rng.integers(26, 36)))
    stencil = Image.new("L", (WIDTH, HEIGHT), 0)
    place = (WIDTH / 2 + rng.uniform(-8, 8), HEIGHT / 2 + rng.uniform(-4, 4))
    ImageDraw.Draw(stencil).text(place, letter, 255, font, anchor="mm")
    stencil = stencil.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC)
    picture = Image.new("RGB", (WIDTH, HEIGHT), ground)
    picture.paste(ink, mask=stencil)
    return picture


def write_letters(folder: Path, seed: int) -> None:
    """Writes FOLDER/train/LETTER/NUMBER.png and FOLDER/test/LETTER/NUMBER.png."""
    rng = np.random.default_rng(seed)
    for split, counts in (("train", TRAIN), ("test", TEST)):
        for letter, count in zip(LETTERS, counts, strict=True):
            (folder / split / letter).mkdir(parents=True)
            for number in range(count):
                draw(letter, rng).save(folder / split / letter / f"{number:02}.png")


def test_files(folder: Path) -> list[Path]:
    """Files of the test images, by row."""
    return sorted((folder / "test").glob("*/*.png"))


def told_by(*words: Any) -> list[dict[str, Any]]:
    """What a command prints with --json, line by line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        siamese_mnist([*map(str, words), "--json"])
    return [json.loads(line) for line in out.getvalue().splitlines()]


def prepared(about: dict[str, Any], path: Path) -> NDArray[np.uint8]:
    """A picture as an exported network's metadata say, with Pillow alone: (C, H, W)."""
    assert about["preprocessing"] == "plain"
    picture = Image.open(path).convert("RGB" if about["channels"] == 3 else "L")
    height, width = about["image_size"]
    levels = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    return np.moveaxis(np.atleast_3d(levels), -1, 0)


def answers(run: Path, work: Path, files: list[Path], left: Any, right: Any) -> Iterator[tuple[str, Any]]:
    """Each way to ask with its answers (P,)."""
    import onnxruntime

    pairs = work / "pairs.csv"
    with pairs.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("left", "right"), *((files[a], files[b]) for a, b in zip(left, right, strict=True))]
        )
    yield "predict --pairs", [each["same"] for each in told_by("predict", run, "--pairs", pairs)]
    told_by("bundle", run, work / "bundle.zip")
    yield (
        "predict --pairs, bundle",
        [each["same"] for each in told_by("predict", work / "bundle.zip", "--pairs", pairs)],
    )

    verifier = load(run)
    images = np.stack([verifier.read(path) for path in files])
    yield "Verifier.predict", verifier.predict(images[left], images[right])

    rows = images.reshape(len(images), -1)
    table = np.concatenate([rows[left], rows[right]], axis=1)
    yield "SiameseClassifier", SiameseClassifier.from_verifier(verifier).predict(table)

    told_by("export", run, "--output", work / "onnx")
    scorer = onnxruntime.InferenceSession(work / "onnx" / "pair_scorer.onnx")
    about = json.loads(scorer.get_modelmeta().custom_metadata_map["siamese_mnist"])
    seen = np.stack([prepared(about, path) for path in files])
    scores, _ = scorer.run(None, {"left": seen[left], "right": seen[right]})
    yield "onnxruntime", scores.astype(np.float64) >= about["threshold"]


def measure(work: Path, seed: int, recipe: str | None) -> dict[str, Any]:
    """Pairs, and the accuracy of every way to ask, by its name."""
    letters = work / "letters"
    write_letters(letters, seed)
    words = ["--recipe", recipe] if recipe else []
    (result,) = told_by(
        "run", "siamese", "--dataset", "folder", "--data-dir", letters, "--runs-dir", work / "runs", *words
    ) or [None]
    if result is None:
        raise UsageError("the run failed")
    run = Path(result["run_dir"])
    columns = read_scores(run)
    left, right, same = (columns[name] for name in ("left", "right", "same"))
    accuracy = {"run": result["test"]["accuracy"]}
    for name, given in answers(run, work, test_files(letters), left, right):
        accuracy[name] = float(np.mean(np.asarray(given) == same))
    return {"run": str(run), "pairs": len(same), "accuracy": accuracy}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", help="of the run (default: none is named)")
    parser.add_argument("--seed", type=int, default=0, help="of the pictures (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="a new folder for the pictures and all that is made of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="coloured-letters-") as name:
            if args.keep:
                args.keep.mkdir(parents=True)
            found = measure(args.keep or Path(name), args.seed, args.recipe)
    except (UsageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    agree = len({f"{each:.4f}" for each in found["accuracy"].values()}) == 1
    if args.json:
        print(json.dumps({**found, "agree": agree}, indent=2))
    else:
        print(f"accuracy on the same {found['pairs']:,} pairs of coloured letters")
        for name, value in found["accuracy"].items():
            print(f"{name:26}{value:.4f}")
        print("all agree" if agree else "THEY DIFFER")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
