"""The threshold that answers and the calibration that states a probability, fitted on pairs that are not tested."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.checks import BoolArray, FloatArray, check_pairs
from siamese_mnist.evaluation.costs import check_prior, logit
from siamese_mnist.evaluation.ranking import roc


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

    Example:
        >>> fit_threshold([0.75, 0.5, 0.25], [True, True, False])
        0.375
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
        return midway(float(accepted[gap + 1]), float(accepted[gap]))
    if correct[-1] == best:
        return float(accepted[-1])
    return float(np.nextafter(accepted[0], np.inf))


def midway(low: float, high: float) -> float:
    """The middle between two scores as a threshold that accepts the higher one alone."""
    middle = low / 2 + high / 2
    return middle if low < middle <= high else high  # neighbouring floats have no number between them


@dataclass(frozen=True)
class Decision:
    """A threshold and a slope that turn scores into answers and into probabilities of "same".

    Attributes:
        threshold: the score from which a pair is decided same.
        slope: > 0, gain of the logistic curve per unit of score.
        prior: in (0, 1), share of same pairs that the probabilities are meant for.

    Raises:
        ValueError: if a value is not finite, the slope is not positive, or the prior is not between 0 and 1.

    Example:
        >>> decision = Decision(threshold=0.5, slope=4.0)
        >>> decision.predict([0.4, 0.5]).tolist()
        [False, True]
        >>> decision.probability([0.5]).tolist()
        [0.5]
    """

    threshold: float
    slope: float
    prior: float = 0.5

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold must be finite, got {self.threshold}")
        if not (math.isfinite(self.slope) and self.slope > 0):
            raise ValueError(f"slope must be finite and > 0, got {self.slope}")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior must be between 0 and 1, got {self.prior}")

    def predict(self, scores: ArrayLike) -> BoolArray:
        """Answers (P,): True where the score (P,) is >= the threshold."""
        # float64 first: a float32 array would round the threshold to its own precision and flip scores next to it.
        return np.asarray(scores, dtype=np.float64) >= self.threshold

    def probability(self, scores: ArrayLike) -> FloatArray:
        """Probabilities of "same" (P,) in [0, 1] for scores (P,); >= 0.5 exactly where `predict` is True."""
        values = np.asarray(scores, dtype=np.float64)
        logits = self.slope * (values - self.threshold)
        least = np.exp(-np.abs(logits))  # SciPy's function takes longer to import than one pair of pictures to judge
        probability: FloatArray = np.where(logits < 0, least, 1) / (1 + least)
        # Just below the threshold the logistic function rounds to 0.5, which would read as "same".
        below = (values < self.threshold) & (probability >= 0.5)
        return np.where(below, np.nextafter(0.5, 0), probability)

    def log_likelihood_ratio(self, scores: ArrayLike) -> FloatArray:
        """Natural logarithm (P,) of how much likelier the scores (P,) are of same pairs than of different ones."""
        values = np.asarray(scores, dtype=np.float64)
        ratio: FloatArray = np.asarray(self.slope * (values - self.threshold) - logit(self.prior))
        return ratio

    def moved_to(self, prior: float) -> "Decision":
        """The decision that the same log-likelihood ratios ask for at another share of same pairs, in (0, 1).

        Raises:
            UsageError: if the prior is outside (0, 1).
        """
        check_prior(prior)
        return Decision(self.threshold - (logit(prior) - logit(self.prior)) / self.slope, self.slope, prior)


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

    target, prior = _smoothed(truth), float(truth.mean())
    distance = values - chosen
    scale = float(np.mean(np.abs(distance)))
    if scale == 0:
        return Decision(chosen, 1.0, prior)
    distance /= scale

    def likelihood_fall(gain: float) -> float:
        return float(np.dot(distance, expit(gain * distance) - target))

    low = high = 1e-6
    if likelihood_fall(low) < 0:
        while likelihood_fall(high) < 0:
            low, high = high, high * 8
        high = brentq(likelihood_fall, low, high, rtol=1e-10)
    return Decision(chosen, float(np.clip(high / scale, np.finfo(float).tiny, np.finfo(float).max)), prior)


def fit_logistic(scores: ArrayLike, same: ArrayLike) -> Decision:
    """Threshold and slope of highest likelihood together (Platt 1999), with his smoothed targets.

    The threshold is where "same" and "different" are equally likely. It is steadier on few images than the one of
    highest accuracy, which a handful of pairs can move. Scores that are not higher for same pairs have no such
    threshold; they get what `fit_decision` gives.

    Args:
        scores: (P,) higher means more alike; from images that are not tested and, best, not trained on.
        same: (P,) bool ground truth.

    Raises:
        ValueError: see `check_pairs`.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    values, truth = check_pairs(scores, same)
    spread = float(values.std())
    if spread == 0:
        return fit_decision(values, truth)
    distance = (values - values.mean()) / spread
    target = _smoothed(truth)

    def loss(line: FloatArray) -> tuple[float, FloatArray]:
        logit = line[0] * distance + line[1]
        gap = expit(logit) - target
        return float(np.mean(np.logaddexp(0, logit) - target * logit)), np.array([np.mean(gap * distance), gap.mean()])

    gain, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    threshold = float(values.mean() - spread * offset / gain) if gain > 0 else math.nan
    if not values.min() <= threshold <= values.max():
        return fit_decision(values, truth)
    return Decision(threshold, float(gain / spread), float(truth.mean()))


def _smoothed(truth: BoolArray) -> FloatArray:
    """Platt's targets (P,), which keep a fit finite on separable pairs."""
    same_count = np.count_nonzero(truth)
    return np.where(truth, (same_count + 1) / (same_count + 2), 1 / (truth.size - same_count + 2))
