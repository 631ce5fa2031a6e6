"""Metrics of answers and of stated probabilities."""

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.checks import FloatArray, IntArray, check_bool, check_pairs, check_probability


def confusion_matrix(predicted: ArrayLike, same: ArrayLike) -> IntArray:
    """Counts (2, 2) of pairs: rows are the truth [different, same], columns the answer [different, same].

    Args:
        predicted: (P,) bool answers.
        same: (P,) bool ground truth.

    Raises:
        ValueError: if the lengths differ or an array is not boolean.
    """
    answer, truth = check_bool(predicted, "predicted"), check_bool(same, "same")
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
    values = check_probability(probability)
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
    right_answers = check_bool(correct, "correct")
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
