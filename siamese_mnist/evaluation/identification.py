"""Identification: who is it, among the names of a gallery, or nobody? In the terms of ISO/IEC 19795-1.

The gallery holds labelled examples, a probe is an image to be named. A name's score for a probe is that of its best
example. A probe is *mated* if its class is in the gallery. Everywhere, `scores` is (P, G), probe by example, higher =
more alike; equal scores count against the right name, so that a model which says the same of all images is never right.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.checks import BoolArray, FloatArray, IntArray
from siamese_mnist.evaluation.jackknife import Rate, jackknife, rate_interval

FALSE_POSITIVE_IDENTIFICATION_RATES = (0.01, 0.1)
"""The operating points at which detection and identification rates are given."""

_ROUNDING = 1e-9  # so that 0.07 of 100 probes are 7


class OpenSetRate(NamedTuple):
    """What a gallery of some size finds at a limit on false alarms, with intervals over classes.

    Attributes:
        names: N, how many the gallery holds.
        limit: on the false positive identification rate.
        threshold: the least score at which the limit is kept.
        false_positive: share of unmated probes that are given a name (FPIR), with its interval.
        detection: share of mated probes whose own name comes first and reaches the threshold: the detection and
            identification rate (DIR, or true positive identification rate at rank 1), with its interval.
        mated: number of mated probes.
        unmated: number of unmated probes; a limit below 1 / unmated lets none of them pass.
    """

    names: int
    limit: float
    threshold: float
    false_positive: Rate
    detection: Rate
    mated: int
    unmated: int


class _Trial(NamedTuple):
    """Probes against names: what matters of their scores."""

    by_name: FloatArray  # (P, N) score of every name
    own: IntArray  # (P,) which name is the right one, -1 = none
    classes: IntArray  # (P,) number of the probe's class, those of the names first
    names: int

    def without(self, number: int) -> "_Trial":
        """The trial with one class less, among probes and among names."""
        by_name = self.by_name[kept := self.classes != number]
        if number < self.names:
            by_name[:, number] = -np.inf
        return _Trial(by_name, self.own[kept], self.classes[kept], self.names)

    def ranks(self) -> IntArray:
        """Rank of the right name of every mated probe, from 1."""
        mated = self.own >= 0
        by_name, own = self.by_name[mated], self.own[mated]
        ranks: IntArray = (by_name >= by_name[np.arange(own.size), own][:, None]).sum(axis=1)
        return ranks

    def detected(self, threshold: float) -> BoolArray:
        """Whether the own name of every mated probe comes first and reaches a threshold."""
        detected: BoolArray = (self.ranks() == 1) & (self.by_name[self.own >= 0].max(axis=1) >= threshold)
        return detected

    def alarms(self) -> FloatArray:
        """Highest score of every unmated probe."""
        highest: FloatArray = self.by_name[self.own < 0].max(axis=1)
        return highest


def cmc(scores: ArrayLike, gallery_labels: ArrayLike, probe_labels: ArrayLike) -> FloatArray:
    """Cumulative match characteristic: the share of probes whose own name is among the first k, for k = 1 .. N.

    Args:
        scores: (P, G) higher means more alike.
        gallery_labels: (G,) int, the class of every example; a class may have several.
        probe_labels: (P,) int; every class has to be in the gallery (closed set).

    Returns:
        (N,) rates in [0, 1] for the N classes of the gallery, never falling; the first is the rank-1 identification
        rate, the last is 1.

    Raises:
        ValueError: if the shapes do not fit, a score is not finite, or a probe's class is not in the gallery.

    Example:
        >>> cmc([[0.9, 0.1], [0.8, 0.7]], [0, 1], [0, 1]).tolist()
        [0.5, 1.0]
    """
    trial = _trial(scores, gallery_labels, probe_labels)
    if (trial.own < 0).any():
        row = int(np.argmin(trial.own))
        raise ValueError(f"probe {row} is of class {np.asarray(probe_labels)[row]}, which is not in the gallery")
    found: FloatArray = np.cumsum(np.bincount(trial.ranks(), minlength=trial.names + 1)[1:]) / trial.own.size
    return found


def identification_rate(
    scores: ArrayLike, gallery_labels: ArrayLike, probe_labels: ArrayLike, rank: int = 1, confidence: float = 0.95
) -> Rate:
    """One point of `cmc` with its interval over classes, see `jackknife`.

    Args:
        scores: as for `cmc`.
        gallery_labels: as for `cmc`.
        probe_labels: as for `cmc`.
        rank: k, from 1 to the number of names.
        confidence: in (0, 1).

    Raises:
        ValueError: if the rank is out of range; and see `cmc`.
    """
    rates = cmc(scores, gallery_labels, probe_labels)
    if not 1 <= rank <= rates.size:
        raise ValueError(f"rank must lie in 1..{rates.size}, the number of names, got {rank}")
    trial = _trial(scores, gallery_labels, probe_labels)
    spread = jackknife(lambda number: _mean(trial.without(number).ranks() <= rank), int(trial.classes.max()) + 1)
    return rate_interval(float(rates[rank - 1]), [spread], confidence)


def open_set_rates(
    scores: ArrayLike,
    gallery_labels: ArrayLike,
    probe_labels: ArrayLike,
    limits: Sequence[float] = FALSE_POSITIVE_IDENTIFICATION_RATES,
    confidence: float = 0.95,
) -> list[OpenSetRate]:
    """Detection and identification rate at limits on the false positive identification rate.

    Args:
        scores: (P, G) higher means more alike.
        gallery_labels: (G,) int, the class of every example.
        probe_labels: (P,) int; some classes in the gallery, some not.
        limits: on the false positive identification rate, each in [0, 1).
        confidence: of the intervals, in (0, 1).

    Returns:
        One for each limit.

    Raises:
        ValueError: if the shapes do not fit, a score is not finite, a limit is out of range, or the probes are all
            mated or all unmated.
    """
    trial = _trial(scores, gallery_labels, probe_labels)
    mated = int(np.count_nonzero(trial.own >= 0))
    unmated = trial.own.size - mated
    if not (mated and unmated):
        lacking = "in the gallery" if unmated else "outside the gallery"
        raise ValueError(f"no probe is of a class {lacking}; give probes of both kinds")
    return [_open_set_rate(trial, limit, mated, unmated, confidence) for limit in limits]


def _open_set_rate(trial: _Trial, limit: float, mated: int, unmated: int, confidence: float) -> OpenSetRate:
    threshold = false_positive_threshold(trial.alarms(), limit)
    detected, alarmed = trial.detected(threshold), trial.alarms() >= threshold

    def detection_without(number: int) -> float:
        less = trial.without(number)
        alarms = less.alarms()
        return _mean(less.detected(false_positive_threshold(alarms, limit))) if alarms.size else np.nan

    classes = int(trial.classes.max()) + 1
    detection = jackknife(detection_without, classes)
    false_positive = jackknife(lambda number: _mean(trial.without(number).alarms() >= threshold), classes)
    return OpenSetRate(
        names=trial.names,
        limit=limit,
        threshold=threshold,
        false_positive=rate_interval(_mean(alarmed), [false_positive], confidence),
        detection=rate_interval(_mean(detected), [detection], confidence),
        mated=mated,
        unmated=unmated,
    )


def open_set_by_size(
    scores: ArrayLike,
    gallery_labels: ArrayLike,
    probe_labels: ArrayLike,
    sizes: Sequence[int],
    *,
    rng: np.random.Generator,
    limits: Sequence[float] = FALSE_POSITIVE_IDENTIFICATION_RATES,
    draws: int = 20,
) -> list[OpenSetRate]:
    """Open-set rates against the size of the gallery: means over galleries of N of the names, drawn at random.

    Probes of the names that are not drawn are unmated. Intervals are means over the draws too, so that they speak of
    one gallery of that size, not of the mean of many.

    Args:
        scores: as for `open_set_rates`; all probes may be mated.
        gallery_labels: as for `open_set_rates`.
        probe_labels: as for `open_set_rates`.
        sizes: numbers of names.
        rng: draws the names.
        limits: as for `open_set_rates`.
        draws: galleries of each size.

    Returns:
        One for each size and limit.

    Raises:
        ValueError: if a size is less than 1 or leaves no unmated probe; and see `open_set_rates`.
    """
    values, gallery = np.asarray(scores, dtype=np.float64), np.asarray(gallery_labels)
    known = np.unique(gallery)
    found = []
    for size in sizes:
        if not 1 <= size <= known.size:
            raise ValueError(f"sizes must lie in 1..{known.size}, the number of names, got {size}")
        drawn = []
        for _ in range(draws):
            chosen = np.isin(gallery, rng.choice(known, size, replace=False))
            drawn.append(open_set_rates(values[:, chosen], gallery[chosen], probe_labels, limits))
        found += [mean_open_set_rate(of_limit) for of_limit in zip(*drawn, strict=True)]
    return found


def mean_open_set_rate(drawn: Sequence[OpenSetRate]) -> OpenSetRate:
    """Means over galleries of one size at one limit, of the intervals' bounds, too."""
    first = drawn[0]
    return first._replace(
        threshold=float(np.mean([each.threshold for each in drawn])),
        false_positive=Rate(*np.mean([each.false_positive for each in drawn], axis=0).tolist()),
        detection=Rate(*np.mean([each.detection for each in drawn], axis=0).tolist()),
        mated=round(np.mean([each.mated for each in drawn])),
        unmated=round(np.mean([each.unmated for each in drawn])),
    )


def false_positive_threshold(alarms: ArrayLike, limit: float) -> float:
    """The least score that at most a share `limit` of unmated probes reach.

    Args:
        alarms: (U,) the highest score of every unmated probe.
        limit: in [0, 1).

    Raises:
        ValueError: if the limit is out of range.

    Example:
        >>> false_positive_threshold([0.1, 0.2, 0.3, 0.4], 0.5)
        0.20000000000000004
    """
    if not 0 <= limit < 1:
        raise ValueError(f"a limit on the false positive identification rate must be in [0, 1), got {limit}")
    falling = np.sort(np.asarray(alarms, dtype=np.float64))[::-1]
    allowed = min(int(limit * falling.size + _ROUNDING), falling.size - 1)
    return float(np.nextafter(falling[allowed], np.inf))


def guarded_threshold(alarms: ArrayLike, owners: ArrayLike, limit: float, together: int = 1) -> float:
    """The least threshold at which `expected_false_positives` keeps a limit, or the least above all alarms.

    Args:
        alarms: (U,) the highest score of every unmated probe.
        owners: (U,) int, whose probe each is; an owner's probes count as one.
        limit: on the false positive identification rate.
        together: see `expected_false_positives`.
    """
    values, weights = np.asarray(alarms, dtype=np.float64), _weights(owners)
    falling = np.argsort(-values, kind="stable")
    passed = np.cumsum(weights[falling])
    allowed = limit * (passed[-1] + 1) - together + _ROUNDING
    first_refused = min(int(np.searchsorted(passed, allowed, side="right")), values.size - 1)
    return float(np.nextafter(values[falling[first_refused]], np.inf))


def expected_false_positives(alarms: ArrayLike, owners: ArrayLike, threshold: float, together: int = 1) -> Rate:
    """Rate at which the next unmated probe is given a name, from those of n owners: (k + t) / (n + 1).

    The owners are seen as drawn like the next one; k is the number whose probes reach the threshold, in shares where an
    owner has several. The interval is that of the beta distribution which the rate then has (Vovk 2012), at 95 %: of
    the rate among all strangers there could be, not of the share among a few of them, which varies more.

    Args:
        alarms: (U,) the highest score of every unmated probe.
        owners: (U,) int, whose probe each is.
        threshold: a score.
        together: t, how many owners move together: 1 where they are independent, 2 where they are compared with each
            other, as two that are alike then alarm both.
    """
    from scipy.special import betaincinv

    weights = _weights(owners)
    total = float(weights.sum())
    passed = float(weights[np.asarray(alarms, dtype=np.float64) >= threshold].sum())
    # Of a threshold that the alarms themselves have chosen, the next stands anywhere among them.
    shape = passed / together + 1, max((total + 1 - passed) / together - 1, _ROUNDING)
    low, high = (float(betaincinv(*shape, quantile)) for quantile in (0.025, 0.975))
    rate = min((passed + together) / (total + 1), 1.0)
    return Rate(rate, min(low, rate), max(high, rate))


def _weights(owners: ArrayLike) -> FloatArray:
    """Weights (U,) by which all owners count alike."""
    _, number, counts = np.unique(np.asarray(owners), return_inverse=True, return_counts=True)
    weights: FloatArray = 1 / counts[number]
    return weights


def _trial(scores: ArrayLike, gallery_labels: ArrayLike, probe_labels: ArrayLike) -> _Trial:
    values = np.asarray(scores, dtype=np.float64)
    gallery, probes = (
        check_labels(each, name) for each, name in ((gallery_labels, "gallery"), (probe_labels, "probe"))
    )
    if values.shape != (probes.size, gallery.size):
        raise ValueError(
            f"scores must be (probes, examples), ({probes.size}, {gallery.size}) by their labels, got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError(f"scores must be finite, got {values[~np.isfinite(values)][0]}")
    names, number = np.unique(gallery, return_inverse=True)
    starts = np.flatnonzero(np.diff(np.sort(number), prepend=-1))
    by_name = np.maximum.reduceat(values[:, np.argsort(number, kind="stable")], starts, axis=1)
    place = np.minimum(np.searchsorted(names, probes), names.size - 1)
    own = np.where(names[place] == probes, place, -1)
    classes = own.copy()
    classes[own < 0] = names.size + np.unique(probes[own < 0], return_inverse=True)[1]
    return _Trial(by_name, own, classes, names.size)


def check_labels(labels: ArrayLike, name: str) -> IntArray:
    """Labels (N,) as int64; raises ValueError, naming them, if they are not 1-D integers, or none."""
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} labels must be 1-D integers, one or more, got {array.dtype} of shape {array.shape}")
    return array.astype(np.int64, copy=False)


def _mean(values: BoolArray) -> float:
    return float(values.mean()) if values.size else np.nan
