"""Verdicts about differences in accuracy, and intervals that agree with them.

All comparisons of one table are one family (Bonferroni): the chance that any verdict takes a side without reason is at
most 5 %, and the intervals hold all true differences at once in at least 95 % of tables. A verdict takes a side if and
only if its interval leaves out 0. `python benchmarks/verdicts.py` measures these rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.intervals import as_rates, fewest_effective_pairs, pair_graph, shared_products, wilson_at
from siamese_mnist.evaluation.jackknife import Spread

__all__ = ["Comparison", "Judgement", "PairedDifference", "Verdict", "judge_family", "paired_difference"]

Verdict = Literal[
    "better",
    "worse",
    "no difference shown",
    "one seed: models differ",
    "one seed: no difference shown",
]
"""What a comparison shows about two designs or, with one seed, about two trained models on these images."""

SIGNIFICANCE = 0.05
_SMALLEST_LOG_P = -690.0  # of the least positive float, nearly


class PairedDifference(NamedTuple):
    """Accuracy of A minus accuracy of B in [-1, 1], its interval, and the two-sided p-value of "no difference"."""

    difference: float
    low: float
    high: float
    p_value: float


class Comparison(NamedTuple):
    """Answers of A and of B to the same pairs, of one model each or of S seeds of each.

    Where classes, writers or folds are the sample, not images, `spreads` has what the difference varies by over each,
    and over seeds; images are not looked at then.
    """

    correct_a: ArrayLike  # (P,) or (S, P) bool, True where A was right; S >= 2 seeds
    correct_b: ArrayLike  # of the same shape, row s beside row s of A
    spreads: tuple[Spread, ...] = ()
    trainings: int = 0  # models of A, and as many of B; 0 is one for each row


class Judgement(NamedTuple):
    """A comparison judged as one of a family; the interval is simultaneous with all others of the family."""

    difference: float  # accuracy of A minus accuracy of B, in [-1, 1]
    low: float
    high: float
    p_adjusted: float  # p-value of "no difference" times the size of the family, at most 1
    verdict: Verdict


def judge_family(
    comparisons: Sequence[Comparison], left: ArrayLike, right: ArrayLike, significance: float = SIGNIFICANCE
) -> list[Judgement]:
    """Judges all comparisons of a table as one family, see the module.

    Args:
        comparisons: those of the table, all on the same pairs.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
        significance: chance of a side taken without reason, for the whole family, in (0, 1).

    Raises:
        ValueError: see `paired_difference`.
    """
    share = significance / max(1, len(comparisons))
    judged = []
    for each in comparisons:
        found = paired_difference(
            each.correct_a, each.correct_b, left, right, confidence=1 - share, spreads=each.spreads
        )
        p_adjusted = min(1.0, found.p_value * len(comparisons))
        trainings = each.trainings or len(np.atleast_2d(each.correct_a))
        judged.append(Judgement(*found[:3], p_adjusted, _verdict(found.low, found.high, trainings)))
    return judged


def _verdict(low: float, high: float, trainings: int) -> Verdict:
    shown = not low <= 0 <= high
    if trainings == 1:
        return "one seed: models differ" if shown else "one seed: no difference shown"
    if not shown:
        return "no difference shown"
    return "better" if low > 0 else "worse"


def paired_difference(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    confidence: float = 0.95,
    spreads: Sequence[Spread] = (),
) -> PairedDifference:
    """Difference in accuracy between A and B on the same pairs, for one model each or for S seeds of each.

    With one model each, the variance is the `pair_variance` of the per-pair differences. Over seeds there are two
    sources: the images could have been others (the `pair_variance` of the differences averaged over seeds), and the
    seeds could have been others (the variance between the S seeds' differences, over S).

    If the variance over images is not positive, it is bounded by that of pairs fully correlated with every pair they
    share an image with. If A and B never differ, the interval is +-the Wilson bound of no difference in that many
    effective pairs.

    Args:
        correct_a: (P,) or (S, P) bool, True where A was right; S >= 2 seeds, row s of A against row s of B.
        correct_b: bool, the shape of `correct_a`.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
        confidence: in (0, 1).
        spreads: of the difference over what is sampled in place of images, and over trainings.

    Raises:
        ValueError: if the shapes differ, there is one row only, or an array is not of its type.
    """
    a, b = as_rates(correct_a, "correct_a"), as_rates(correct_b, "correct_b")
    if a.shape != b.shape or a.ndim not in (1, 2):
        raise ValueError(f"correct_a and correct_b must both be (P,) or both (S, P), got {a.shape} and {b.shape}")
    if a.ndim == 2 and a.shape[0] < 2:
        raise ValueError("the variance between seeds needs two or more rows; pass 1-D arrays for one seed")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    by_seed = np.atleast_2d(a - b)
    graph = pair_graph(left, right, by_seed.shape[1])
    degrees = graph.images - 1
    if not by_seed.any():
        half = wilson_at(0.0, fewest_effective_pairs(graph), _quantile(1 - confidence, degrees))[1]
        return PairedDifference(0.0, -half, half, 1.0)

    by_pair = by_seed.mean(axis=0)
    difference = float(by_pair.mean())
    if spreads:
        sources = [_Source(each.variance, each.units - 1) for each in spreads]
        return _between(difference, sources, confidence)
    over_images = shared_products(by_pair - difference, graph) / by_pair.size**2
    if over_images <= 0:
        over_images = float(np.mean(by_seed**2)) / fewest_effective_pairs(graph)
    sources = [_Source(over_images, degrees)]
    if len(by_seed) > 1:
        sources.append(_Source(float(by_seed.mean(axis=1).var(ddof=1)) / len(by_seed), len(by_seed) - 1))
    return _between(difference, sources, confidence)


class _Source(NamedTuple):
    """A source of chance."""

    variance: float  # of the mean difference
    degrees: int  # of freedom of that variance


def _between(difference: float, sources: Sequence[_Source], confidence: float) -> PairedDifference:
    half = _half_width(sources, 1 - confidence)
    return PairedDifference(
        difference, max(-1.0, difference - half), min(1.0, difference + half), _p_value(sources, difference)
    )


def _quantile(error: float, degrees: int) -> float:
    """Student's two-sided quantile for a chance of error; infinite when there is no degree of freedom."""
    from scipy.special import stdtrit

    return -float(stdtrit(degrees, error / 2)) if degrees > 0 else math.inf


def _half_width(sources: Sequence[_Source], error: float) -> float:
    """Half the width of an interval that misses the truth with at most some chance of error (Banerjee 1961).

    Every source has the quantile of its own degrees of freedom, so the bound holds whichever source is the larger one.
    Satterthwaite's common degrees of freedom do not give that: a few seeds that happen to agree give a small variance
    and many degrees of freedom at once.
    """
    parts = (_quantile(error, each.degrees) * math.sqrt(each.variance) for each in sources if each.variance > 0)
    return math.hypot(*parts)


def _p_value(sources: Sequence[_Source], difference: float) -> float:
    """The chance of error at which the interval of a difference ends at 0."""
    from scipy.optimize import brentq

    if difference == 0 or any(not each.degrees for each in sources):
        return 1.0

    def excess(log_error: float) -> float:
        return _half_width(sources, math.exp(log_error)) - abs(difference)

    if excess(_SMALLEST_LOG_P) <= 0:
        return math.exp(_SMALLEST_LOG_P)
    return float(math.exp(brentq(excess, _SMALLEST_LOG_P, 0.0, xtol=1e-12)))
