"""`METRICS`: every figure of scored pairs, what it needs, how it is shown and how its interval is made.

`run`, `compare`, `evaluate`, the report page, model cards and JSON read this registry, so a metric that is added here,
or by a package through the entry-point group `siamese_mnist.metrics`, appears in all of them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from siamese_mnist import kinds
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.answers import expected_calibration_error, precision_recall_f1
from siamese_mnist.evaluation.checks import FloatArray
from siamese_mnist.evaluation.costs import cllr, min_cllr_of, penalties
from siamese_mnist.evaluation.judged import JudgedPairs, WeightedPairs
from siamese_mnist.evaluation.ranking import (
    average_precision_of,
    equal_error_rate_of,
    roc_auc_of,
    true_match_rate_of,
)
from siamese_mnist.registry import Described, Registry

FALSE_MATCH_RATES = (0.01, 0.001)
"""The operating points at which true match rates are given."""

Need = Literal["scores", "threshold", "probability", "swapped_scores"]
NEEDS: tuple[Need, ...] = ("scores", "threshold", "probability", "swapped_scores")
"""What a metric can need; each comes with all that stand before it."""

_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Metric(Described):
    """One figure of judged pairs.

    Attributes:
        function: from judged pairs to the figure; NaN where these pairs have none.
        title: what it is called in sentences and wide tables.
        short: what it is called where there is little room; the title if empty.
        higher_is_better: the direction that tables are sorted in.
        needs: what has to be given besides scores and truth.
        format: how the figure is written, as for `format`.
        limits: the least and the largest value it can have, infinite where there is none.
        interval: "bootstrap" over images, through `weighted` or, without it, by repeating rows; "wilson" for the share
            of right answers, see `accuracy_interval`; None for none.
        weighted: the figure (B,) under B weightings of the pairs, which is many times faster than repeating rows.
        headline: whether it is shown wherever runs are shown, rather than in JSON, `evaluate` and model cards alone.

    Raises:
        ValueError: if `needs`, `interval` or the limits are not of their kind.
    """

    function: Callable[[JudgedPairs], float]
    title: str
    short: str = ""
    higher_is_better: bool
    needs: Need = "scores"
    format: str = ".4f"
    limits: tuple[float, float] = (0.0, 1.0)
    interval: Literal["bootstrap", "wilson"] | None = "bootstrap"
    weighted: Callable[[WeightedPairs], FloatArray] | None = None
    headline: bool = True

    def __post_init__(self) -> None:
        if self.needs not in NEEDS:
            raise ValueError(f"needs must be one of {', '.join(NEEDS)}, got {self.needs!r}")
        if self.interval not in ("bootstrap", "wilson", None):
            raise ValueError(f"interval must be 'bootstrap', 'wilson' or None, got {self.interval!r}")
        if not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits must be a lower and a higher number, got {self.limits}")

    @property
    def column(self) -> str:
        """The heading of its column."""
        return self.short or self.title

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.function.__doc__ or self.title).strip().partition("\n")[0]

    def can_have(self, given: Need) -> bool:
        """Whether `given` is enough for it."""
        return NEEDS.index(self.needs) <= NEEDS.index(given)

    def text(self, value: float | None) -> str:
        """A figure as text, "-" where there is none."""
        return "-" if value is None else format(value, self.format)


METRICS: Registry[Metric] = kinds.METRICS
"""All metrics by name, built-in ones first."""


def metric(title: str, **about: Any) -> Callable[[Callable[[JudgedPairs], float]], Metric]:
    """Decorator that makes a function a `Metric`, to be registered or named by an entry point.

    Args:
        title: see `Metric`.
        **about: the other attributes of `Metric`; `higher_is_better` has to be given.
    """
    return lambda function: Metric(function=function, title=title, **about)


def headline_metrics() -> dict[str, Metric]:
    """The metrics that are shown wherever runs are shown, each as a single figure."""
    return {name: METRICS[name] for name in METRICS if METRICS[name].headline and "/" not in name}


def single_metrics() -> dict[str, Metric]:
    """The metrics that stand alone in JSON, not in a group such as `same`."""
    return {name: METRICS[name] for name in METRICS if "/" not in name}


def compute(name: str, pairs: JudgedPairs) -> float | None:
    """A metric's figure of judged pairs; None where it is not a number.

    Args:
        name: name in `METRICS`.
        pairs: with all that the metric needs.

    Raises:
        UsageError: if the metric fails, or its figure is outside its limits.
    """
    part = METRICS.part(name)
    try:
        value = float(part.value.function(pairs))
    # A plugin's function can raise anything, and the message has to name it.
    except Exception as error:
        raise UsageError(f"metric {name!r} ({part.origin}) fails: {type(error).__name__}: {error}") from error
    if not math.isfinite(value):
        return None
    low, high = part.value.limits
    if not low - _ROUNDING <= value <= high + _ROUNDING:
        raise UsageError(f"metric {name!r} ({part.origin}) is {value}, outside its limits {low:g} to {high:g}")
    return value


def compute_all(pairs: JudgedPairs, given: Need) -> dict[str, float | None]:
    """The figures of all metrics that can be had, by name.

    Args:
        pairs: the judged pairs.
        given: what of them means something; with "scores" alone the decision is not looked at.
    """
    return {name: compute(name, pairs) for name in METRICS if METRICS[name].can_have(given)}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name as JSON holds them: "same/recall" becomes {"same": {"recall": ...}}."""
    result: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, last = name.rpartition("/")
        (result.setdefault(group, {}) if group else result)[last] = value
    return result


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


@METRICS.register("accuracy")
@metric(
    "accuracy",
    higher_is_better=True,
    needs="threshold",
    interval="wilson",
    weighted=lambda w: (w.total - w.answered - w.truly + 2 * w.hit) / w.total,
)
def _accuracy(pairs: JudgedPairs) -> float:
    """Share of pairs that are decided right."""
    return float(np.trace(pairs.confusion) / pairs.same.size)


def _of_class(positive: int, name: str) -> Callable[[JudgedPairs], float]:
    return lambda pairs: precision_recall_f1(pairs.confusion, positive)[name]


_CLASS_FIGURES: dict[str, dict[str, Callable[[WeightedPairs], FloatArray]]] = {
    "different": {
        "precision": lambda w: _ratio(w.total - w.answered - w.truly + w.hit, w.total - w.answered),
        "recall": lambda w: (w.total - w.answered - w.truly + w.hit) / (w.total - w.truly),
        "f1": lambda w: 2 * (w.total - w.answered - w.truly + w.hit) / (2 * w.total - w.answered - w.truly),
    },
    "same": {
        "precision": lambda w: _ratio(w.hit, w.answered),
        "recall": lambda w: w.hit / w.truly,
        "f1": lambda w: 2 * w.hit / (w.answered + w.truly),
    },
}
for _positive, _class in ((1, "same"), (0, "different")):
    for _name, _weighted in _CLASS_FIGURES[_class].items():
        METRICS.add(
            f"{_class}/{_name}",
            Metric(
                function=_of_class(_positive, _name),
                title=f"{_class} {_name}",
                higher_is_better=True,
                needs="threshold",
                weighted=_weighted,
            ),
            summary=f"{_name.capitalize()} of the answer {_class}.",
        )


def _weighted_auc(w: WeightedPairs) -> FloatArray:
    steps = np.diff(w.false_match, axis=1)
    upper, lower = (np.einsum("bt,bt->b", steps, side) for side in (w.true_match[:, 1:], w.true_match[:, :-1]))
    area: FloatArray = (upper + lower) / 2
    return area


@METRICS.register("roc_auc")
@metric("ROC-AUC", higher_is_better=True, weighted=_weighted_auc)
def _roc_auc(pairs: JudgedPairs) -> float:
    """Area under the ROC curve."""
    return roc_auc_of(pairs.curve)


def _weighted_average_precision(w: WeightedPairs) -> FloatArray:
    true_match = w.true_match[:, 1:] * w.truly[:, None]
    precision = true_match / (true_match + w.false_match[:, 1:] * (w.total - w.truly)[:, None])
    average: FloatArray = np.einsum("bt,bt->b", np.diff(w.true_match, axis=1), precision)
    return average


@METRICS.register("average_precision")
@metric("average precision", higher_is_better=True, weighted=_weighted_average_precision, headline=False)
def _average_precision(pairs: JudgedPairs) -> float:
    """Precision averaged over the steps of recall."""
    return average_precision_of(pairs.curve)


def _weighted_equal_error_rate(w: WeightedPairs) -> FloatArray:
    row = np.arange(w.total.size)
    excess = w.true_match + w.false_match
    after = np.argmax(excess >= 1, axis=1)
    before = after - 1
    share = (1 - excess[row, before]) / (excess[row, after] - excess[row, before])
    rate: FloatArray = w.false_match[row, before] + share * (w.false_match[row, after] - w.false_match[row, before])
    return rate


@METRICS.register("equal_error_rate")
@metric("equal error rate", short="EER", higher_is_better=False, weighted=_weighted_equal_error_rate)
def _equal_error_rate(pairs: JudgedPairs) -> float:
    """Rate at which false matches equal false non-matches."""
    return equal_error_rate_of(pairs.curve)


def _true_match_rate(limit: float) -> Metric:
    def weighted(w: WeightedPairs) -> FloatArray:
        allowed = np.count_nonzero(w.false_match <= limit, axis=1) - 1
        rate: FloatArray = w.true_match[np.arange(w.total.size), allowed]
        return rate

    return Metric(
        function=lambda pairs: true_match_rate_of(pairs.curve, limit),
        title=f"true match rate at false match rate {limit}",
        higher_is_better=True,
        weighted=weighted,
        headline=False,
    )


for _limit in FALSE_MATCH_RATES:
    METRICS.add(
        f"true_match_rate/{_limit}",
        _true_match_rate(_limit),
        summary=f"Share of same pairs accepted where at most {_limit:.1%} of different pairs are.",
    )


@METRICS.register("log_loss")
@metric(
    "log loss",
    higher_is_better=False,
    needs="probability",
    limits=(0.0, math.inf),
    weighted=lambda w: w.log_loss / w.total,
    headline=False,
)
def _log_loss(pairs: JudgedPairs) -> float:
    """Mean negative logarithm of the probability given to the truth, in nats."""
    of_truth = np.where(pairs.same, pairs.probability, 1 - pairs.probability)
    return float(-np.log(np.maximum(of_truth, np.finfo(float).eps)).mean())


@METRICS.register("brier_score")
@metric(
    "Brier score",
    higher_is_better=False,
    needs="probability",
    weighted=lambda w: w.brier / w.total,
    headline=False,
)
def _brier_score(pairs: JudgedPairs) -> float:
    """Mean squared difference between the probability of "same" and the truth."""
    return float(np.square(pairs.probability - pairs.same).mean())


def _weighted_cllr(w: WeightedPairs) -> FloatArray:
    same = w.pairs.same
    bits = penalties(w.pairs.decision.log_likelihood_ratio(w.pairs.scores), same)
    cost: FloatArray = (w.weights @ (bits * same) / w.truly + w.weights @ (bits * ~same) / (w.total - w.truly)) / 2
    return cost


@METRICS.register("cllr")
@metric(
    "Cllr",
    higher_is_better=False,
    needs="probability",
    limits=(0.0, math.inf),
    weighted=_weighted_cllr,
    headline=False,
)
def _cllr(pairs: JudgedPairs) -> float:
    """Cost of the stated log-likelihood ratios over all priors, in bits."""
    return cllr(pairs.decision.log_likelihood_ratio(pairs.scores), pairs.same)


@METRICS.register("min_cllr")
@metric("minimum Cllr", higher_is_better=False, interval=None, headline=False)
def _min_cllr(pairs: JudgedPairs) -> float:
    """Cllr of the best rising map of the scores: what no calibration mends."""
    return min_cllr_of(pairs.curve)


@METRICS.register("expected_calibration_error")
@metric("expected calibration error", higher_is_better=False, needs="probability", interval=None, headline=False)
def _expected_calibration_error(pairs: JudgedPairs) -> float:
    """Mean gap between the probability of "same" and the share of same pairs."""
    return expected_calibration_error(pairs.probability, pairs.same)


@METRICS.register("swap_agreement")
@metric("swap agreement", short="swap agr.", higher_is_better=True, needs="swapped_scores", interval=None)
def _swap_agreement(pairs: JudgedPairs) -> float:
    """Share of pairs whose answer stays when the two images change places."""
    return float(np.mean(pairs.decision.predict(_swapped(pairs)) == pairs.predicted))


@METRICS.register("largest_swap_difference")
@metric("largest swap difference", higher_is_better=False, needs="swapped_scores", interval=None, headline=False)
def _largest_swap_difference(pairs: JudgedPairs) -> float:
    """Largest change of the probability of "same" when the two images change places."""
    return float(np.max(np.abs(pairs.decision.probability(_swapped(pairs)) - pairs.probability)))


def _swapped(pairs: JudgedPairs) -> FloatArray:
    if pairs.swapped_scores is None:
        raise ValueError("swapped scores are needed")
    return pairs.swapped_scores
