"""The rest of MNIST's test set beside the built-in 1,000 images, which are its first ones.

Command:

    siamese-mnist run siamese --runs-dir runs
    python benchmarks/rest_of_mnist.py siamese --runs-dir runs --data-dir FOLDER_WITH_MNIST

Scores balanced pairs of the built-in test images, of all the others, and of the two halves of these, with the run's own
threshold and calibration. The folder holds MNIST's four files, as `--dataset mnist` wants them; `--download` fetches
them. `--json` prints one JSON object.
"""

import argparse
import json
import sys
from typing import Any

import torch
from study import table

from siamese_mnist.data import LabeledImages, load_dataset
from siamese_mnist.data.pairs import draw_pairs
from siamese_mnist.data.streams import Purpose, stream
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import evaluate
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.inference.saved import locate
from siamese_mnist.inference.verifier import Verifier, load


def parts_of(test: LabeledImages) -> dict[str, LabeledImages]:
    """The built-in test images, the rest, and its two halves, by what a table calls them.

    Raises:
        UsageError: if these are not MNIST's test images, or there is no rest.
    """
    known = load_dataset("mnist-tenth").test
    first, count = len(known.labels), len(test.labels)
    if count < first + 4 or not torch.equal(test.images[:first], known.images):
        raise UsageError(
            f"of these {count:,} test images the first {first:,} are not the built-in ones with more behind them; "
            "name a folder with MNIST by --data-dir"
        )
    middle = count // 2 if count // 2 > first else (first + count) // 2
    bounds = {
        "built-in": (0, first),
        "rest": (first, count),
        "its first half": (first, middle),
        "its second half": (middle, count),
    }
    return {
        f"{name}, images {start:,} to {stop - 1:,}": test.select(slice(start, stop))
        for name, (start, stop) in bounds.items()
    }


def measure(verifier: Verifier, images: LabeledImages, count: int, pair_seed: int) -> dict[str, Any]:
    """Figures of balanced pairs, drawn as a run draws its test pairs."""
    pairs = draw_pairs(images.labels, count, generator=stream(pair_seed, Purpose.TEST_PAIRS))
    left, right, same = (column.numpy() for column in pairs)
    scores = verifier.score_rows(images.images[:, 0], left, right)
    correct = verifier.decision.predict(scores) == same
    figures = evaluate(scores, same, verifier.decision)
    return {**figures, "accuracy_interval": list(accuracy_interval(correct, left, right))}


def shown(rows: dict[str, dict[str, Any]]) -> str:
    names = ("equal_error_rate", "roc_auc", "log_loss", "expected_calibration_error")
    header = ["test images", "accuracy", "EER", "ROC-AUC", "log loss", "calibration error"]
    lines = []
    for name, row in rows.items():
        low, high = row["accuracy_interval"]
        lines.append([name, f"{row['accuracy']:.4f} ({low:.3f} to {high:.3f})", *(f"{row[key]:.4f}" for key in names)])
    return table(header, lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="a run's folder, a bundle, or a variant: its newest run in --runs-dir")
    parser.add_argument("--runs-dir", default="runs", help="folder of all runs (default: %(default)s)")
    parser.add_argument("--data-dir", help="folder with MNIST's four files")
    parser.add_argument("--download", action="store_true", help="fetch missing files")
    parser.add_argument("--pairs", type=int, default=10_000, help="of each part (default: %(default)s)")
    parser.add_argument("--pair-seed", type=int, default=0, help="of the pairs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    try:
        place = locate(args.run, args.runs_dir)
        verifier = load(place)
        parts = parts_of(load_dataset("mnist", args.data_dir, args.download).test)
        rows = {name: measure(verifier, part, args.pairs, args.pair_seed) for name, part in parts.items()}
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"run": str(place), "pairs": args.pairs, **rows}) if args.json else shown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
