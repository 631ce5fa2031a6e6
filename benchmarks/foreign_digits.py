"""Digits of another scanner and another country through the whole path of `siamese-mnist predict`, without retraining.

Command:

    siamese-mnist run siamese-agreement --runs-dir runs
    python benchmarks/foreign_digits.py siamese-agreement --runs-dir runs

scikit-learn's `load_digits` (1,797 digits of 43 writers, scanned in Turkey, 8 x 8 pixels, 17 grey levels; Alpaydin and
Kaynak 1998) is written as PNG files, read back, normalised and scored in balanced pairs of different images. Prints
accuracy with its interval of 95 % confidence, the figures that no threshold decides, and the same without
normalisation (images enlarged to the model's size), so that its share shows. Below: the calibration error of the stated
probabilities on pairs of one half of the digits, as the run states them and after threshold and slope were fitted on
pairs of the other half. `--json` prints one JSON object.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from siamese_mnist.data import LabeledImages, Preprocessing
from siamese_mnist.data.pairs import Pairs, draw_pairs
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import evaluate, fit_logistic
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.inference.prediction import Answer, FilePair, answer_files
from siamese_mnist.inference.saved import locate
from siamese_mnist.inference.verifier import Verifier, load


def write_images(folder: Path, enlarge_to: tuple[int, int] | None) -> list[str]:
    """Writes every digit, dark on light, as a PNG file; returns the names."""
    names = []
    for number, pixels in enumerate(load_digits().images):
        image = Image.fromarray(np.rint(pixels * 255 / 16).astype(np.uint8))
        image = image.resize(enlarge_to[::-1], Image.Resampling.BILINEAR) if enlarge_to else image.point(invert)
        names.append(f"{number:04}.png")
        image.save(folder / names[-1])
    return names


def invert(value: int) -> int:
    return 255 - value


def measure(verifier: Verifier, pairs: Pairs, *, normalised: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="foreign-digits-") as name:
        folder = Path(name)
        names = write_images(folder, None if normalised else verifier.image_size)
        rows = enumerate(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True), start=1)
        chosen = Preprocessing.MNIST if normalised else Preprocessing.PLAIN
        files = [FilePair(row=row, left=names[a], right=names[b], folder=folder) for row, (a, b) in rows]
        answers = [each for each in answer_files(verifier, files, preprocessing=chosen) if isinstance(each, Answer)]
    if len(answers) != len(files):
        raise UsageError(f"{len(files) - len(answers)} of {len(files)} pairs have no answer")
    same = pairs.same.numpy()
    correct = np.array([each.same for each in answers]) == same
    figures = evaluate(
        [each.score for each in answers],
        same,
        verifier.decision,
        swapped_scores=[each.swapped_score for each in answers],
    )
    interval = accuracy_interval(correct, pairs.left.numpy(), pairs.right.numpy())
    return {**figures, "accuracy_interval": list(interval)}


def recalibrated(verifier: Verifier, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Calibration error and accuracy on one half of the digits, as the run is and calibrated on the other half."""
    digits = load_digits()
    images = [
        Preprocessing.MNIST.apply(
            Image.fromarray(np.rint(pixels * 255 / 16).astype(np.uint8)).point(invert), size=verifier.image_size
        )
        for pixels in digits.images
    ]
    generator = torch.Generator().manual_seed(args.seed)
    order = torch.randperm(len(images), generator=generator)
    data = LabeledImages(torch.from_numpy(np.stack(images)), torch.from_numpy(digits.target))
    fitted, measured = (data.select(rows) for rows in order.chunk(2))
    scored = []
    for part in (fitted, measured):
        pairs = draw_pairs(part.labels, args.pairs, generator=generator, self_pairs=False, mirrored=False)
        scored.append((verifier.score_rows(part.images, pairs.left.numpy(), pairs.right.numpy()), pairs.same.numpy()))
    found = {}
    for name, decision in (("as it is", verifier.decision), ("recalibrated", fit_logistic(*scored[0]))):
        figures = evaluate(*scored[1], decision)
        found[name] = {each: figures[each] for each in ("expected_calibration_error", "accuracy")}
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    columns = ("accuracy", "95 % interval", "recall same", "recall different", "ROC-AUC", "EER")
    lines = [f"{'':20}" + "".join(f"{column:>18}" for column in columns)]
    for name, row in rows.items():
        low, high = row["accuracy_interval"]
        rates = (row["same"]["recall"], row["different"]["recall"], row["roc_auc"], row["equal_error_rate"])
        cells = [f"{row['accuracy']:.4f}", f"{low:.4f} to {high:.4f}", *(f"{rate:.4f}" for rate in rates)]
        lines.append(f"{name:20}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="a run's folder, a bundle, or a variant: its newest run in --runs-dir")
    parser.add_argument("--runs-dir", default="runs", help="folder of all runs (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=2000, help="balanced pairs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the pairs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    try:
        place = locate(args.run, args.runs_dir)
        verifier = load(place)
        labels = torch.from_numpy(load_digits().target)
        generator = torch.Generator().manual_seed(args.seed)
        pairs = draw_pairs(labels, args.pairs, generator=generator, self_pairs=False, mirrored=False)
        rows = {
            "normalised": measure(verifier, pairs, normalised=True),
            "only enlarged": measure(verifier, pairs, normalised=False),
        }
        calibration = recalibrated(verifier, args)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(
            json.dumps(
                {"run": str(place), "pairs": args.pairs, "seed": args.seed, **rows, "calibration": calibration},
                indent=2,
            )
        )
    else:
        print(f"{place}: {args.pairs} balanced pairs of load_digits")
        print(table(rows))
        for name, row in calibration.items():
            error = row["expected_calibration_error"]
            print(f"half of the digits, {name}: calibration error {error:.4f}, accuracy {row['accuracy']:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
