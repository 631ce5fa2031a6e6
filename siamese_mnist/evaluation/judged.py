"""Scored pairs with what a decision makes of them, as they are and under weights: what metrics are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from siamese_mnist.evaluation.answers import confusion_matrix
from siamese_mnist.evaluation.checks import BoolArray, FloatArray, IntArray
from siamese_mnist.evaluation.decision import Decision
from siamese_mnist.evaluation.ranking import Roc, roc


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedPairs:
    """Scored pairs beside the truth; what follows from them is computed once, when it is first asked for.

    Attributes:
        scores: (P,) finite, higher means more alike.
        same: (P,) bool ground truth, both classes present.
        decision: threshold and calibration.
        swapped_scores: (P,) scores of the same pairs with their two images exchanged, or None.
    """

    scores: FloatArray
    same: BoolArray
    decision: Decision
    swapped_scores: FloatArray | None = None

    @cached_property
    def predicted(self) -> BoolArray:
        """Answers (P,): True where the pair is decided same."""
        return self.decision.predict(self.scores)

    @cached_property
    def probability(self) -> FloatArray:
        """Stated probabilities of "same" (P,) in [0, 1]."""
        return self.decision.probability(self.scores)

    @cached_property
    def confusion(self) -> IntArray:
        """Counts (2, 2), see `confusion_matrix`."""
        return confusion_matrix(self.predicted, self.same)

    @cached_property
    def curve(self) -> Roc:
        """All operating points; sorted once for all metrics."""
        return roc(self.scores, self.same)

    def rows(self, chosen: IntArray) -> JudgedPairs:
        """These rows in this order; a row may be there several times."""
        swapped = None if self.swapped_scores is None else self.swapped_scores[chosen]
        return JudgedPairs(
            scores=self.scores[chosen], same=self.same[chosen], decision=self.decision, swapped_scores=swapped
        )


class Weighing:
    """Judged pairs, the highest score first, prepared for many weightings.

    Args:
        pairs: (P,) pairs, sorted.
    """

    def __init__(self, pairs: JudgedPairs) -> None:
        self.pairs = pairs
        size = pairs.scores.size
        self.last = np.append(np.flatnonzero(np.diff(pairs.scores)), size - 1)  # of each group of equal scores
        smallest = np.finfo(np.float64).eps  # where scikit-learn's log_loss clips
        likely = np.clip(np.where(pairs.same, pairs.probability, 1 - pairs.probability), smallest, 1 - smallest)
        predicted, same = pairs.predicted, pairs.same
        columns = [predicted & same, predicted, same, -np.log(likely), (pairs.probability - same) ** 2]
        self.columns = np.stack(columns, axis=1)

    def weigh(self, weights: FloatArray) -> WeightedPairs:
        """The pairs under each of B weightings (B, P) of positive weights."""
        return WeightedPairs(self, weights)


class WeightedPairs:
    """Judged pairs under B weightings: what the weighted form of a metric is computed from.

    Attributes:
        pairs: the judged pairs (P,), the highest score first.
        weights: (B, P) > 0.
        total: (B,) sum of the weights.
        hit, answered, truly: (B,) weight of the pairs that are same and answered so, are answered same, are same.
        log_loss, brier: (B,) sums of the two penalties of the stated probabilities.
    """

    def __init__(self, weighing: Weighing, weights: FloatArray) -> None:
        self.pairs = weighing.pairs
        self.weights = weights
        self.total = weights.sum(axis=1)
        self.hit, self.answered, self.truly, self.log_loss, self.brier = (weights @ weighing.columns).T
        self._last = weighing.last

    @cached_property
    def true_match(self) -> FloatArray:
        """True match rate (B, T + 1) where 0, 1, ..., T groups of equal scores are accepted."""
        return self._rate(self.pairs.same)

    @cached_property
    def false_match(self) -> FloatArray:
        """False match rate (B, T + 1) where 0, 1, ..., T groups of equal scores are accepted."""
        return self._rate(~self.pairs.same)

    def _rate(self, counted: BoolArray) -> FloatArray:
        cumulative = np.cumsum(self.weights * counted, axis=1)
        if self._last.size < cumulative.shape[1]:
            cumulative = cumulative[:, self._last]
        rate = np.zeros((cumulative.shape[0], cumulative.shape[1] + 1))
        np.divide(cumulative, cumulative[:, -1:], out=rate[:, 1:])
        return rate
