"""How often 95 % intervals hold the truth where images have groups, such as writers: the page docs/group-coverage.md.

python benchmarks/group_coverage.py --output docs/group-coverage.md

Images of one group are alike: groups make a stated share of a score's variance. Scores are Gaussian, so the true
accuracy, ROC-AUC and equal error rate are known, and so is the difference of two equal designs.
"""

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import stats
from study import publish, table

from siamese_mnist.evaluation import Decision
from siamese_mnist.evaluation.bootstrap import bootstrap_intervals
from siamese_mnist.evaluation.intervals import accuracy_interval, wilson_interval
from siamese_mnist.evaluation.verdicts import paired_difference
from siamese_mnist.runs.scored import REPLICATES
from siamese_mnist.system.machine import made_by

GROUPS, SEEDS = (150, 300), 3
SHARES = {"two thirds": 2 / 3, "nine tenths": 0.9}
"""How much of a score's variance, between different groups, is that of the groups."""
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


def draw(rng: np.random.Generator, groups: int, share: float = 2 / 3, designs: int = 2, seeds: int = SEEDS) -> Drawn:
    """Pairs of images, and scores that groups shift: half of the shift is the design's own."""
    images, pairs = round(_IMAGES * groups), round(_PAIRS * groups)
    left = rng.integers(0, images, pairs)
    right = (left + rng.integers(1, images, pairs)) % images
    group, same = rng.integers(0, groups, images), rng.random(pairs) < 0.5
    shift = (rng.normal(size=groups) + rng.normal(size=(designs, 1, groups))) / math.sqrt(2)
    noise = rng.normal(size=(designs, seeds, pairs))
    first, second = group[left], group[right]
    own = 2 * (1 - share) / share
    variance = np.where(first == second, 4.0, 2.0) + own
    scores = (shift[..., first] + shift[..., second] + math.sqrt(own) * noise) / np.sqrt(variance) + _APART * same
    return Drawn(left, right, group, same, scores)


def hits(part: int, groups: int, share: float, by: str) -> Counter[str]:
    """How many of a part's experiments have the truth in their interval, by kind of interval."""
    rng = np.random.default_rng([7, groups, part])
    found: Counter[str] = Counter()
    for _ in range(_PART):
        for kind, (low, high, truth) in intervals(rng, draw(rng, groups, share), by).items():
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


def coverage(experiments: int, jobs: int, by: str) -> str:
    """A Markdown table: the share of experiments whose interval holds the truth."""
    parts = range(max(1, experiments // _PART))
    columns = {}
    for groups in GROUPS:
        for name, share in SHARES.items():
            counts = Parallel(jobs)(delayed(hits)(part, groups, share, by) for part in parts)
            columns[f"{groups} groups, {name}"] = sum(counts, Counter())
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
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed otherwise")
    options = parser.parse_args()
    publish(_page(options.experiments, options.jobs), options.output)


def _page(experiments: int, jobs: int) -> str:
    command = f"python benchmarks/group_coverage.py --experiments {experiments} --output docs/group-coverage.md"
    return f"""# Coverage over groups

How often 95 % intervals hold the truth where images have groups, such as writers, and pairs of one group are alike
([Comparisons](comparison.md) tells how such intervals are made). Parentheses hold 95 % intervals of the shares, from
{experiments:,} simulated experiments each.

{made_by(command)}

## Intervals over groups

{coverage(experiments, jobs, "groups")}

A column names the number of groups, and how much of the variance of a score the two groups of its pair make up; the
rest is the pair's own. Every group has {_IMAGES:.1f} images and is met by {2 * _PAIRS:.1f} pairs, on average.
*Bootstrap* intervals are those that `evaluate`, `run` and `compare` show, from {REPLICATES} replicates. The difference
is that of two equal designs, whose scores have half of the shift by groups in common; over {SEEDS} seeds it allows for
the luck of training, of which there is none here, and so covers too often.

## The same, groups not told

{coverage(experiments, jobs, "images")}

Intervals that take the pairs of different images of one writer as independent are too narrow.
"""


if __name__ == "__main__":
    main()
