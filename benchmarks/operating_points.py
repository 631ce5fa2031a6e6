"""Whether operating points keep on new images what they promise: 20 resamplings of real ones.

Command:

    siamese-mnist run siamese --recipe fast --validation 0.1 --runs-dir runs
    python benchmarks/operating_points.py siamese --runs-dir runs

The test images of the run's data set, none of which was trained on, are divided at random into two halves, again and
again. The run is calibrated on all pairs of one half; on pairs of the other half are measured: errors among the
answered pairs with `--max-error` (is the bound kept, or within the interval?), the false match rate at `--max-fmr`, and
the Bayes cost at `--prior`. Beside it stand two that no calibration can know: the least that any threshold would have
on these very pairs, and the cost of the threshold that is best on all pairs of both halves. Where a handful of images
makes all false matches, the second is far above the first: how many of them a half has is luck. Prints one line a
resampling and one of all, and what the run's own calibration costs on all of these images. `--json` prints one JSON
object.

With images enough the three meet:

    siamese-mnist run siamese --recipe fast --validation 0.1 --dataset fashion-mnist \
        --data-dir /usr/share/datasets/fashion-mnist --runs-dir fashion
    python benchmarks/operating_points.py siamese --runs-dir fashion --data-dir /usr/share/datasets/fashion-mnist
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from siamese_mnist.data import LabeledImages, load_dataset, split_dataset
from siamese_mnist.data.pairs import draw_pairs, largest_count
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.costs import bayes_cost, minimum_bayes_cost
from siamese_mnist.evaluation.operating import measured
from siamese_mnist.evaluation.ranking import roc
from siamese_mnist.inference.saved import locate, settings_of
from siamese_mnist.inference.verifier import Verifier, load
from siamese_mnist.runs.store import read_config

PAIRS = 10_000


def halves(data: LabeledImages, count: int, seed: int) -> Iterator[tuple[LabeledImages, LabeledImages]]:
    """Two random halves of the images, `count` times."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        order = torch.randperm(len(data.labels), generator=generator)
        yield data.select(order[: len(order) // 2]), data.select(order[len(order) // 2 :])


def unsure(fitted: Verifier, other: LabeledImages, max_error: float) -> dict[str, Any]:
    """What becomes of a bound on the errors, on balanced pairs of other images."""
    point = fitted.operating_point(max_error=max_error)
    count = min(PAIRS, largest_count(other.labels, self_pairs=False, mirrored=False))
    generator = torch.Generator().manual_seed(0)
    pairs = draw_pairs(other.labels, count, generator=generator, self_pairs=False, mirrored=False)
    left, right = pairs.left.numpy(), pairs.right.numpy()
    found = measured(point, fitted.score_rows(other.images, left, right), pairs.same.numpy(), left, right)
    kept = found["error_rate"] is None or found["error_rate_interval"][0] <= max_error
    return {"unsure": found["unsure_share"], "error": found["error_rate"] or 0.0, "kept": kept}


def all_pairs(fitted: Verifier, data: LabeledImages) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores (P,) of all pairs of images, and whether they are the same class."""
    left, right = np.triu_indices(len(data.labels), 1)
    labels = data.labels.numpy()
    return fitted.score_matrix(data.images, data.images)[left, right].astype(np.float64), labels[left] == labels[right]


def best_threshold(scores: NDArray[np.float64], same: NDArray[np.bool_], prior: float) -> float:
    """The threshold of least Bayes cost on these very pairs."""
    curve = roc(scores, same)
    return float(curve.thresholds[bayes_cost(curve.false_match_rate, 1 - curve.true_match_rate, prior).argmin()])


def cost_at(threshold: float, scores: NDArray[np.float64], same: NDArray[np.bool_], prior: float) -> float:
    """The Bayes cost of a threshold on these pairs."""
    return float(bayes_cost((scores[~same] >= threshold).mean(), (scores[same] < threshold).mean(), prior))


def rates(fitted: Verifier, other: LabeledImages, max_fmr: float, prior: float, best: float) -> dict[str, float]:
    """False match rate and Bayes costs on all pairs of other images."""
    scores, same = all_pairs(fitted, other)
    return {
        "false_match_rate": float((scores[~same] >= fitted.operating_point(max_fmr=max_fmr).threshold).mean()),
        "cost": cost_at(fitted.operating_point(prior=prior).threshold, scores, same, prior),
        "best_threshold_cost": cost_at(best, scores, same, prior),
        "least_cost": minimum_bayes_cost(roc(scores, same), prior),
    }


def measure(run: Path, args: argparse.Namespace) -> dict[str, Any]:
    settings, verifier = settings_of(read_config(run)), load(run)
    whole = load_dataset(settings.dataset, args.data_dir, **settings.dataset_options)
    data = split_dataset(whole, settings.split, settings.fold or 0).test
    pairs = all_pairs(verifier, data)
    best = best_threshold(*pairs, args.prior)
    rows = []
    for one, other in halves(data, args.resamplings, args.seed):
        fitted = verifier.calibrated(one)
        rows.append({**unsure(fitted, other, args.max_error), **rates(fitted, other, args.max_fmr, args.prior, best)})
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {
        "run": str(run),
        "max_error": args.max_error,
        "max_fmr": args.max_fmr,
        "prior": args.prior,
        "own": {
            "cost": cost_at(verifier.operating_point(prior=args.prior).threshold, *pairs, args.prior),
            "least_cost": cost_at(best, *pairs, args.prior),
        },
        "resamplings": rows,
        "kept": sum(row["kept"] for row in rows),
        "mean": {name: value for name, value in means.items() if name != "kept"},
        **{
            f"cost_over_{name}": means["cost"] / means[f"{name}_cost"] if means[f"{name}_cost"] else None
            for name in ("least", "best_threshold")
        },
    }


def line(name: str, row: dict[str, Any]) -> str:
    return (
        f"{name:>12}  unsure {row['unsure']:.4f}, errors among answered {row['error']:.4f}; "
        f"false match rate {row['false_match_rate']:.5f}; cost {row['cost']:.4f}, of the best threshold for all images "
        f"{row['best_threshold_cost']:.4f}, least {row['least_cost']:.4f}"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", help="a run's folder, or a variant: its newest run in --runs-dir")
    parser.add_argument("--runs-dir", default="runs", help="folder of all runs (default: %(default)s)")
    parser.add_argument("--data-dir", help="folder of the data set's files")
    parser.add_argument("--resamplings", type=int, default=20, help="how many (default: %(default)s)")
    parser.add_argument("--max-error", type=float, default=0.02, help="bound (default: %(default)s)")
    parser.add_argument("--max-fmr", type=float, default=0.001, help="false match rate (default: %(default)s)")
    parser.add_argument("--prior", type=float, default=0.01, help="share of same pairs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the halves (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    try:
        found = measure(locate(args.run, args.runs_dir), args)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    for number, row in enumerate(found["resamplings"], start=1):
        print(line(f"{number}", row))
    print(line("mean", found["mean"]))
    own = found["own"]
    print(f"by the run's own calibration, on all images: cost {own['cost']:.4f}, least {own['least_cost']:.4f}")
    print(f"bound {args.max_error:g} kept within the interval in {found['kept']} of {args.resamplings} resamplings")
    for name, words in (
        ("best_threshold", "that of the best threshold for all images"),
        ("least", "the least possible"),
    ):
        ratio = found[f"cost_over_{name}"]
        print(f"cost at prior {args.prior:g} over {words}: {'-' if ratio is None else format(ratio, '.3f')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
