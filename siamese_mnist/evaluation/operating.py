"""Operating points: a threshold for what one can stand, and what to expect of it, from calibration pairs."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.checks import BoolArray, FloatArray, IntArray, check_pairs
from siamese_mnist.evaluation.costs import bayes_cost, effective_prior, minimum_bayes_cost
from siamese_mnist.evaluation.decision import Decision, midway
from siamese_mnist.evaluation.intervals import accuracy_interval, pair_variance
from siamese_mnist.evaluation.ranking import roc
from siamese_mnist.evaluation.tail import ImpostorTail
from siamese_mnist.evaluation.unsure import UnsureBand, find_band

_SPREAD = 0.3  # of a score in the smoothed rates, in standard deviations of the genuine scores
_REACH = 4  # spreads beyond the scores
_STEPS, _MOST_STEPS = 20, 20_000  # thresholds in one spread, and in all

Interval = tuple[float, float]

FEWEST_FALSE_MATCHES = 3
"""With fewer expected false matches than this, even independent pairs without any would not show the rate (rule of 3:
none among n pairs bounds a rate by 3 / n, at 95 % confidence)."""

ENOUGH_FALSE_MATCHES = 30
"""With as many independent false matches as this, a rate is within 30 % of the true one at 90 % confidence (rule of
30; Doddington et al. 2000, The NIST speaker recognition evaluation)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Scored pairs that thresholds and expectations come from; no pair of them is tested.

    Attributes:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth, both classes present.
        left: (P,) int64, what makes pairs dependent on one side: the image's group where there are groups, else itself.
        right: (P,) int64, on the other side.
        unseen: whether the images were not trained on; otherwise the rates to expect are too good.
        tail: the highest scores of all impostor pairs of the images, for low false match rates, or None.
    """

    scores: FloatArray
    same: BoolArray
    left: IntArray
    right: IntArray
    unseen: bool = True
    tail: ImpostorTail | None = None

    def false_match_rate(self, threshold: float) -> "Expected":
        """Share of different pairs that are accepted; of all impostor pairs where the tail reaches so far."""
        tail = self.tail
        if tail is not None and tail.reaches(threshold):
            rate = int(tail.accepted(threshold)) / tail.pairs
            return Expected(rate, tail.interval(threshold), tail.pairs, tail.effective_pairs(threshold))
        return self._share(threshold, ~self.same)

    def true_match_rate(self, threshold: float) -> "Expected":
        """Share of same pairs that are accepted."""
        return self._share(threshold, self.same)

    def band(self, threshold: float, max_error: float, prior: float | None = None) -> UnsureBand:
        """The narrowest band about a threshold that keeps `max_error` outside it, see `find_band`."""
        return find_band(self.scores, self.same, self.left, self.right, threshold, max_error, prior=prior)

    def _share(self, threshold: float, of: BoolArray) -> "Expected":
        accepted = self.scores[of] >= threshold
        left, right = self.left[of], self.right[of]
        rate = float(accepted.mean())
        interval = accuracy_interval(accepted, left, right)
        variance = max(pair_variance(accepted, left, right), rate * (1 - rate) / accepted.size)
        return Expected(rate, interval, accepted.size, rate * (1 - rate) / variance if variance else 0.0)


class Expected(NamedTuple):
    """A rate on calibration pairs, and how well they tell it."""

    rate: float  # in [0, 1]
    interval: Interval  # of 95 %, for pairs that share images
    pairs: int
    effective_pairs: float  # independent pairs that would tell it as well


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold, the probabilities that go with it, and what to expect of it on other images.

    Attributes:
        decision: turns scores into probabilities of "same" at the prior.
        threshold: the score from which a pair is decided same; by costs or a rate another than the decision's.
        max_fmr: the false match rate that was asked for, or None.
        cost_false_match: what a different pair costs that is answered same.
        cost_false_non_match: what a same pair costs that is answered different.
        false_match_rate: share of different calibration pairs that are accepted, in [0, 1].
        false_match_rate_interval: its 95 % interval, for pairs that share images.
        true_match_rate: share of same calibration pairs that are accepted, in [0, 1].
        true_match_rate_interval: its 95 % interval.
        impostor_pairs: number of different pairs that the false match rate rests on.
        band: scores that get no answer so that the others are wrong at most so often, or None: every pair is answered.
        remarks: what these figures cannot be trusted in, a sentence each; none where all is well.
    """

    decision: Decision
    threshold: float
    max_fmr: float | None = None
    cost_false_match: float = 1.0
    cost_false_non_match: float = 1.0
    false_match_rate: float
    false_match_rate_interval: Interval
    true_match_rate: float
    true_match_rate_interval: Interval
    impostor_pairs: int
    band: UnsureBand | None = None
    remarks: tuple[str, ...] = ()

    @property
    def prior(self) -> float:
        """Share of same pairs that the probabilities are meant for."""
        return self.decision.prior

    def predict(self, scores: ArrayLike) -> BoolArray:
        """Answers (P,): True where the score (P,) is >= the threshold; see `unsure`, too."""
        return np.asarray(scores, dtype=np.float64) >= self.threshold

    def unsure(self, scores: ArrayLike) -> BoolArray:
        """Whether each score (P,) is in the band that gets no answer: (P,) bool."""
        values = np.asarray(scores, dtype=np.float64)
        if self.band is None:
            return np.zeros(values.shape, dtype=np.bool_)
        return (values >= self.band.low) & (values < self.band.high)

    def answers(self, scores: ArrayLike) -> NDArray[np.str_]:
        """Answers (P,) in words: "same", "different" or, in the band, "unsure"."""
        return np.where(self.unsure(scores), "unsure", np.where(self.predict(scores), "same", "different"))

    def probability(self, scores: ArrayLike) -> FloatArray:
        """Probabilities of "same" (P,) in [0, 1] at the prior."""
        return self.decision.probability(scores)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object, intervals as lists."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if name != "decision"}
        lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
        return {"prior": self.prior, **values, **lists}


def operating_point(
    decision: Decision,
    calibration: Calibration,
    *,
    max_fmr: float | None = None,
    prior: float | None = None,
    cost_false_match: float | None = None,
    cost_false_non_match: float | None = None,
    max_error: float | None = None,
) -> OperatingPoint:
    """The operating point that a wish describes; with none of them, that of the decision as it is.

    Args:
        decision: threshold and probabilities as they were fitted.
        calibration: pairs that it was fitted on, or others that are not tested.
        max_fmr: accept at most this share of different pairs, in (0, 1).
        prior: share of same pairs where the answers are used, in (0, 1); the decision's own by default.
        cost_false_match: > 0, what a different pair costs that is answered same; 1 by default.
        cost_false_non_match: > 0, what a same pair costs that is answered different; 1 by default.
        max_error: leave pairs unsure so that at most this share of the others is answered wrong, in (0, 0.5).

    Raises:
        UsageError: if an argument is out of its range, a rate and costs are given, or there are too few calibration
            pairs to tell the rate (`FEWEST_FALSE_MATCHES`) or to
            show the bound of `max_error`.
    """
    costs = cost_false_match is not None or cost_false_non_match is not None
    if max_fmr is not None and costs:
        raise UsageError("a maximal false match rate and costs both decide the threshold; give one of them")
    moved = decision if prior is None else decision.moved_to(prior)
    false_match, false_non_match = (1.0 if each is None else each for each in (cost_false_match, cost_false_non_match))
    wanted = effective_prior(moved.prior, false_match, false_non_match)
    if max_fmr is not None:
        threshold = threshold_at(calibration, max_fmr)
    elif prior is None and not costs:
        threshold = decision.threshold
    else:
        threshold = cheapest_threshold(calibration, wanted)
    false_matches, true_matches = calibration.false_match_rate(threshold), calibration.true_match_rate(threshold)
    return OperatingPoint(
        decision=moved,
        threshold=threshold,
        max_fmr=max_fmr,
        cost_false_match=false_match,
        cost_false_non_match=false_non_match,
        false_match_rate=false_matches.rate,
        false_match_rate_interval=false_matches.interval,
        true_match_rate=true_matches.rate,
        true_match_rate_interval=true_matches.interval,
        impostor_pairs=false_matches.pairs,
        band=None if max_error is None else calibration.band(threshold, max_error, prior),
        remarks=tuple(_remarks(calibration, false_matches)),
    )


def threshold_at(calibration: Calibration, max_fmr: float) -> float:
    """The lowest threshold at which at most this share of the different calibration pairs is accepted.

    It lies midway between the last impostor score that is accepted and the first that is not.

    Args:
        calibration: its tail is used where it reaches so far, else its pairs.
        max_fmr: in (0, 1).

    Raises:
        UsageError: if `max_fmr` is out of its range, or there are too few impostor pairs to tell it.
    """
    if not 0 < max_fmr < 1:
        raise UsageError(f"max_fmr must be between 0 and 1, got {max_fmr}")
    tail, impostors = calibration.tail, -np.sort(-calibration.scores[~calibration.same])
    pairs = impostors.size
    if tail is not None and math.floor(max_fmr * tail.pairs) < tail.scores.size:
        impostors, pairs = tail.scores, tail.pairs
    if max_fmr * pairs < FEWEST_FALSE_MATCHES:
        raise UsageError(
            f"{pairs:,} impostor pairs cannot tell a false match rate of {max_fmr:g}; at least "
            f"{math.ceil(FEWEST_FALSE_MATCHES / max_fmr):,} are needed, or a rate of "
            f"{FEWEST_FALSE_MATCHES / pairs:.1g} or more"
        )
    first_rejected = float(impostors[math.floor(max_fmr * pairs)])
    accepted = impostors[impostors > first_rejected]
    return midway(first_rejected, float(accepted[-1])) if accepted.size else float(np.nextafter(first_rejected, np.inf))


def cheapest_threshold(calibration: Calibration, prior: float) -> float:
    """The threshold of least Bayes cost, by smoothed rates on the calibration pairs.

    The least cost on the pairs themselves is where a handful of pairs of one or two images happen to leave room, and
    other images do not. Each score therefore counts as spread about its place, by a share of the genuine scores'
    standard deviation that was chosen on validation images. It needs no form of the scores' distribution, which a
    logistic calibration has to assume far from its own threshold.

    Args:
        calibration: its tail is used where it reaches so far.
        prior: effective prior, in (0, 1).
    """
    from scipy.ndimage import gaussian_filter1d

    genuine, impostors = calibration.scores[calibration.same], calibration.scores[~calibration.same]
    low, high = float(calibration.scores.min()), float(calibration.scores.max())
    width = _SPREAD * float(genuine.std())
    if not width:
        return midway(float(impostors.max()), float(genuine.min())) if impostors.max() < genuine.min() else low
    step = max(width / _STEPS, (high - low) / _MOST_STEPS)
    margin = _REACH * width
    thresholds = np.arange(low - margin, high + margin + step, step)
    missed = np.searchsorted(np.sort(genuine), thresholds) / genuine.size
    matched = 1 - np.searchsorted(np.sort(impostors), thresholds) / impostors.size
    if calibration.tail is not None:
        inside = thresholds >= calibration.tail.scores[-1]
        matched[inside] = calibration.tail.accepted(thresholds[inside]) / calibration.tail.pairs
    missed, matched = (gaussian_filter1d(rates, width / step, mode="nearest") for rates in (missed, matched))
    return float(thresholds[int(np.argmin(bayes_cost(matched, missed, prior)))])


def _remarks(calibration: Calibration, false_matches: Expected) -> Iterator[str]:
    """What the expected rates cannot be trusted in."""
    if not calibration.unseen:
        yield (
            "the calibration pairs are of images that were trained on, so that the expected rates are too good; train "
            "with --validation 0.1 or --cross-fitting 5"
        )
    found = false_matches.rate * false_matches.effective_pairs
    if found < ENOUGH_FALSE_MATCHES:
        yield (
            f"the false match rate rests on {false_matches.rate * false_matches.pairs:.0f} false matches, worth "
            f"{found:.0f} independent ones; {ENOUGH_FALSE_MATCHES} would tell it to within 30 %"
        )


def measured(
    point: OperatingPoint, scores: ArrayLike, same: ArrayLike, left: ArrayLike, right: ArrayLike
) -> dict[str, Any]:
    """What an operating point does on test pairs, ready for JSON, beside what was to be expected of it.

    Args:
        point: from calibration pairs.
        scores: (P,) of test pairs, higher means more alike.
        same: (P,) bool ground truth.
        left: (P,) int, what makes pairs dependent on one side.
        right: (P,) int, on the other.

    Returns:
        `false_match_rate` and `true_match_rate` with `_interval`, `bayes_cost` and `minimum_bayes_cost` (normalised, at
        the effective prior); and with a band `unsure_share`, and `error_rate` among the answered pairs with interval,
        None where no pair is answered.

    Raises:
        ValueError: see `check_pairs`.
    """
    values, truth = check_pairs(scores, same)
    test = Calibration(scores=values, same=truth, left=np.asarray(left), right=np.asarray(right))
    false_matches, true_matches = test.false_match_rate(point.threshold), test.true_match_rate(point.threshold)
    prior = effective_prior(point.prior, point.cost_false_match, point.cost_false_non_match)
    found: dict[str, Any] = {
        "false_match_rate": false_matches.rate,
        "false_match_rate_interval": list(false_matches.interval),
        "true_match_rate": true_matches.rate,
        "true_match_rate_interval": list(true_matches.interval),
        "bayes_cost": float(bayes_cost(false_matches.rate, 1 - true_matches.rate, prior)),
        "minimum_bayes_cost": minimum_bayes_cost(roc(values, truth), prior),
    }
    if point.band is not None:
        answered = ~point.unsure(values)
        wrong = (point.predict(values) != truth)[answered]
        found["unsure_share"] = 1 - float(answered.mean())
        found["error_rate"] = float(wrong.mean()) if wrong.size else None
        found["error_rate_interval"] = (
            list(accuracy_interval(wrong, test.left[answered], test.right[answered])) if wrong.size else None
        )
    return found
