"""Intervals over classes, writers and folds, where those who use a figure will meet new ones.

All pairs of a hard class are hard, so where test classes are new, they are the sample, not the images. The same holds
for new writers, and over folds for what each fold trained on and took its threshold from. The spread over units of a
kind is that of the figure without each of them (`jackknife`).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.checks import BoolArray, FloatArray, IntArray
from siamese_mnist.evaluation.intervals import student_quantile
from siamese_mnist.evaluation.jackknife import Spread, jackknife, rate_interval

Figures = Callable[[Sequence[IntArray]], FloatArray]
"""From rows of the pairs of every fold to M figures, NaN where these pairs have none."""


class Units(NamedTuple):
    """Units of one kind, such as classes, of the pairs of every fold; a unit may be in several folds.

    Attributes:
        left: for every fold (P,) the unit of each pair's left image.
        right: for every fold (P,) the unit of each pair's right image.
    """

    left: Sequence[ArrayLike]
    right: Sequence[ArrayLike]


def unit_spreads(figures: Figures, units: Units) -> list[Spread]:
    """Spread of each of M figures over units, which are left out one by one with all their pairs.

    Args:
        figures: what is computed.
        units: of all pairs.
    """
    sides = [np.asarray(side) for side in (*units.left, *units.right)]
    numbers = np.unique(np.concatenate(sides), return_inverse=True)[1]
    numbered = np.split(numbers, np.cumsum([side.size for side in sides])[:-1])
    left, right = numbered[: len(units.left)], numbered[len(units.left) :]

    def without(unit: int) -> FloatArray:
        return figures([np.flatnonzero((a != unit) & (b != unit)) for a, b in zip(left, right, strict=True)])

    count = int(numbers.max()) + 1
    table = np.stack([without(unit) for unit in range(count)])  # (U, M)
    return [jackknife(column.tolist().__getitem__, count) for column in table.T]


def mean_spread(values: ArrayLike) -> Spread:
    """Spread of the mean of values (U,), one for each unit, such as a fold or a seed."""
    array = np.asarray(values, dtype=np.float64)
    return Spread(float(array.var(ddof=1)) / array.size, array.size)


def interval_over(
    figure: float, spreads: Sequence[Spread], limits: tuple[float, float] = (0.0, 1.0), confidence: float = 0.95
) -> tuple[float, float] | None:
    """Interval of a figure from its spreads; None where a kind has no two units that it can be computed without.

    Args:
        figure: within `limits`.
        spreads: one for each kind of unit; their variances add up.
        limits: the least and the largest value, infinite where there is none.
        confidence: in (0, 1).
    """
    if any(each.units < 2 for each in spreads):
        return None
    low, high = limits
    if math.isfinite(high - low):
        scaled = [Spread(each.variance / (high - low) ** 2, each.units) for each in spreads]
        _, lower, upper = rate_interval((figure - low) / (high - low), scaled, confidence)
        return low + (high - low) * lower, low + (high - low) * upper
    degrees = min(each.units for each in spreads) - 1
    half = student_quantile(confidence, degrees) * math.sqrt(sum(each.variance for each in spreads))
    return max(low, figure - half), min(high, figure + half)


def shared(sides: Sequence[ArrayLike]) -> bool:
    """Whether two folds have a unit in common."""
    own = [set(np.unique(np.asarray(each)).tolist()) for each in sides]
    return len(set().union(*own)) < sum(map(len, own))


def kept_rows(rows: Sequence[IntArray], values: Sequence[FloatArray | BoolArray]) -> float:
    """Mean over folds of the mean of each fold's values in these rows; NaN where a fold has none left."""
    means = [float(fold[some].mean()) if some.size else math.nan for some, fold in zip(rows, values, strict=True)]
    return float(np.nanmean(means)) if np.isfinite(means).any() else math.nan
