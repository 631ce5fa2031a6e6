"""How often 95 % intervals hold the truth where images have groups, such as writers: a part of docs/verdicts.md.

python benchmarks/group_coverage.py --experiments 1000

Images of one group are alike: groups make two thirds of a score's variance. Scores are Gaussian, so the true
accuracy, ROC-AUC and equal error rate are known, and so is the difference of two equal designs.
"""

import argparse
import math
from collections import Counter
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import stats
from study import table

from siamese_mnist.evaluation import Decision
from siamese_mnist.evaluation.bootstrap import bootstrap_intervals
from siamese_mnist.evaluation.intervals import accuracy_interval, wilson_interval
from siamese_mnist.evaluation.verdicts import paired_difference
from siamese_mnist.runs.scored import REPLICATES

GROUPS, SEEDS = (150, 300), 3
_IMAGES, _PAIRS = 8 / 3, 16 / 3  # a group
_PART = 50  # experiments a job
_APART = 2.0  # standard deviations between the scores of same and of different pairs
_DECISION = Decision(_APART / 2, _APART)
_TRUTH = {
    "accuracy": stats.norm.cdf(_APART / 2),
    "roc_auc": stats.norm.cdf(_APART / math.sqrt(2)),
    "equal_error_rate": stats.norm.cdf(-_APART / 2),
}

Ends = NDArray[np.int64]
Scores = NDArray[np.float64]


class Drawn(NamedTuple):
    """Pairs of images with groups, and the scores of designs."""

    left: Ends  # (P,) image
    right: Ends
    group: Ends  # (N,) of every image
    same: NDArray[np.bool_]  # (P,)
    scores: Scores  # (D, S, P) of every design and seed

    def ends(self, by: str) -> tuple[Ends, Ends]:
        """What pairs are taken to share: groups, or images."""
        return (self.group[self.left], self.group[self.right]) if by == "groups" else (self.left, self.right)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the answers are right, (D, S, P)."""
        right: NDArray[np.bool_] = (self.scores >= _DECISION.threshold) == self.same
        return right


def draw(rng: np.random.Generator, groups: int, designs: int = 2, seeds: int = SEEDS) -> Drawn:
    """Pairs of images, and scores that groups shift: half of the shift is the design's own."""
    images, pairs = round(_IMAGES * groups), round(_PAIRS * groups)
    left = rng.integers(0, images, pairs)
    right = (left + rng.integers(1, images, pairs)) % images
    group, same = rng.integers(0, groups, images), rng.random(pairs) < 0.5
    shift = (rng.normal(size=groups) + rng.normal(size=(designs, 1, groups))) / math.sqrt(2)
    noise = rng.normal(size=(designs, seeds, pairs))
    first, second = group[left], group[right]
    variance = np.where(first == second, 4.0, 2.0) + 1.0
    scores = (shift[..., first] + shift[..., second] + noise) / np.sqrt(variance) + _APART * same
    return Drawn(left, right, group, same, scores)


def hits(part: int, groups: int, by: str) -> Counter[str]:
    """How many of a part's experiments have the truth in their interval, by kind of interval."""
    rng = np.random.default_rng([7, groups, part])
    found: Counter[str] = Counter()
    for _ in range(_PART):
        for kind, (low, high, truth) in intervals(rng, draw(rng, groups), by).items():
            found[kind] += low <= truth <= high
    return found


def intervals(
    rng: np.random.Generator, drawn: Drawn, by: str, replicates: int = REPLICATES
) -> dict[str, tuple[float, float, float]]:
    """Bounds of every kind of interval, and the truth."""
    left, right = drawn.ends(by)
    first, second = drawn.correct
    kinds = {"accuracy, one seed": (*accuracy_interval(first[0], left, right), _TRUTH["accuracy"])}
    bootstrapped = bootstrap_intervals(
        drawn.scores[0, 0],
        drawn.same,
        left,
        right,
        _DECISION,
        rng=rng,
        statistics=("roc_auc", "equal_error_rate"),
        replicates=replicates,
    )
    for name, interval in bootstrapped.items():
        kinds[f"{name}, bootstrap, one seed"] = (*interval, _TRUTH[name])
    kinds["difference, one seed"] = (*paired_difference(first[0], second[0], left, right)[1:3], 0.0)
    kinds[f"difference, {SEEDS} seeds"] = (*paired_difference(first, second, left, right)[1:3], 0.0)
    return kinds


def coverage(experiments: int, jobs: int) -> str:
    """A Markdown table: the share of experiments whose interval holds the truth, over groups and over images alone."""
    parts = range(max(1, experiments // _PART))
    columns = {}
    for groups in GROUPS:
        for by, title in (("groups", f"over {groups} groups"), ("images", f"over images alone, {groups} groups")):
            counts = Parallel(jobs)(delayed(hits)(part, groups, by) for part in parts)
            columns[title] = sum(counts, Counter())
    total = len(parts) * _PART
    kinds = next(iter(columns.values()))
    rows = [[kind, *(_share(found[kind], total) for found in columns.values())] for kind in kinds]
    return table(["interval of", *columns], rows)


def _share(count: int, total: int) -> str:
    low, high = wilson_interval(count / total, total)
    return f"{count / total:.1%} ({low:.1%} to {high:.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    options = parser.parse_args()
    print(coverage(options.experiments, options.jobs))


if __name__ == "__main__":
    main()
