"""What errors cost at a prior: cost of log-likelihood-ratio, and normalised Bayes cost, as they are and at their best.

A log-likelihood ratio (LLR) says how much likelier a score is of a same pair than of a different one, whatever the
share of same pairs is; natural logarithms. Terms and definitions are those of Brümmer and du Preez (2006,
"Application-independent evaluation of speaker detection") and of Brümmer and de Villiers (2013, arXiv 1304.2865).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.checks import BoolArray, FloatArray, check_pairs
from siamese_mnist.evaluation.ranking import Roc, roc


def logit(probability: float) -> float:
    """Log-odds of a probability in (0, 1)."""
    return math.log(probability) - math.log1p(-probability)


def effective_prior(prior: float, cost_false_match: float = 1.0, cost_false_non_match: float = 1.0) -> float:
    """The prior at which equal costs ask for the same threshold: all that prior and costs decide.

    Args:
        prior: share of same pairs where the answers are used, in (0, 1).
        cost_false_match: > 0, of a different pair that is answered same.
        cost_false_non_match: > 0, of a same pair that is answered different.

    Raises:
        UsageError: if an argument is out of its range.

    Example:
        >>> round(effective_prior(0.01, cost_false_non_match=99.0), 12)
        0.5
    """
    check_prior(prior)
    for name, cost in (("cost_false_match", cost_false_match), ("cost_false_non_match", cost_false_non_match)):
        if not (math.isfinite(cost) and cost > 0):
            raise UsageError(f"{name} must be finite and > 0, got {cost}")
    odds = logit(prior) + math.log(cost_false_non_match) - math.log(cost_false_match)
    return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))


def check_prior(prior: float) -> None:
    """Raises UsageError unless the prior is in (0, 1)."""
    if not 0 < prior < 1:
        raise UsageError(f"prior must be between 0 and 1, got {prior}")


def cllr(llr: ArrayLike, same: ArrayLike) -> float:
    """Cost of log-likelihood-ratio in bits: 0 for perfect ones, 1 for those that say nothing, more for misleading ones.

    Same and different pairs count half each, whatever their numbers.

    Args:
        llr: (P,) log-likelihood ratios, natural logarithms.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    values, truth = check_pairs(llr, same, name="llr")
    return float(np.mean(penalties(values[truth], True)) + np.mean(penalties(values[~truth], False))) / 2


def penalties(llr: FloatArray, same: BoolArray | bool) -> FloatArray:
    """Bits (P,) that Cllr counts for each pair."""
    bits: FloatArray = np.logaddexp(0, np.where(same, -llr, llr)) / math.log(2)
    return bits


def min_cllr(scores: ArrayLike, same: ArrayLike) -> float:
    """Cllr of the best rising map from these scores to log-likelihood ratios, in [0, 1]: what calibration cannot mend.

    The map is that of the pool-adjacent-violators algorithm, fitted on the pairs themselves.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    return min_cllr_of(roc(scores, same))


def min_cllr_of(curve: Roc) -> float:
    """`min_cllr` of a curve that is known already."""
    from scipy.optimize import isotonic_regression
    from scipy.special import xlogy

    hits = np.rint(np.diff(curve.true_match_rate) * curve.same_count)
    count = hits + np.rint(np.diff(curve.false_match_rate) * curve.different_count)
    share = isotonic_regression(
        hits / count, weights=count, increasing=False
    ).x  # of same pairs, the highest score first
    # log2(1 + exp(-llr)) and log2(1 + exp(llr)) without the llr, which can be infinite.
    odds = curve.same_count / curve.different_count
    same_mass, different_mass = share, (1 - share) * odds
    total = same_mass + different_mass
    bits = xlogy(hits / curve.same_count, same_mass / total) + xlogy(
        (count - hits) / curve.different_count, different_mass / total
    )
    return max(0.0, float(-bits.sum()) / (2 * math.log(2)))


def bayes_cost(false_match_rate: ArrayLike, false_non_match_rate: ArrayLike, prior: float) -> FloatArray:
    """Expected cost at an effective prior, in units of that of the better constant answer: 1 is no better than that.

    Args:
        false_match_rate: in [0, 1], of any shape.
        false_non_match_rate: in [0, 1], of the same shape.
        prior: effective prior, see `effective_prior`.

    Raises:
        UsageError: if the prior is outside (0, 1).
    """
    check_prior(prior)
    missed, matched = np.asarray(false_non_match_rate), np.asarray(false_match_rate)
    cost: FloatArray = np.asarray((prior * missed + (1 - prior) * matched) / min(prior, 1 - prior))
    return cost


def minimum_bayes_cost(curve: Roc, prior: float) -> float:
    """Least normalised Bayes cost, in [0, 1], of any threshold on these very pairs."""
    return float(bayes_cost(curve.false_match_rate, 1 - curve.true_match_rate, prior).min())


@dataclass(frozen=True, kw_only=True, eq=False)
class CostCurve:
    """Normalised Bayes cost over effective priors.

    Attributes:
        log_odds: (L,) of the effective prior.
        actual: (L,) cost of the thresholds that the log-likelihood ratios ask for.
        minimum: (L,) cost of the best threshold at each prior, chosen on the pairs themselves.
    """

    log_odds: FloatArray
    actual: FloatArray
    minimum: FloatArray


def cost_curve(llr: ArrayLike, same: ArrayLike, log_odds: ArrayLike | None = None) -> CostCurve:
    """Actual and minimum normalised Bayes cost over effective priors.

    Args:
        llr: (P,) log-likelihood ratios, natural logarithms.
        same: (P,) bool ground truth.
        log_odds: (L,) of the effective priors; -7 to 7 by default.

    Raises:
        ValueError: see `check_pairs`.
    """
    values, truth = check_pairs(llr, same, name="llr")
    grid = np.linspace(-7, 7, 141) if log_odds is None else np.asarray(log_odds, dtype=np.float64)
    curve = roc(values, truth)
    accepted = np.searchsorted(-curve.thresholds, grid, side="right") - 1  # operating point of threshold -log_odds
    priors = [1 / (1 + math.exp(-each)) for each in grid.tolist()]
    rates = zip(curve.false_match_rate[accepted], 1 - curve.true_match_rate[accepted], priors, strict=True)
    return CostCurve(
        log_odds=grid,
        actual=np.array([float(bayes_cost(*each)) for each in rates]),
        minimum=np.array([minimum_bayes_cost(curve, prior) for prior in priors]),
    )
