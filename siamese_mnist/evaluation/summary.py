"""All metrics of one scored set of pairs."""

from typing import Any

from numpy.typing import ArrayLike

from siamese_mnist.evaluation.checks import check_pairs
from siamese_mnist.evaluation.decision import Decision
from siamese_mnist.evaluation.judged import JudgedPairs
from siamese_mnist.evaluation.metrics import compute_all, nested


def judge(
    scores: ArrayLike, same: ArrayLike, decision: Decision, swapped_scores: ArrayLike | None = None
) -> JudgedPairs:
    """Checked pairs with what a decision makes of them.

    Raises:
        ValueError: see `check_pairs`.
    """
    values, truth = check_pairs(scores, same)
    swapped = None if swapped_scores is None else check_pairs(swapped_scores, truth, name="swapped_scores")[0]
    return JudgedPairs(scores=values, same=truth, decision=decision, swapped_scores=swapped)


def evaluate(
    scores: ArrayLike, same: ArrayLike, decision: Decision, *, swapped_scores: ArrayLike | None = None
) -> dict[str, Any]:
    """All metrics of one scored set of pairs, ready for JSON.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth, both classes present.
        decision: fitted on other pairs than these.
        swapped_scores: (P,) scores of the same pairs with their two images exchanged, or None to leave the figures out
            that need them.

    Returns:
        Plain numbers: pairs, confusion_matrix (rows truth [different, same], columns answer [different, same]),
        threshold, and every metric of `METRICS` at the path that its name says, such as same{recall}; None where a
        metric has no figure for these pairs.

    Raises:
        ValueError: see `check_pairs`.
        UsageError: if a metric of a plugin fails.
    """
    pairs = judge(scores, same, decision, swapped_scores)
    return {
        "pairs": pairs.same.size,
        "confusion_matrix": pairs.confusion.tolist(),
        **nested(compute_all(pairs, "probability" if swapped_scores is None else "swapped_scores")),
        "threshold": float(decision.threshold),
    }
