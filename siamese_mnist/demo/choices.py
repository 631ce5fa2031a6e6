"""What may be chosen on the page: the share of same pairs, the threshold and a bound on errors, and what each costs."""

from typing import Any

import numpy as np

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, Decision, operating_point
from siamese_mnist.evaluation.checks import FloatArray

PRIORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
BOUNDS = (0.05, 0.02, 0.01, 0.005)
"""Shares of wrong answers that are allowed among those given, where a pair may be left unsure."""

_NEAR = 0.02  # of the prior that the decision was made for, which takes the place of its neighbours
_STEPS = 160  # of the threshold


def choices(decision: Decision, calibration: Calibration | None) -> dict[str, Any]:
    """The choices of a decision, ready for JSON.

    Args:
        decision: as it was fitted.
        calibration: pairs that rates and bounds come from; without them only probabilities follow the prior.

    Returns:
        `slope`; `own`, the row of `points` that is the decision as it was fitted; `points`, one for each share of same
        pairs: `prior`, `centre` (the score of probability 0.5), `threshold`, `bands` by bound (`low`, `high`,
        `unsure_share`) or None where the pairs cannot show it; and `rates` (`thresholds`, `false_match`, `true_match`,
        `unseen`) or None.
    """
    others = [each for each in PRIORS if abs(each - decision.prior) > _NEAR]
    priors = sorted([*others, decision.prior])
    return {
        "slope": decision.slope,
        "own": priors.index(decision.prior),
        "bounds": list(BOUNDS),
        "points": [_point(decision, calibration, prior) for prior in priors],
        "rates": None if calibration is None else _rates(decision, calibration),
    }


def _point(decision: Decision, calibration: Calibration | None, prior: float) -> dict[str, Any]:
    centre = decision.moved_to(prior).threshold
    if calibration is None:
        return {"prior": prior, "centre": centre, "threshold": centre, "bands": [None] * len(BOUNDS)}
    asked = None if prior == decision.prior else prior
    point = operating_point(decision, calibration, prior=asked)
    bands = [_band(decision, calibration, asked, bound) for bound in BOUNDS]
    return {"prior": prior, "centre": centre, "threshold": point.threshold, "bands": bands}


def _band(decision: Decision, calibration: Calibration, prior: float | None, bound: float) -> dict[str, float] | None:
    try:
        band = operating_point(decision, calibration, prior=prior, max_error=bound).band
    except UsageError:
        return None
    assert band is not None
    return {"low": band.low, "high": band.high, "unsure_share": band.unsure_share}


def _rates(decision: Decision, calibration: Calibration) -> dict[str, Any]:
    low, high = np.quantile(calibration.scores, (0.001, 0.999))
    low, high = min(low, decision.threshold), max(high, decision.threshold)
    thresholds = np.linspace(low, high, _STEPS + 1)
    of = {"false_match": ~calibration.same, "true_match": calibration.same}
    rates = {name: _reached(calibration.scores[kind], thresholds).tolist() for name, kind in of.items()}
    return {"thresholds": thresholds.tolist(), **rates, "unseen": calibration.unseen}


def _reached(scores: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Share of scores at or above each threshold."""
    share: FloatArray = 1 - np.searchsorted(np.sort(scores), thresholds, side="left") / scores.size
    return share
