"""What the page docs/lesson.md shows: real digits, and where networks put them while they train.

python docs/lesson.py

Trains the networks of docs/tutorials/lesson.py and writes docs/lesson/: `digits.png`, one sprite of test images;
`frames.bin`, their points in every recorded moment; `lesson.json`, what these are.
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.system.machine import made_by

FOLDER = Path(__file__).with_suffix("")
SCRIPT = Path(__file__).parent / "tutorials" / "lesson.py"
PER_DIGIT, FRAMES, MARGINS = 25, 36, (0.25, 0.5, 1.0, 2.0)
COLUMNS = 25  # images in a row of the sprite
SCALE = 32767  # of the int16 that stands for 1
JUDGED = {"stacked": "baseline:backbone=convnet", "siamese": "siamese"}


def main() -> None:
    """Trains and writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="folder of the two judges' runs")
    options = parser.parse_args()
    record(lesson(), options.output, options.runs_dir)


def lesson() -> SimpleNamespace:
    """The cells of the notebook that define the networks, the losses and the training."""
    try:
        import jupytext
    except ImportError as error:
        raise SystemExit(f"{error.name} is missing; install the extra siamese-mnist[notebooks]") from error
    names: dict[str, Any] = {}
    for cell in jupytext.read(SCRIPT, fmt="py:percent").cells:
        if "recorded" in cell.metadata.get("tags", ()):
            exec(compile(cell.source, str(SCRIPT), "exec"), names)
    return SimpleNamespace(**names)


def record(work: SimpleNamespace, folder: Path, runs_dir: Path, **judges: Any) -> None:
    """Writes all three files.

    Args:
        work: the notebook's definitions, see `lesson`.
        folder: where to; made if missing.
        runs_dir: where the runs of the two judges of single pairs are, or will be.
        judges: settings of their runs in place of the recipe's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels = work.test.labels
    rows = torch.cat([(labels == digit).nonzero().squeeze(1)[:PER_DIGIT] for digit in range(10)])
    shown = work.test.select(rows)
    told = [("contrastive", margin) for margin in MARGINS] + [("triplet", margin) for margin in MARGINS]
    wanted = [*((*each, 10) for each in told), ("softmax", None, 10), ("contrastive", 0.5, 8)]
    recorded = [_recorded(work, shown.images, *each) for each in wanted]
    points = np.stack([each.pop("points") for each in recorded])  # (networks, FRAMES, images, 2)
    (folder / "frames.bin").write_bytes(np.rint(points * SCALE).astype("<i2").tobytes())
    _sprite(shown.images).save(folder / "digits.png", optimize=True)
    about = {
        "made": made_by("python docs/lesson.py"),
        "labels": shown.labels.tolist(),
        "columns": COLUMNS,
        "frames": FRAMES,
        "scale": SCALE,
        "networks": recorded,
        "pairs": _judged(shown, runs_dir, judges),
    }
    (folder / "lesson.json").write_text(json.dumps(about, separators=(",", ":")))


def _recorded(work: SimpleNamespace, images: torch.Tensor, loss: str, margin: float | None, digits: int) -> dict:
    """One network: its points in `FRAMES` moments, dense at the start, and the threshold of its training images."""
    moments: dict[int, np.ndarray] = {}
    frames: list[int] = []

    def seen(done: int, total: int, model: torch.nn.Module) -> None:
        if not frames:
            frames.extend(round(total * (each / (FRAMES - 1)) ** 1.7) for each in range(FRAMES))
        if done in frames:
            moments[done] = work.embed(model, images).numpy()

    print(f"{loss}, margin {margin}, {digits} digits", file=sys.stderr)
    model = work.learn(loss, margin, range(digits), seen)
    some = work.train.select(slice(1500))
    known = some.select(some.labels < digits)
    threshold = work.equal_errors(work.embed(model, known.images), known.labels)
    return {
        "loss": loss,
        "margin": margin,
        "digits": digits,
        "updates": frames,
        "threshold": round(threshold, 4),
        "points": np.stack([moments[each] for each in frames]),
    }


def _sprite(images: torch.Tensor) -> Image.Image:
    rows = [np.concatenate(list(each), 1) for each in np.array_split(images[:, 0].numpy(), len(images) // COLUMNS)]
    return Image.fromarray(np.concatenate(rows))


def _judged(shown: sm.LabeledImages, runs_dir: Path, changes: dict) -> dict:
    """Pairs of shown images, and what a stacked and a Siamese run say of them in both orders.

    Eight pairs: the four of 2,000 that the stacked run changes its mind about most, and the first two of each kind.
    """
    runs = {name: sm.run(entry, recipe="alike", runs_dir=runs_dir, **changes) for name, entry in JUDGED.items()}
    judges = {name: sm.load(run.run_dir) for name, run in runs.items()}
    generator = torch.Generator().manual_seed(0)
    pairs = sm.draw_pairs(shown.labels, 2000, generator=generator, self_pairs=False)
    left, right = pairs.left, pairs.right
    said = {
        name: [judge.predict_proba(shown.images[a], shown.images[b]) for a, b in ((left, right), (right, left))]
        for name, judge in judges.items()
    }
    change = np.abs(said["stacked"][0] - said["stacked"][1])
    first = [row for kind in (pairs.same, ~pairs.same) for row in kind.nonzero().squeeze(1)[:2].tolist()]
    chosen = [*np.argsort(-change)[:4].tolist(), *first]
    return {
        "swap_agreement": {name: run.test.swap_agreement for name, run in runs.items()},
        "accuracy": {name: run.test.accuracy for name, run in runs.items()},
        "shown": [
            {
                "left": int(left[row]),
                "right": int(right[row]),
                **{name: [round(float(way[row]), 4) for way in ways] for name, ways in said.items()},
            }
            for row in chosen
        ],
    }


if __name__ == "__main__":
    main()
