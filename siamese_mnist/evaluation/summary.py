"""All metrics of one scored set of pairs."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.answers import confusion_matrix, expected_calibration_error, precision_recall_f1
from siamese_mnist.evaluation.checks import check_pairs
from siamese_mnist.evaluation.decision import Decision
from siamese_mnist.evaluation.ranking import (
    average_precision_of,
    equal_error_rate_of,
    roc,
    roc_auc_of,
    true_match_rate_of,
)

FALSE_MATCH_RATES = (0.01, 0.001)  # the operating points that `evaluate` reports


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
        "roc_auc": roc_auc_of(curve),
        "average_precision": average_precision_of(curve),
        "equal_error_rate": equal_error_rate_of(curve),
        "true_match_rate": {str(limit): true_match_rate_of(curve, limit) for limit in FALSE_MATCH_RATES},
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
