"""Accuracy against tuning budget: the best of n trials, as it is to be expected."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1000


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """The best validation accuracy of a number of trials.

    Attributes:
        trials: how many.
        mean: expected best, in [0, 1].
        interval: its 95 % bootstrap interval over the trials.
    """

    trials: int
    mean: float
    interval: tuple[float, float]


def expected_best(accuracies: Sequence[float]) -> list[BestOf]:
    """Expected best of 1, 2, ..., N trials in random order.

    The figure is the mean over all choices of n of the N trials (Tang et al. 2020, "Showing Your Work Doesn't Always
    Work"; the form without bias of Dodge et al. 2019, "Show Your Work"), so for n = N it is the best of them. The
    interval resamples the trials, as in Dodge et al.; it cannot reach above the best trial, and with few trials it is
    rough.

    Args:
        accuracies: (N,) in [0, 1], N >= 1, of trials that do not depend on each other.
    """
    values = np.asarray(accuracies, dtype=np.float64)
    count = len(values)
    weights = np.stack([_weights(count, n) for n in range(1, count + 1)])
    drawn = np.random.default_rng(0).integers(count, size=(REPLICATES, count))
    resampled = np.sort(values[drawn], axis=1) @ weights.T
    means = weights @ np.sort(values)
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    return [
        BestOf(trials=n, mean=float(means[n - 1]), interval=(float(low[n - 1]), float(high[n - 1])))
        for n in range(1, count + 1)
    ]


def _weights(count: int, n: int) -> NDArray[np.float64]:
    """The chance of each of `count` sorted values, (count,), to be the greatest of n of them."""
    below = np.arange(count)
    chances = np.ones(count)
    for step in range(n - 1):  # C(i, n - 1) / C(count, n) as products that stay small
        chances *= np.clip(below - step, 0, None) / (count - 1 - step)
    return chances * n / count
