"""Pure metric functions for verification: scores and ground truth in, plain numbers out.

Everywhere, `scores` is (P,) with higher meaning more alike, `same` is (P,) bool with True for a pair of one class (a
genuine pair), and a pair is decided "same" exactly when its score is >= the threshold. All rates are in [0, 1].

scikit-learn does the work where it has the metric; it is imported inside the functions, so that importing this module
costs NumPy alone. The error-rate terms are those of ISO/IEC 19795-1: false match rate (FMR, different pairs decided
same) and false non-match rate (FNMR, same pairs decided different).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Decision",
    "Roc",
    "average_precision",
    "check_pairs",
    "confusion_matrix",
    "detection_error_tradeoff",
    "digit_pair_accuracy",
    "equal_error_rate",
    "evaluate",
    "expected_calibration_error",
    "fit_decision",
    "fit_threshold",
    "precision_recall_f1",
    "roc",
    "roc_auc",
    "true_match_rate",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

FALSE_MATCH_RATES = (0.01, 0.001)  # the operating points that `evaluate` reports


def check_pairs(
    scores: ArrayLike, same: ArrayLike, *, name: str = "scores", both_classes: bool = True
) -> tuple[FloatArray, BoolArray]:
    """Checked copies-if-needed of per-pair values and their ground truth.

    Args:
        scores: (P,) finite numbers.
        same: (P,) bool or 0/1.
        name: what to call `scores` in a message.
        both_classes: whether `same` must hold both classes.

    Returns:
        (P,) float64 and (P,) bool.

    Raises:
        ValueError: if an array is empty or not 1-D, the lengths differ, a score is NaN or infinite, `same` is not
            boolean, or it holds one class only.
    """
    values = _check_finite(scores, name)
    truth = _check_bool(same, "same")
    if values.size != truth.size:
        raise ValueError(f"{name} and same must have one entry per pair, got {values.size} and {truth.size}")
    if both_classes and truth.all() == truth.any():
        raise ValueError(f"same holds one class only (all {truth[0]}); give both same and different pairs")
    return values, truth


def _check_finite(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D with one entry per pair, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty; give at least one pair")
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"{name} must be finite, got {array[row]} in row {row}")
    return array


def _check_bool(values: ArrayLike, name: str) -> BoolArray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D with one entry per pair, got shape {array.shape}")
    if array.dtype != np.bool_:
        strange = ~((array == 0) | (array == 1))
        if strange.any():
            row = int(np.argmax(strange))
            raise ValueError(f"{name} must be boolean or 0/1, got {array[row]} in row {row}")
    return array.astype(np.bool_, copy=False)


def _check_probability(values: ArrayLike) -> FloatArray:
    array = _check_finite(values, "probability")
    outside = (array < 0) | (array > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"probability must be in [0, 1], got {array[row]} in row {row}")
    return array


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
    from sklearn.metrics import roc_curve

    values, truth = check_pairs(scores, same)
    false_match, true_match, thresholds = roc_curve(truth, values, drop_intermediate=False)
    same_count = int(np.count_nonzero(truth))
    return Roc(false_match, true_match, thresholds, truth.size - same_count, same_count)


def roc_auc(scores: ArrayLike, same: ArrayLike) -> float:
    """Area under the ROC curve in [0, 1]: the chance that a same pair scores above a different one, ties counting half.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    return _roc_auc(roc(scores, same))


def _roc_auc(curve: Roc) -> float:
    from sklearn.metrics import auc

    return float(auc(curve.false_match_rate, curve.true_match_rate))


def average_precision(scores: ArrayLike, same: ArrayLike) -> float:
    """Average precision in [0, 1] of "same": precision averaged over the steps of recall, not interpolated.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    return _average_precision(roc(scores, same))


def _average_precision(curve: Roc) -> float:
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
    """
    return _equal_error_rate(roc(scores, same))


def _equal_error_rate(curve: Roc) -> float:
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
    return _true_match_rate(roc(scores, same), false_match_rate)


def _true_match_rate(curve: Roc, false_match_rate: float) -> float:
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


def fit_threshold(scores: ArrayLike, same: ArrayLike) -> float:
    """Threshold of highest accuracy on these pairs, midway between two neighbouring distinct scores; always finite.

    Several gaps between neighbouring scores can be equally accurate. The widest of them is taken, as the one that a
    small shift of the scores harms least, and among equally wide ones the middle one. Accepting every pair (threshold
    at the lowest score) or none (just above the highest) is chosen only where no gap is as accurate. O(P log P).

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    curve = roc(scores, same)
    correct = np.rint(
        curve.true_match_rate * curve.same_count + (1 - curve.false_match_rate) * curve.different_count
    ).astype(np.int64)
    accepted = curve.thresholds[1:]  # distinct scores, falling
    best = correct.max()
    gaps = np.flatnonzero(correct[1:-1] == best)
    if gaps.size:
        widths = accepted[gaps] - accepted[gaps + 1]
        widest = gaps[widths == widths.max()]
        gap = widest[(widest.size - 1) // 2]
        high, low = float(accepted[gap]), float(accepted[gap + 1])
        middle = low / 2 + high / 2
        return middle if low < middle <= high else high  # neighbouring floats have no number between them
    if correct[-1] == best:
        return float(accepted[-1])
    return float(np.nextafter(accepted[0], np.inf))


@dataclass(frozen=True)
class Decision:
    """A threshold and a slope that turn scores into answers and into probabilities of "same".

    Attributes:
        threshold: the score from which a pair is decided same.
        slope: > 0, gain of the logistic curve per unit of score.

    Raises:
        ValueError: if a value is not finite or the slope is not positive.
    """

    threshold: float
    slope: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold must be finite, got {self.threshold}")
        if not (math.isfinite(self.slope) and self.slope > 0):
            raise ValueError(f"slope must be finite and > 0, got {self.slope}")

    def predict(self, scores: ArrayLike) -> BoolArray:
        """Answers (P,): True where the score (P,) is >= the threshold."""
        # float64 first: a float32 array would round the threshold to its own precision and flip scores next to it.
        return np.asarray(scores, dtype=np.float64) >= self.threshold

    def probability(self, scores: ArrayLike) -> FloatArray:
        """Probabilities of "same" (P,) in [0, 1] for scores (P,); >= 0.5 exactly where `predict` is True."""
        from scipy.special import expit

        values = np.asarray(scores, dtype=np.float64)
        probability: FloatArray = np.asarray(expit(self.slope * (values - self.threshold)))
        # Just below the threshold the logistic function rounds to 0.5, which would read as "same".
        below = (values < self.threshold) & (probability >= 0.5)
        return np.where(below, np.nextafter(0.5, 0), probability)


def fit_decision(scores: ArrayLike, same: ArrayLike, threshold: float | None = None) -> Decision:
    """Threshold (`fit_threshold`, unless given) and the logistic slope of highest likelihood about it.

    The slope is fitted to Platt's smoothed targets (Platt 1999; Lin, Lin and Weng 2007), which keep it finite on
    separable pairs. With the threshold fixed the likelihood is concave in the slope, so its maximum is the one root of
    the derivative. Scores that say nothing about the class on either side of the threshold have no positive root: they
    get a slope close to zero, that is probabilities close to 0.5.

    Args:
        scores: (P,) higher means more alike; from pairs of training images, never of test images.
        same: (P,) bool ground truth.
        threshold: a finite score, or None to fit it.

    Raises:
        ValueError: if the threshold is not finite; and see `check_pairs`.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    values, truth = check_pairs(scores, same)
    chosen = fit_threshold(values, truth) if threshold is None else float(threshold)
    if not math.isfinite(chosen):
        raise ValueError(f"threshold must be finite, got {threshold}")

    same_count = np.count_nonzero(truth)
    target = np.where(truth, (same_count + 1) / (same_count + 2), 1 / (truth.size - same_count + 2))
    distance = values - chosen
    scale = float(np.mean(np.abs(distance)))
    if scale == 0:
        return Decision(chosen, 1.0)
    distance /= scale

    def likelihood_fall(gain: float) -> float:
        return float(np.dot(distance, expit(gain * distance) - target))

    low = high = 1e-6
    if likelihood_fall(low) < 0:
        while likelihood_fall(high) < 0:
            low, high = high, high * 8
        high = brentq(likelihood_fall, low, high, rtol=1e-10)
    return Decision(chosen, float(np.clip(high / scale, np.finfo(float).tiny, np.finfo(float).max)))


def confusion_matrix(predicted: ArrayLike, same: ArrayLike) -> IntArray:
    """Counts (2, 2) of pairs: rows are the truth [different, same], columns the answer [different, same].

    Args:
        predicted: (P,) bool answers.
        same: (P,) bool ground truth.

    Raises:
        ValueError: if the lengths differ or an array is not boolean.
    """
    answer, truth = _check_bool(predicted, "predicted"), _check_bool(same, "same")
    if answer.size != truth.size:
        raise ValueError(f"predicted and same must have one entry per pair, got {answer.size} and {truth.size}")
    # scikit-learn's function looks for the classes first, at many times the cost of these counts.
    true_match, answered_same, truly_same = (int(np.count_nonzero(a)) for a in (answer & truth, answer, truth))
    false_match, false_non_match = answered_same - true_match, truly_same - true_match
    return np.array([[truth.size - truly_same - false_match, false_match], [false_non_match, true_match]])


def precision_recall_f1(confusion: ArrayLike, positive: int = 1) -> dict[str, float]:
    """Precision, recall and F1 of one class, each in [0, 1]; 0 where nothing was answered or nothing is true.

    Args:
        confusion: (2, 2) counts as from `confusion_matrix`.
        positive: the class looked for, 1 = same, 0 = different.
    """
    counts = np.asarray(confusion)
    hits, answered, truly = counts[positive, positive], counts[:, positive].sum(), counts[positive].sum()
    return {
        "precision": float(hits / answered) if answered else 0.0,
        "recall": float(hits / truly) if truly else 0.0,
        "f1": float(2 * hits / (answered + truly)) if answered + truly else 0.0,
    }


def expected_calibration_error(probability: ArrayLike, same: ArrayLike, bins: int = 15) -> float:
    """Mean gap between the probability of "same" and the share of same pairs, over bins of probability, in [0, 1].

    Bins are equally wide and hold (low, high], the first one 0 too; each counts with its share of the pairs (Naeini et
    al. 2015). This is the binary form: the probability of "same" is compared, not the confidence in the answer of Guo
    et al. (2017).

    Args:
        probability: (P,) in [0, 1].
        same: (P,) bool ground truth.
        bins: number of bins, >= 1.

    Raises:
        ValueError: if `bins` is < 1 or a probability is outside [0, 1]; and see `check_pairs`.
    """
    if bins < 1:
        raise ValueError(f"bins must be >= 1, got {bins}")
    values = _check_probability(probability)
    values, truth = check_pairs(values, same, name="probability", both_classes=False)
    # scikit-learn's calibration_curve has the same bins but does not say how many pairs are in each.
    index = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], values)
    gap = np.bincount(index, values - truth, minlength=bins)
    return float(np.abs(gap).sum() / values.size)


def digit_pair_accuracy(
    correct: ArrayLike, left_labels: ArrayLike, right_labels: ArrayLike, classes: int
) -> tuple[FloatArray, IntArray]:
    """Accuracy for each unordered pair of classes; the diagonal holds the same pairs.

    Args:
        correct: (P,) bool, True where the answer was right.
        left_labels: (P,) int class of the left image, in [0, classes).
        right_labels: (P,) int class of the right image, in [0, classes).
        classes: K, number of classes.

    Returns:
        Accuracy (K, K) symmetric, NaN where there is no pair, and counts (K, K) symmetric; (i, j) and (j, i) are the
        same pairs.

    Raises:
        ValueError: if the lengths differ, a label is outside [0, classes), or `correct` is not boolean.
    """
    right_answers = _check_bool(correct, "correct")
    labels = np.stack([_check_labels(left_labels, "left_labels"), _check_labels(right_labels, "right_labels")])
    if labels.shape[1] != right_answers.size:
        raise ValueError(f"correct and labels must have equal length, got {right_answers.size} and {labels.shape[1]}")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must be in [0, {classes}), got {labels.min()} to {labels.max()}")
    index = labels.min(axis=0) * classes + labels.max(axis=0)
    counts, hits = (
        np.bincount(chosen, minlength=classes * classes).reshape(classes, classes)
        for chosen in (index, index[right_answers])
    )
    counts, hits = (half + np.triu(half, 1).T for half in (counts, hits))
    accuracy = np.full((classes, classes), np.nan)
    np.divide(hits, counts, out=accuracy, where=counts > 0)
    return accuracy, counts


def _check_labels(labels: ArrayLike, name: str) -> IntArray:
    array = np.asarray(labels)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must be 1-D integers, got shape {array.shape} of {array.dtype}")
    return array.astype(np.int64, copy=False)


def evaluate(
    scores: ArrayLike, same: ArrayLike, decision: Decision, *, swapped_scores: ArrayLike | None = None
) -> dict[str, Any]:
    """All metrics of one scored set of pairs, ready for JSON.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth, both classes present.
        decision: fitted on other pairs than these.
        swapped_scores: (P,) scores of the same pairs with their two images exchanged, or None to leave the two swap
            figures out.

    Returns:
        Plain numbers: pairs, accuracy, same{precision, recall, f1}, different{precision, recall, f1}, confusion_matrix
        (rows truth [different, same], columns answer [different, same]), roc_auc, average_precision, equal_error_rate,
        true_match_rate{"0.01", "0.001"} at those false match rates, log_loss (nats), brier_score,
        expected_calibration_error, threshold; with `swapped_scores` also swap_agreement (share of pairs whose answer
        stays) and largest_swap_difference (of the probability).

    Raises:
        ValueError: see `check_pairs`.
    """
    from sklearn.metrics import brier_score_loss, log_loss

    values, truth = check_pairs(scores, same)
    predicted, probability = decision.predict(values), decision.probability(values)
    confusion = confusion_matrix(predicted, truth)
    curve = roc(values, truth)  # sorted once for all ranking metrics
    result: dict[str, Any] = {
        "pairs": truth.size,
        "accuracy": float(np.trace(confusion) / truth.size),
        "same": precision_recall_f1(confusion, positive=1),
        "different": precision_recall_f1(confusion, positive=0),
        "confusion_matrix": confusion.tolist(),
        "roc_auc": _roc_auc(curve),
        "average_precision": _average_precision(curve),
        "equal_error_rate": _equal_error_rate(curve),
        "true_match_rate": {str(limit): _true_match_rate(curve, limit) for limit in FALSE_MATCH_RATES},
        "log_loss": float(log_loss(truth, probability)),
        "brier_score": float(brier_score_loss(truth, probability)),
        "expected_calibration_error": expected_calibration_error(probability, truth),
        "threshold": float(decision.threshold),
    }
    if swapped_scores is not None:
        swapped, _ = check_pairs(swapped_scores, truth, name="swapped_scores")
        result["swap_agreement"] = float(np.mean(decision.predict(swapped) == predicted))
        result["largest_swap_difference"] = float(np.max(np.abs(decision.probability(swapped) - probability)))
    return result
