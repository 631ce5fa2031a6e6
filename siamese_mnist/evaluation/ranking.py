"""Metrics of the order of the scores: no threshold has to be chosen.

The curve is computed here, as importing scikit-learn takes longer than all else that a run's figures need; it is the
oracle of the tests.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.checks import FloatArray, check_pairs


class Roc(NamedTuple):
    """Operating points (T,), one per distinct score, strictest first; the first point accepts no pair.

    `false_match_rate` and `true_match_rate` never fall along the curve; `thresholds` falls from inf.
    """

    false_match_rate: FloatArray
    true_match_rate: FloatArray
    thresholds: FloatArray
    different_count: int
    same_count: int


def roc(scores: ArrayLike, same: ArrayLike) -> Roc:
    """All operating points of the scores; pairs with equal scores enter together.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    values, truth = check_pairs(scores, same)
    order = np.argsort(values)[::-1]
    ordered = values[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # of every group of equal scores
    true_matches = np.append(0, np.cumsum(truth[order])[last])
    false_matches = np.append(0, last + 1) - true_matches
    same_count = int(np.count_nonzero(truth))
    different_count = truth.size - same_count
    thresholds = np.append(np.inf, ordered[last])
    return Roc(false_matches / different_count, true_matches / same_count, thresholds, different_count, same_count)


def roc_auc(scores: ArrayLike, same: ArrayLike) -> float:
    """Area under the ROC curve in [0, 1]: the chance that a same pair scores above a different one, ties counting half.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    return roc_auc_of(roc(scores, same))


def roc_auc_of(curve: Roc) -> float:
    """`roc_auc` of a curve that is known already."""
    heights = (curve.true_match_rate[1:] + curve.true_match_rate[:-1]) / 2
    return float(np.dot(np.diff(curve.false_match_rate), heights))


def average_precision(scores: ArrayLike, same: ArrayLike) -> float:
    """Average precision in [0, 1] of "same": precision averaged over the steps of recall, not interpolated.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    return average_precision_of(roc(scores, same))


def average_precision_of(curve: Roc) -> float:
    """`average_precision` of a curve that is known already."""
    # scikit-learn's average_precision_score would sort the scores again, which costs seconds for ten million pairs.
    true_matches = curve.true_match_rate[1:] * curve.same_count
    accepted = true_matches + curve.false_match_rate[1:] * curve.different_count
    return float(np.sum(np.diff(curve.true_match_rate) * true_matches / accepted))


def equal_error_rate(scores: ArrayLike, same: ArrayLike) -> float:
    """Rate at which the false match rate equals the false non-match rate, in [0, 1]; lower is better.

    It is where the piecewise-linear ROC curve through all operating points meets the line FMR = FNMR. A group of equal
    scores is one straight segment of that curve, so the place on the segment is interpolated; the mean of FMR and FNMR
    at the nearest operating point would be wrong whenever the two steps are unequal. No convex hull is taken, so the
    value can lie above the ROCCH equal error rate of Brümmer and de Villiers (2013).

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.

    Example:
        >>> equal_error_rate([0.9, 0.6, 0.4, 0.1], [True, False, True, False])
        0.5
    """
    return equal_error_rate_of(roc(scores, same))


def equal_error_rate_of(curve: Roc) -> float:
    """`equal_error_rate` of a curve that is known already."""
    # scikit-learn has no equal error rate. FMR - FNMR climbs strictly from -1 to 1, so it crosses zero once.
    false_match = curve.false_match_rate
    excess = false_match - (1 - curve.true_match_rate)
    after = int(np.argmax(excess >= 0))
    share = -excess[after - 1] / (excess[after] - excess[after - 1])
    return float(false_match[after - 1] + share * (false_match[after] - false_match[after - 1]))


def true_match_rate(scores: ArrayLike, same: ArrayLike, false_match_rate: float) -> float:
    """Largest true match rate (1 - FNMR) at an FMR <= the limit, in [0, 1]; higher is better.

    Nothing is interpolated: a threshold with exactly this pair of rates exists. With few different pairs the limit may
    allow no false match at all: a limit below 1 / (number of different pairs) asks for a threshold above every
    different pair.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.
        false_match_rate: limit on the FMR, in [0, 1].

    Raises:
        ValueError: if the limit is outside [0, 1]; and see `check_pairs`.
    """
    return true_match_rate_of(roc(scores, same), false_match_rate)


def true_match_rate_of(curve: Roc, false_match_rate: float) -> float:
    """`true_match_rate` of a curve that is known already."""
    if not 0 <= false_match_rate <= 1:
        raise ValueError(f"false_match_rate must be in [0, 1], got {false_match_rate}")
    last = np.searchsorted(curve.false_match_rate, false_match_rate, side="right") - 1
    return float(curve.true_match_rate[last])


def detection_error_tradeoff(scores: ArrayLike, same: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points of the detection error tradeoff curve (Martin et al. 1997), most lenient threshold first.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Returns:
        FMR (T,), FNMR (T,) and thresholds (T,), the last possibly inf (no pair accepted). Points beyond the first with
        FNMR 0 and the last with FMR 0 are left out.

    Raises:
        ValueError: see `check_pairs`.
    """
    from sklearn.metrics import det_curve

    values, truth = check_pairs(scores, same)
    false_match, false_non_match, thresholds = det_curve(truth, values)
    return false_match, false_non_match, thresholds
