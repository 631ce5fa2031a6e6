"""How often intervals over new classes, writers and folds hold the truth.

python benchmarks/class_coverage.py --output docs/class-coverage.md

Simulated models: classes, writers and trainings are random effects on whether a pair is answered right.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from study import publish, table

from siamese_mnist.evaluation.intervals import accuracy_interval, wilson_interval
from siamese_mnist.evaluation.units import Units, interval_over, kept_rows, mean_spread, shared, unit_spreads
from siamese_mnist.system.machine import made_by

_LEVEL = 1.8  # log-odds of a right answer, 0.86


class World(NamedTuple):
    """What is sampled; standard deviations are of log-odds.

    Attributes:
        folds: number of folds.
        classes: test classes of a fold.
        pool: classes in all; folds share classes where `folds` times `classes` is more.
        writers: test writers of a fold, others in each.
        by_class: standard deviation over classes.
        by_writer: over writers.
        by_fold: over trainings.
        pairs: of a fold.
    """

    folds: int
    classes: int
    pool: int
    writers: int
    by_class: float = 0.5
    by_writer: float = 0.3
    by_fold: float = 0.15
    pairs: int = 2000


WORLDS = {
    "one fold, 20 classes by 8 writers": World(1, 20, 20, 8, by_fold=0.0),
    "one fold, 20 classes by 40 writers": World(1, 20, 20, 40, by_fold=0.0),
    "one fold, classes matter little": World(1, 20, 20, 8, by_class=0.1, by_fold=0.0),
    "one fold, 300 classes by 20 writers": World(1, 300, 300, 20, by_fold=0.0),
    "the same, 20,000 pairs": World(1, 300, 300, 20, by_fold=0.0, pairs=20_000),
    "5 folds of 2 classes, as of ten digits": World(5, 2, 10, 40),
    "5 folds of 9 classes by 8 writers": World(5, 9, 45, 8),
    "5 folds that share classes, 20 of 45 each": World(5, 20, 45, 8),
}

Sides = tuple[NDArray[np.int64], NDArray[np.int64]]


class Fold(NamedTuple):
    """Answers to the pairs of a fold."""

    right: NDArray[np.float64]  # (P,) 1 = a right answer
    classes: Sides
    writers: Sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=1000, help="simulated experiments of each kind")
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed otherwise")
    options = parser.parse_args()
    rows = [[name, *_coverage(world, options.samples)] for name, world in WORLDS.items()]
    command = f"python benchmarks/class_coverage.py --samples {options.samples} --output docs/class-coverage.md"
    header = ["simulated", "over units", "95 % interval of that", "mean width", "over images"]
    page = f"""# Coverage over classes

How often a 95 % interval of accuracy holds the accuracy on new classes by new writers, in {options.samples:,}
experiments. *Over units* is what `run`, `compare` and `compare --folds` give; *over images* would be the interval that
takes the images as the sample. Log-odds of a right answer vary by class, writer and fold.

{made_by(command)}

{table(header, rows)}

Where a fold has 2,000 pairs of 300 classes, chance in the single pair matters as much as the classes. It is part of the
spread over classes and of the spread over writers and so counts twice: intervals are somewhat too wide. With ten times
as many pairs it is small beside both.
"""
    publish(page, options.output)


def _coverage(world: World, samples: int) -> list[str]:
    truth = _truth(world)
    hits, widths, by_image = [], [], []
    for number in range(samples):
        folds = _drawn(world, np.random.default_rng(number))
        low, high = _interval(folds)
        hits.append(low <= truth <= high)
        widths.append(high - low)
        by_image.append(_over_images(folds, truth))
    low, high = wilson_interval(float(np.mean(hits)), samples)
    return [f"{np.mean(hits):.3f}", f"{low:.3f} to {high:.3f}", f"{np.mean(widths):.3f}", f"{np.mean(by_image):.3f}"]


def _truth(world: World) -> float:
    """Accuracy over all classes, writers and trainings: that of pairs of which half are genuine."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, world.by_fold, 400_000) + rng.normal(0, world.by_writer, 400_000) * np.sqrt(2)
    genuine = 2 * rng.normal(0, world.by_class, 400_000)
    impostor = rng.normal(0, world.by_class, 400_000) * np.sqrt(2)
    return float(np.mean([expit(_LEVEL + common + each).mean() for each in (genuine, impostor)]))


def _drawn(world: World, rng: np.random.Generator) -> list[Fold]:
    class_effect = rng.normal(0, world.by_class, world.pool)
    folds = []
    for number in range(world.folds):
        tested = (np.arange(world.classes) + number * world.pool // world.folds) % world.pool
        writer_effect = rng.normal(0, world.by_writer, world.writers)
        left = tested[rng.integers(0, world.classes, world.pairs)]
        step = rng.integers(1, world.classes, world.pairs)
        right = tested[(np.searchsorted(np.sort(tested), left) + step) % world.classes]
        right = np.where(np.arange(world.pairs) % 2 == 0, left, np.where(right == left, np.roll(tested, 1)[0], right))
        writers = rng.integers(0, world.writers, (2, world.pairs))
        odds = _LEVEL + rng.normal(0, world.by_fold) + class_effect[left] + class_effect[right]
        odds += writer_effect[writers[0]] + writer_effect[writers[1]]
        own = writers + number * world.writers
        folds.append(Fold((rng.random(world.pairs) < expit(odds)).astype(float), (left, right), (own[0], own[1])))
    return folds


def _interval(folds: Sequence[Fold]) -> tuple[float, float]:
    """As runs on new classes get it (`siamese_mnist.runs.folds`)."""
    values = [each.right for each in folds]

    def figures(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        return np.array([kept_rows(rows, values)])

    kinds: list[list[Sides]] = [[each.classes for each in folds], [each.writers for each in folds]]
    spreads = [
        unit_spreads(figures, Units([left for left, _ in kind], [right for _, right in kind]))[0]
        for kind in kinds
        if len(folds) == 1 or shared([np.concatenate(each) for each in kind])
    ]
    if len(folds) > 1:
        spreads.append(mean_spread([each.mean() for each in values]))
    found = interval_over(float(np.mean([each.mean() for each in values])), spreads)
    assert found is not None
    return found


def _over_images(folds: Sequence[Fold], truth: float) -> bool:
    """Whether the interval over images, ten of every class by every writer and fold, holds the truth."""
    rng = np.random.default_rng(0)
    images = []
    for number, each in enumerate(folds):
        sides = [
            ((one * 1000 + writer) * 10 + rng.integers(0, 10, one.size)) * len(folds) + number
            for one, writer in zip(each.classes, each.writers, strict=True)
        ]
        images.append(sides)
    left, right = (np.concatenate([sides[side] for sides in images]) for side in (0, 1))
    low, high = accuracy_interval(np.concatenate([each.right for each in folds]) > 0.5, left, right)
    return low <= truth <= high


if __name__ == "__main__":
    main()
