"""Runs on new classes, of one fold or of several joined: their figures, intervals and comparisons.

The figure of an entry is its mean over folds and seeds. In one fold, the test classes and writers are the sample. Over
several, the folds are, each with test classes, training and threshold of its own; and so is what the folds share.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import METRICS
from siamese_mnist.evaluation.jackknife import Spread
from siamese_mnist.evaluation.metrics import compute
from siamese_mnist.evaluation.units import Figures, Units, interval_over, kept_rows, mean_spread, shared, unit_spreads
from siamese_mnist.evaluation.verdicts import Comparison
from siamese_mnist.runs.scored import ScoredRun, run_intervals, stacked

Folds = Sequence[Sequence[ScoredRun]]
"""Runs of one entry: of every fold those of every seed, the same seeds in each."""


def by_fold(runs: Sequence[ScoredRun]) -> Folds:
    """Runs of one entry by fold, and those of each by seed.

    Raises:
        UsageError: if not every fold has the same seeds.
    """
    folds: dict[int, dict[int, ScoredRun]] = {}
    for each in runs:
        folds.setdefault(each.run.split.fold, {})[each.run.seed] = each
    seeds = sorted({each.run.seed for each in runs})
    for number, found in folds.items():
        if lacking := [seed for seed in seeds if seed not in found]:
            raise UsageError(
                f"fold {number} of {runs[0].run.variant!r} lacks seed {lacking[0]}, which other folds have"
            )
    return [[folds[number][seed] for seed in seeds] for number in sorted(folds)]


def over_units(folds: Folds) -> bool:
    """Whether intervals are over classes, writers or folds: of new classes, and of several folds of whatever kind."""
    return len(folds) > 1 or bool(folds[0][0].units)


def entry_intervals(folds: Folds, metrics: Collection[str]) -> dict[str, tuple[float, float]]:
    """95 % intervals of metrics over what the runs are a sample of: images and seeds, or units (`over_units`).

    Args:
        folds: runs of an entry.
        metrics: names in `METRICS`; those without an interval, and those without a figure, are left out.
    """
    if not over_units(folds):
        return run_intervals(folds[0], metrics)
    names = [name for name in metrics if METRICS[name].interval]
    table = np.array([[_figures(run, names) for run in seeds] for seeds in folds])  # (F, S, M)
    spreads = [unit_spreads(_leaving_out(folds, names), units) for units in _units(folds)]
    found = {}
    for number, name in enumerate(names):
        values = table[:, :, number]
        if np.isfinite(values).all():
            all_spreads = [each[number] for each in spreads] + _spreads_of_training(values)
            interval = interval_over(float(values.mean()), all_spreads, METRICS[name].limits)
            if interval is not None:
                found[name] = interval
    return found


def fold_comparison(ours: Folds, theirs: Folds) -> Comparison:
    """The answers of two entries to the same pairs, and how the difference in accuracy spreads over what is sampled."""
    apart = [
        [one.correct.astype(float) - other.correct for one, other in zip(*seeds, strict=True)]
        for seeds in zip(ours, theirs, strict=True)
    ]
    by_pair = [np.mean(seeds, axis=0) for seeds in apart]
    values = np.array([[each.mean() for each in seeds] for seeds in apart])  # (F, S)

    def difference(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        return np.array([kept_rows(rows, by_pair)])

    spreads = [unit_spreads(difference, units)[0] for units in _units(ours)]
    return Comparison(
        _joined(ours),
        _joined(theirs),
        spreads=(*spreads, *_spreads_of_training(values)),
        trainings=values.size,
    )


def fold_clusters(folds: Folds) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What makes the pairs of all folds dependent, of both sides; nothing of one fold is in another."""
    sides: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    start = 0
    for seeds in folds:
        left, right = seeds[0].clusters
        for side, values in zip(sides, (left, right), strict=True):
            side.append(values + start)
        start += int(max(left.max(), right.max())) + 1
    return np.concatenate(sides[0]), np.concatenate(sides[1])


def _units(folds: Folds) -> list[Units]:
    """Kinds of units: all that one fold has, or those that several folds share."""
    kinds = folds[0][0].units
    sides = {kind: [seeds[0].units[kind] for seeds in folds] for kind in kinds}
    return [
        Units([left for left, _ in pairs], [right for _, right in pairs])
        for pairs in sides.values()
        if len(folds) == 1 or shared([np.concatenate(each) for each in pairs])
    ]


def _spreads_of_training(values: NDArray[np.float64]) -> list[Spread]:
    """Spread of a figure (F, S) over folds, each trained anew, or over the seeds of the only one."""
    if len(values) > 1:
        return [mean_spread(values.mean(axis=1))]
    return [mean_spread(values[0])] if values.size > 1 else []


def _leaving_out(folds: Folds, names: Sequence[str]) -> Figures:
    whole = [np.mean([_figures(run, names) for run in seeds], axis=0) for seeds in folds]

    def figures(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        kept = [
            whole[number]
            if some.size == seeds[0].columns["same"].size
            else np.mean([_figures(run, names, some) for run in seeds], axis=0)
            for number, (some, seeds) in enumerate(zip(rows, folds, strict=True))
        ]
        means: NDArray[np.float64] = np.mean(kept, axis=0)
        return means

    return figures


def _figures(run: ScoredRun, names: Sequence[str], rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Metrics of a run's pairs, or of some of them; NaN where these have none."""
    if rows is None:
        found = [run.figure(name) for name in names]
    else:
        same = run.columns["same"][rows]
        pairs = run.pairs.rows(rows) if same.any() and not same.all() else None
        found = [compute(name, pairs) if pairs else _figure_of_one_kind(run, name, rows) for name in names]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def _figure_of_one_kind(run: ScoredRun, name: str, rows: NDArray[np.int64]) -> float | None:
    """The one figure of pairs that are all genuine or all impostor: of two classes, one alone has no impostors."""
    return float(run.correct[rows].mean()) if name == "accuracy" and rows.size else None


def _joined(folds: Folds) -> NDArray[np.bool_]:
    """Whether the answers to the pairs of all folds were right: (P,) of one seed, or (S, P) of several."""
    return stacked([np.concatenate([run.correct for run in seed]) for seed in zip(*folds, strict=True)])
