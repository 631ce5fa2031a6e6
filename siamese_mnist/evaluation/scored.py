"""Scored pairs of any model to the figures and intervals that runs get."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.bootstrap import bootstrap_intervals, resampled_metrics
from siamese_mnist.evaluation.decision import Decision, fit_decision
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.evaluation.metrics import METRICS, Need, compute_all, nested
from siamese_mnist.evaluation.operating import Calibration, measured, operating_point
from siamese_mnist.evaluation.scorefile import ScoredPairs, read_scorefile
from siamese_mnist.evaluation.summary import judge

_LARGEST_REPLICATES = 1000
_LEAST_REPLICATES = 10
_REPLICATED_PAIRS = 100_000_000  # about as many pairs are weighed in all, for each kind of replicate


def evaluate_scores(
    pairs: ScoredPairs, decision: Decision | None = None, *, threshold: float | None = None
) -> dict[str, Any]:
    """All figures of scored pairs, ready for JSON: each beside its 95 % interval over images, `<name>_interval`.

    Args:
        pairs: what is evaluated.
        decision: threshold and calibration, fitted on other pairs; gives everything.
        threshold: a threshold alone; gives all but the figures of probabilities.

    With neither, only the figures that need no threshold are given.

    Returns:
        The figures of `siamese_mnist.evaluation.evaluate` that can be given, and `images` and `groups`, the numbers of
        them (None without groups, which make pairs of different images dependent, too).

    Raises:
        UsageError: if the threshold is not finite, or both are given.
    """
    if decision is not None and threshold is not None:
        raise UsageError("give a decision or a threshold, not both")
    if threshold is not None and not math.isfinite(threshold):
        raise UsageError(f"threshold must be finite, got {threshold}")
    given: Need = (
        "scores" if decision is None and threshold is None else "threshold" if decision is None else "probability"
    )
    used = decision or Decision(float(np.median(pairs.score)) if threshold is None else threshold, 1.0)
    judged = judge(pairs.score, pairs.same, used)
    found = nested(compute_all(judged, given))
    if given != "scores":
        found["confusion_matrix"] = judged.confusion.tolist()
    left, right = pairs.clusters
    intervals = bootstrap_intervals(
        pairs.score,
        pairs.same,
        left,
        right,
        used,
        rng=np.random.default_rng(0),
        statistics=[name for name in resampled_metrics(given) if METRICS[name].interval != "wilson"],
        replicates=replicates_for(pairs.same.size),
    )
    if given != "scores":
        intervals["accuracy"] = accuracy_interval(judged.predicted == pairs.same, left, right)
    groups = None if pairs.left_group is None else int(max(left.max(), right.max())) + 1
    return {
        "pairs": pairs.same.size,
        "images": len(pairs.images),
        "groups": groups,
        **_with_intervals(found, intervals),
    }


def evaluate_file(
    path: str | Path,
    *,
    threshold: float | None = None,
    calibration: str | Path | None = None,
    fit_on_test: bool = False,
    **wish: float | None,
) -> dict[str, Any]:
    """Evaluates a score file; see `evaluate_scores`.

    Args:
        path: the score file.
        threshold: a threshold fitted elsewhere.
        calibration: a score file of other pairs that threshold and probability of "same" are fitted on.
        fit_on_test: fit them on the evaluated rows themselves, which makes the figures too good.
        **wish: an operating point to take from the calibration file, see `operating_point`.

    Returns:
        As `evaluate_scores`, with `operating_point` where one is asked for: what it is, what to expect of it, and
        `measured`, what it does on the evaluated pairs; and with `file`, `threshold` (None without one), `calibration`,
        `calibration_overlap` (pairs and images that both files hold; None without a calibration file) and
        `threshold_fitted_on_test`, which is true too if the files share a pair.

    Raises:
        UsageError: if more than one of the three is given, the calibration file holds most of the evaluated pairs, or
            most of its pairs are evaluated, in any order and either way round, or a file cannot be used.
    """
    if (threshold is not None) + (calibration is not None) + fit_on_test > 1:
        raise UsageError("--threshold, --calibration and --fit-on-test exclude each other; give one")
    pairs = read_scorefile(path)
    wish = {name: value for name, value in wish.items() if value is not None}
    if wish and calibration is None:
        raise UsageError("an operating point is taken from calibration pairs; give their scores with --calibration")
    decision, overlap, chosen = None, None, {}
    if calibration is not None:
        fitting = read_scorefile(calibration)
        overlap = _overlap(pairs, fitting)
        if 2 * overlap["pairs"] > min(_units(pairs).size, _units(fitting).size):
            raise UsageError(
                f"{calibration} holds {overlap['pairs']:,} of the pairs that are evaluated; fit on other pairs, or ask "
                "for --fit-on-test (images with one name in both files count as one)"
            )
        decision = fit_decision(fitting.score, fitting.same)
        if wish:
            chosen = {"operating_point": _operating_point(decision, fitting, pairs, wish)}
        del fitting
    elif fit_on_test:
        decision = fit_decision(pairs.score, pairs.same)
    return {
        "file": str(path),
        "threshold": decision.threshold if decision else threshold,
        "calibration": None if calibration is None else str(calibration),
        "calibration_overlap": overlap,
        "threshold_fitted_on_test": fit_on_test or bool(overlap and overlap["pairs"]),
        **evaluate_scores(pairs, decision, threshold=threshold),
        **chosen,
    }


def _operating_point(
    decision: Decision, fitting: ScoredPairs, pairs: ScoredPairs, wish: Mapping[str, Any]
) -> dict[str, Any]:
    """What an operating point is by one file, and what it does on the pairs of another."""
    left, right = fitting.clusters
    point = operating_point(
        decision, Calibration(scores=fitting.score, same=fitting.same, left=left, right=right), **wish
    )
    return {**point.as_dict(), "measured": measured(point, pairs.score, pairs.same, *pairs.clusters)}


def _overlap(pairs: ScoredPairs, fitting: ScoredPairs) -> dict[str, int]:
    """How many pairs, either way round, and how many images two files have in common."""
    number = {name: row for row, name in enumerate(pairs.images)}
    new = range(len(pairs.images), len(pairs.images) + len(fitting.images))
    common = np.array([number.get(name, row) for name, row in zip(fitting.images, new, strict=True)])
    images = np.count_nonzero(common < len(pairs.images))
    shared = np.intersect1d(_units(pairs), _units(fitting, common), assume_unique=True)
    return {"pairs": shared.size, "images": int(images)}


def _units(pairs: ScoredPairs, numbers: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Each pair of images once, whichever way round, as one number; with other numbers for the images if given."""
    left, right = (side if numbers is None else numbers[side] for side in (pairs.left, pairs.right))
    return np.unique((np.minimum(left, right) << 32) + np.maximum(left, right))


def replicates_for(pairs: int) -> int:
    """Bootstrap replicates of each kind: fewer for more pairs, so that the time stays bounded."""
    return max(_LEAST_REPLICATES, min(_LARGEST_REPLICATES, _REPLICATED_PAIRS // pairs))


def _with_intervals(
    figures: Mapping[str, Any], intervals: Mapping[str, Sequence[float]], prefix: str = ""
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in figures.items():
        path = f"{prefix}{name}"
        result[name] = _with_intervals(value, intervals, f"{path}/") if isinstance(value, Mapping) else value
        if path in intervals:
            result[f"{name}_interval"] = list(intervals[path])
    return result
