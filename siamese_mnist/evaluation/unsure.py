"""Three answers: same, different and unsure, with a bound on the errors among those that are answered.

The band of scores that get no answer is chosen by testing (Geifman and El-Yaniv 2017, arXiv 1705.08500; Angelopoulos et
al. 2021, "Learn then test", arXiv 2110.01052): of a fixed row of bands, each tested at a share of the risk, the
narrowest that passes is taken. Conformal sets, as crepes and MAPIE make them, bound the errors among all pairs instead,
and take pairs as exchangeable; pairs that share images are worth fewer, which counts here as a design effect.
"""

from dataclasses import dataclass

import numpy as np

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.checks import BoolArray, FloatArray, IntArray
from siamese_mnist.evaluation.intervals import PairGraph, fewest_effective_pairs, pair_graph, shared_products

CONFIDENCE = 0.95
"""Chance, over sets of calibration images, that the error among answered pairs is within the bound."""

_TELLING_ERRORS = 20  # fewer do not tell a design effect
_SHARES = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of each answer


@dataclass(frozen=True, kw_only=True)
class UnsureBand:
    """Scores that get no answer.

    Attributes:
        low: the lowest score that is unsure; below it a pair is decided different.
        high: the lowest score that is decided same; equal to `low` where nothing is unsure.
        max_error: the bound, in (0, 0.5), on the share of wrong answers among those given.
        unsure_share: share of calibration pairs that get no answer.
        error_rate: share of wrong answers among the calibration pairs that get one.
    """

    low: float
    high: float
    max_error: float
    unsure_share: float
    error_rate: float


def find_band(
    scores: FloatArray,
    same: BoolArray,
    left: IntArray,
    right: IntArray,
    threshold: float,
    max_error: float,
    *,
    prior: float | None = None,
) -> UnsureBand:
    """The narrowest band about a threshold outside which the answers are wrong at most so often, at `CONFIDENCE`.

    A band leaves out the same share of the pairs answered same and of those answered different: the ones nearest to the
    threshold. The bound is Clopper and Pearson's at the effective number of answered pairs. Where few answers are
    wrong, the design effect is that of a narrower band; where they are few from the start, that of pairs fully
    correlated with every pair they share an image with.

    Args:
        scores: (P,) of calibration pairs, higher means more alike.
        same: (P,) bool ground truth.
        left: (P,) int64, what makes pairs dependent on one side.
        right: (P,) int64, on the other.
        threshold: the score from which a pair is decided same.
        max_error: in (0, 0.5).
        prior: share of same pairs that the bound is for; that of the calibration pairs by default.

    Raises:
        UsageError: if `max_error` is out of its range, or the pairs cannot show that any band keeps it.
    """
    if not 0 < max_error < 0.5:
        raise UsageError(f"max_error must be between 0 and 0.5, got {max_error}")
    share = float(same.mean())
    wanted = share if prior is None else prior
    weights = np.where(same, wanted / share, (1 - wanted) / (1 - share))
    wrong = (scores >= threshold) != same
    graph = pair_graph(left, right, wrong.size)
    effect, least = wrong.size / fewest_effective_pairs(graph), 1.0
    for each in _SHARES:
        low, high = _band(scores, threshold, each)
        answered = (scores < low) | (scores >= high)
        kept = weights * answered
        error = float(kept @ wrong / kept.sum())
        if np.count_nonzero(wrong & answered) >= _TELLING_ERRORS:
            effect = _design_effect(kept * (wrong - error), graph)
        bound = _upper_bound(error, float(kept.sum() ** 2 / (kept @ kept) / effect))
        if bound <= max_error:
            unsure = 1 - float(kept.sum() / weights.sum())
            return UnsureBand(low=low, high=high, max_error=max_error, unsure_share=unsure, error_rate=error)
        least = min(least, bound)
    raise UsageError(
        f"the calibration pairs cannot show that at most {max_error:g} of the answers are wrong, whatever is left "
        f"unsure; the least they can show is {least:.2g}: ask for that, or calibrate on more images"
    )


def _design_effect(residual: FloatArray, graph: PairGraph) -> float:
    """How many times as many pairs are needed as if they shared no image, >= 1."""
    return max(1.0, shared_products(residual, graph) / float(residual @ residual))


def _band(scores: FloatArray, threshold: float, share: float) -> tuple[float, float]:
    """Where the band ends that leaves a share of each answer out; nothing is between without one."""
    if share == 0:
        return threshold, threshold
    below, above = scores[scores < threshold], scores[scores >= threshold]
    low = float(np.quantile(below, 1 - share)) if below.size else threshold
    high = float(np.quantile(above, share)) if above.size else threshold
    return low, high


def _upper_bound(rate: float, pairs: float) -> float:
    """Clopper and Pearson's one-sided upper bound at this test's part of the risk."""
    from scipy.special import betaincinv

    risk = (1 - CONFIDENCE) / len(_SHARES)
    wrong = rate * pairs
    return float(betaincinv(wrong + 1, max(pairs - wrong, 1e-9), 1 - risk))
