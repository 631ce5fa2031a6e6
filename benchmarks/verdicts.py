"""Error rates and power of the verdicts of `siamese-mnist compare`: the page docs/verdicts.md.

python benchmarks/verdicts.py --output docs/verdicts.md

Simulated tables of equal designs, and real ones: one design under disjoint seeds, named as if it were many.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import special
from study import publish, run_all, table

from siamese_mnist.evaluation.intervals import add_seed_variance, pair_graph, shared_products, wilson_interval
from siamese_mnist.evaluation.verdicts import Comparison, judge_family
from siamese_mnist.runs.scored import scored_run
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.machine import made_by

SEEDS, COMPARED = (3, 5, 10), (1, 5, 20)
POWER_SEEDS = (3, 5, 10, 20, 40, 80)
IMAGES, PAIRS = 300, 1500
_PART = 20  # tables a job
_ENTRY = "siamese:train_pairs=4000,test_pairs=2000,pretrain_epochs=0,epochs=1,curve=false"


class Design(NamedTuple):
    """A simulated design: how likely its runs are right.

    Attributes:
        own: share of images that are easy or difficult for this design in its own way, not for all designs.
        luck: standard deviation of a run's accuracy around its design's.
        whim: how much an image's difficulty differs from run to run, as standard deviation of its logarithm.
        gain: points of accuracy by which it is better than the first design of its table.
    """

    own: float
    luck: float
    whim: float
    gain: float = 0.0


WORLDS = {
    "seeds matter little": Design(own=0.0, luck=0.002, whim=0.5),
    "seeds matter": Design(own=0.0, luck=0.01, whim=0.5),
    "seeds matter most": Design(own=0.0, luck=0.03, whim=0.3),
    "designs err on other images": Design(own=0.5, luck=0.002, whim=0.2),
    "both": Design(own=0.5, luck=0.01, whim=0.2),
}


def main() -> None:
    options = _arguments()
    errors = {name: _error_rates(design, options) for name, design in WORLDS.items()}
    power = {seeds: [_power(gain, seeds, options) for gain in _GAINS] for seeds in POWER_SEEDS}
    real = _real(options)
    publish(_page(errors, power, real, options), options.output)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tables", type=int, default=300, help="simulated tables of each kind")
    parser.add_argument("--minutes", type=float, default=3, help="stop training for the real tables after this long")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs/verdicts"), help="where real runs are kept")
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed otherwise")
    return parser.parse_args()


class Table(NamedTuple):
    """Answers of designs to the same pairs."""

    left: NDArray[np.int64]  # (P,)
    right: NDArray[np.int64]  # (P,)
    correct: list[NDArray[np.bool_]]  # (S, P) of every design

    def judged(self, seeds: int, compared: int) -> list[str]:
        """Verdicts on the first of the designs, from the first of the seeds."""
        first, *others = (each[:seeds] for each in self.correct[: compared + 1])
        judged = judge_family([Comparison(each, first) for each in others], self.left, self.right)
        return [each.verdict for each in judged]

    def satterthwaite(self, seeds: int, compared: int) -> bool:
        """Whether the test of before takes a side: both variances added, common degrees of freedom, Holm."""
        graph = pair_graph(self.left, self.right, self.left.size)
        first, *others = (each[:seeds].astype(float) for each in self.correct[: compared + 1])
        p_values = []
        for each in others:
            by_seed = each - first
            by_pair = by_seed.mean(axis=0)
            variance = max(shared_products(by_pair - by_pair.mean(), graph) / by_pair.size**2, 1e-12)
            variance, degrees = add_seed_variance(variance, graph.images - 1, by_seed.mean(axis=1))
            p_values.append(2 * special.stdtr(degrees, -abs(by_pair.mean()) / math.sqrt(variance)))
        return min(p_values) * compared <= 0.05


def _draw(rng: np.random.Generator, first: Design, others: list[Design], seeds: int) -> Table:
    left = rng.integers(0, IMAGES, PAIRS)
    right = (left + rng.integers(1, IMAGES, PAIRS)) % IMAGES
    common = _difficulty(rng)
    return Table(left, right, [_answers(rng, each, common, left, right, seeds) for each in (first, *others)])


def _difficulty(rng: np.random.Generator) -> NDArray[np.float64]:
    """Chance that an image spoils its pair: a fifth of the images are difficult."""
    return np.where(rng.random(IMAGES) < 0.2, rng.random(IMAGES) * 0.6, 0.0)


def _answers(
    rng: np.random.Generator,
    design: Design,
    common: NDArray[np.float64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    seeds: int,
) -> NDArray[np.bool_]:
    difficulty = np.where(rng.random(IMAGES) < design.own, _difficulty(rng), common)
    whim = np.exp(design.whim * rng.standard_normal((seeds, IMAGES)) - design.whim**2 / 2)
    spoils = np.clip(difficulty * whim, 0, 1)
    luck = design.luck * rng.standard_normal((seeds, 1))
    chance = (1 - spoils[:, left]) * (1 - spoils[:, right]) * 0.93 + luck + design.gain
    found: NDArray[np.bool_] = rng.random((seeds, PAIRS)) < chance
    return found


class Rate(NamedTuple):
    """How often something happened."""

    hits: int
    tables: int

    def __str__(self) -> str:
        low, high = wilson_interval(self.hits / self.tables, self.tables)
        return f"{self.hits / self.tables:.1%} ({low:.1%} to {high:.1%})"


def _error_rates(design: Design, options: argparse.Namespace) -> dict[tuple[int, int], tuple[Rate, Rate]]:
    """By seeds and comparisons: tables of equal designs in which a side is taken, before and now."""
    parts = Parallel(options.jobs)(delayed(_sides)(design, part) for part in range(max(1, options.tables // _PART)))
    return {
        (seeds, compared): (
            Rate(sum(part[seeds, compared][0] for part in parts), len(parts) * _PART),
            Rate(sum(part[seeds, compared][1] for part in parts), len(parts) * _PART),
        )
        for seeds in SEEDS
        for compared in COMPARED
    }


def _sides(design: Design, part: int) -> dict[tuple[int, int], tuple[int, int]]:
    rng = np.random.default_rng([0, part])
    counts = {(seeds, compared): [0, 0] for seeds in SEEDS for compared in COMPARED}
    for _ in range(_PART):
        drawn = _draw(rng, design, [design] * max(COMPARED), max(SEEDS))
        for (seeds, compared), count in counts.items():
            count[0] += drawn.satterthwaite(seeds, compared)
            count[1] += any(each in ("better", "worse") for each in drawn.judged(seeds, compared))
    return {key: (before, now) for key, (before, now) in counts.items()}


_GAINS = (0.01, 0.02, 0.03)


def _power(gain: float, seeds: int, options: argparse.Namespace) -> Rate:
    """How often one design that is better by `gain` is called so, in a table of two."""
    design = WORLDS["seeds matter"]
    tables = max(_PART, options.tables // 4)
    rng = np.random.default_rng([1, seeds])
    hits = 0
    for _ in range(tables):
        drawn = _draw(rng, design, [design._replace(gain=gain)], seeds)
        hits += drawn.judged(seeds, 1) == ["better"]
    return Rate(hits, tables)


def _real(options: argparse.Namespace) -> dict[tuple[int, int], Rate]:
    """Tables made of one design's runs, every run in one table only, under as many seeds as time allows."""
    answers: list[NDArray[np.bool_]] = []
    columns, started = None, time.monotonic()
    while time.monotonic() - started < 60 * options.minutes:
        batch = range(len(answers), len(answers) + 40)
        runs = run_all(
            [Settings.resolve(_ENTRY, seed=seed) for seed in batch], runs_dir=options.runs_dir, jobs=options.jobs
        )
        scored = [scored_run(run) for run in runs]
        answers += [each.correct for each in scored]
        columns = scored[0].columns
        print(f"{len(answers)} runs", file=sys.stderr)
    if columns is None:
        return {}
    rates = {}
    for seeds in SEEDS:
        for compared in COMPARED:
            tables = list(_tables(answers, columns["left"], columns["right"], seeds, compared))
            sides = [any(each in ("better", "worse") for each in found.judged(seeds, compared)) for found in tables]
            if sides:
                rates[seeds, compared] = Rate(sum(sides), len(sides))
    return rates


def _tables(
    answers: list[NDArray[np.bool_]],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    seeds: int,
    compared: int,
) -> Iterator[Table]:
    size = seeds * (compared + 1)
    for start in range(0, len(answers) - size + 1, size):
        groups = range(start, start + size, seeds)
        yield Table(left, right, [np.stack(answers[begin : begin + seeds]) for begin in groups])


def _page(
    errors: dict[str, dict[tuple[int, int], tuple[Rate, Rate]]],
    power: dict[int, list[Rate]],
    real: dict[tuple[int, int], Rate],
    options: argparse.Namespace,
) -> str:
    worst = max((rates[1] for found in errors.values() for rates in found.values()), key=lambda rate: rate.hits)
    worst_before = max((rates[0] for found in errors.values() for rates in found.values()), key=lambda rate: rate.hits)
    header = ["seeds", "comparisons", *WORLDS]
    tables = [
        table(
            header,
            [
                [str(seeds), str(compared), *(str(found[seeds, compared][which]) for found in errors.values())]
                for seeds in SEEDS
                for compared in COMPARED
            ],
        )
        for which in (1, 0)
    ]
    drawn = errors[next(iter(WORLDS))][3, 1][0].tables
    chosen = f"--tables {options.tables} --minutes {options.minutes:g}"
    command = f"python benchmarks/verdicts.py {chosen} --output docs/verdicts.md"
    gains = [f"{100 * gain:g} {'point' if gain == 0.01 else 'points'}" for gain in _GAINS]
    needed = next((seeds for seeds, rates in power.items() if rates[0].hits / rates[0].tables >= 0.8), None)
    enough = (
        f"One point is shown in four of five tables with {needed} seeds."
        if needed
        else "One point takes more seeds than these."
    )
    return f"""# How far verdicts can be trusted

`siamese-mnist compare` calls a design better or worse only if the simultaneous interval of the difference leaves out 0
([Comparisons](comparison.md#what-the-verdict-means)). This page measures how often it does so for designs that are
equal, and how many seeds it takes to show a difference that is there. Parentheses hold 95 % intervals.

{made_by(command)}

## Sides taken without reason

Share of tables with at least one *better* or *worse* among equal designs. It must be at most 5 %. Of all cells the
worst is {worst}.

{tables[0]}

Each table has {IMAGES} simulated images, a fifth of them difficult, and {PAIRS:,} pairs; {drawn:,} tables a
column. The columns differ in how much accuracy varies from seed to seed, and in whether designs find the same images
difficult.

## The same with the test of before

Until 24 November 2026 both variances were added and given common degrees of freedom (Satterthwaite), and p-values were
adjusted by Holm's method. Three seeds that happen to agree then looked like certainty; the worst cell is
{worst_before}.

{tables[1]}

## The same with real trainings

One design under disjoint seeds, dealt into tables as if it were several: `{_ENTRY}`. Every run is in one table of a
row.

{_real_table(real)}

The test images are the same in all these tables, so the rows show what chance in training does, not what chance in
images does.

## How many seeds does it take?

Share of tables of two designs in which the one that is better by so much is called *better*; the standard deviation
between seeds is that of `siamese` under the recipe `report`, 0.01, of each design.

{table(["seeds", *gains], [[str(seeds), *map(str, rates)] for seeds, rates in power.items()])}

{enough}
The simulated test has {PAIRS:,} pairs of {IMAGES} images; with more images the same differences need fewer seeds, but
no number of images makes up for seeds that differ.
"""


def _real_table(real: dict[tuple[int, int], Rate]) -> str:
    if not real:
        return "No run was trained in the time given."
    rows = [[str(seeds), str(compared), str(rate.tables), str(rate)] for (seeds, compared), rate in real.items()]
    return table(["seeds", "comparisons", "tables", "tables with a side"], rows)


if __name__ == "__main__":
    main()
