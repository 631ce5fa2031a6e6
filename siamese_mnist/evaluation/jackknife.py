"""Intervals of figures whose units are classes or writers rather than images, by leaving out one unit after the other.

A class that is hard is hard in every image of it, and it is a wrong answer that many other classes meet; so a figure of
new classes is as sure as their number allows, however many images, pairs or episodes were drawn of them. The jackknife
needs no more than the figure without each class: by Efron and Stein (1981) its variance is, on average, at least that
of the figure of one class less, for any figure that does not depend on the order of the classes.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from siamese_mnist.evaluation.intervals import student_quantile, wilson_at


class Rate(NamedTuple):
    """A rate in [0, 1] and its interval, lower and upper bound."""

    rate: float
    low: float
    high: float


class Spread(NamedTuple):
    """Variance of a figure over units of one kind, such as classes, and their number."""

    variance: float
    units: int


def jackknife(without: Callable[[int], float], units: int) -> Spread:
    """Variance of a figure over its units.

    Args:
        without: the figure without the unit of that number; NaN where nothing is left to measure.
        units: how many there are, numbered from 0.
    """
    figures = np.array([without(unit) for unit in range(units)])
    figures = figures[np.isfinite(figures)]
    if figures.size < 2:
        return Spread(0.0, figures.size)
    return Spread(float((figures.size - 1) * figures.var()), figures.size)


def rate_interval(rate: float, spreads: Sequence[Spread], confidence: float = 0.95, *, in_common: float = 0.0) -> Rate:
    """Wilson interval of a rate at the effective sample size of its variance over all kinds of units.

    The variances add up, less what is in several of them (Cameron, Gelbach and Miller 2011), but to no less than the
    largest. Quantiles come from Student's t with Satterthwaite's degrees of freedom. Where no unit moves the rate, as
    at 0 and 1, the size is the smallest number of units.

    Args:
        rate: in [0, 1].
        spreads: one for each kind of unit.
        confidence: in (0, 1).
        in_common: variance that several of the spreads hold.

    Raises:
        ValueError: if the confidence is out of range.
    """
    fewest = min(each.units for each in spreads)
    whole = sum(each.variance for each in spreads)
    total = max(whole - in_common, *(each.variance for each in spreads), 0.0)
    squares = sum(each.variance**2 / max(each.units - 1, 1) for each in spreads)
    degrees = whole**2 / squares if squares else fewest - 1
    spread = rate * (1 - rate)
    size = spread / total if total and spread else fewest
    quantile = student_quantile(confidence, degrees if fewest > 1 else 0)
    return Rate(rate, *wilson_at(rate, min(size, math.inf), quantile))
