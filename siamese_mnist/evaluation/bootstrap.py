"""Intervals for all figures of `evaluate` from a bootstrap over images; see `intervals` for what the pairs share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.evaluation.checks import check_pairs
from siamese_mnist.evaluation.decision import Decision
from siamese_mnist.evaluation.intervals import (
    PairGraph,
    add_seed_variance,
    check_confidence,
    fewest_effective_pairs,
    pair_graph,
    student_quantile,
    wilson_at,
)
from siamese_mnist.evaluation.judged import JudgedPairs, Weighing
from siamese_mnist.evaluation.metrics import METRICS, Need, compute

__all__ = ["bootstrap_intervals", "resampled_metrics"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

CHUNK_WEIGHTS = 500_000  # pair weights held at once; more pairs than this are handled one replicate at a time
STEP = 0.3  # standard deviation of a weight: small, yet wide enough to move a figure that is read off at a threshold
ROUNDING_VARIANCE = 1e-20  # a variance below it is float64 rounding: one changed answer in ten million pairs moves 1e-7


Form = Callable[[FloatArray], FloatArray]
"""From weights (B, P) to the figures (M, B) of M metrics."""

Draw = Callable[[tuple[int, int]], Any]
"""Draws weights of mean 1 in some shape."""


def resampled_metrics(given: Need = "probability") -> tuple[str, ...]:
    """Names of all metrics that have an interval and can be had from what is given."""
    return tuple(name for name in METRICS if METRICS[name].interval and METRICS[name].can_have(given))


def bootstrap_intervals(
    scores: ArrayLike,
    same: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    decision: Decision | Sequence[Decision],
    *,
    rng: np.random.Generator,
    statistics: Sequence[str] | None = None,
    replicates: int = 1000,
    confidence: float = 0.95,
    swapped_scores: ArrayLike | None = None,
) -> dict[str, tuple[float, float]]:
    """Intervals of metrics, from a bootstrap over images.

    In each replicate every image draws a weight of mean 1 and standard deviation `STEP`, and a pair weighs the product
    of its two images' weights; a pair of an image with itself weighs that weight once. The weights follow a gamma
    distribution; being positive, they never lose a class. Small weights keep to the linear part of a figure, whose
    variance over STEP**2 is the dyadic-robust one (the infinitesimal jackknife): weights of standard deviation 1, as
    in Rubin's Bayesian bootstrap (1981), leave out a fifth of ROC-AUC's variance where pairs share one of 150 writers.

    The product gives what is peculiar to a pair 2 + STEP**2 times its variance (Owen and Eckles 2012, "Bootstrapping
    data arrays of arbitrary order"), so wherever images are in few pairs each the plain bootstrap is far too wide. As
    many replicates with one weight per pair measure that part, and the variance is V_image - (1 + STEP**2) V_pair, but
    no less than V_pair.

    A metric that has no weighted form is computed from repeated rows instead: the weights are then Poisson counts of
    mean and variance 1, and a pair is there as often as its two images' counts multiply to.

    As in `accuracy_interval`, the variance sets the effective sample size of a Wilson interval between the metric's
    limits; a metric that has no upper or no lower limit gets a symmetric one. Replicates thus serve one variance, not
    two tails, and dozens are of use where millions of pairs allow no more. A figure that no weighting can move, such as
    an accuracy of 1, falls back to the smallest effective sample size among the true and the answered classes.

    Over S seeds the figure is the mean of the seeds' figures. All seeds see the same weights, and the variance between
    the S figures over S is added, as in `accuracy_interval`.

    Intervals tend to be too narrow with fewer than about 300 images, and a true match rate rests on few pairs while
    (false match rate limit) * (different pairs) is below about 20: read its interval as rough there.

    Args:
        scores: (P,) or (S, P), higher means more alike; S >= 2 seeds.
        same: (P,) bool ground truth.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
        decision: threshold and calibration, held fixed; one for each seed if there are seeds.
        rng: source of the weights.
        statistics: names in `METRICS`, all that have an interval by default (`resampled_metrics`).
        replicates: >= 2 of each kind; time grows with it, memory does not.
        confidence: in (0, 1).
        swapped_scores: the shape of `scores`, the two images exchanged; for metrics that need them.

    Returns:
        Lower and upper bound by name, in the order of `statistics`. A metric that has no figure for the pairs, or for
        fewer than half of the replicates, is left out.

    Raises:
        ValueError: if a name is unknown, an argument is out of its range, or the arrays do not fit (see `check_pairs`).
    """
    if statistics is None:
        statistics = resampled_metrics("probability" if swapped_scores is None else "swapped_scores")
    unknown = [name for name in statistics if name not in METRICS]
    if unknown:
        raise ValueError(f"unknown metric {unknown[0]!r}; known: {', '.join(METRICS)}")
    if replicates < 2:
        raise ValueError(f"replicates must be >= 2, got {replicates}")
    check_confidence(confidence)
    decisions = [decision] if isinstance(decision, Decision) else list(decision)
    sample = _sample(scores, same, left, right, decisions, swapped_scores)
    spreads = _spreads(sample, statistics, replicates, rng)
    fewest = sample.fewest_effective_pairs()
    intervals = {}
    for name in statistics:
        figures, variance = spreads[name]
        if not (math.isfinite(variance) and np.isfinite(figures).all()):
            continue
        spread, degrees = add_seed_variance(variance, min(sample.graph.images, replicates) - 1, figures)
        quantile = student_quantile(confidence, degrees)
        mean, limits = float(figures.mean()), METRICS[name].limits
        found = _interval(mean, spread, quantile, limits)
        intervals[name] = found or _between(mean, fewest, student_quantile(confidence, sample.graph.images - 1), limits)
    return intervals


def _interval(
    figure: float, variance: float, quantile: float, limits: tuple[float, float]
) -> tuple[float, float] | None:
    """Interval from a variance, or None where the variance says nothing: no weighting moves a figure at its limit."""
    low, high = limits
    if math.isinf(high - low):
        half = quantile * math.sqrt(variance)
        return max(low, figure - half), min(high, figure + half)
    if variance <= ROUNDING_VARIANCE * (high - low) ** 2 or not low < figure < high:
        return None
    return _between(figure, (figure - low) * (high - figure) / variance, quantile, limits)


def _between(figure: float, n: float, quantile: float, limits: tuple[float, float]) -> tuple[float, float]:
    """Wilson interval of a figure between two limits, for an effective number of pairs."""
    low, high = limits
    rate = min(max((figure - low) / (high - low), 0.0), 1.0)
    bounds = wilson_at(rate, n, quantile)
    return low + (high - low) * bounds[0], low + (high - low) * bounds[1]


@dataclass(frozen=True)
class _Sample:
    """Pairs of one or more seeds.

    Attributes:
        graph: the pairs as edges; row by row those of the first seed, the highest score first.
        seeds: the judged pairs of every seed, its own highest score first.
        orders: (P,) of every seed: which row of the graph its rows are.
    """

    graph: PairGraph
    seeds: Sequence[JudgedPairs]
    orders: Sequence[IntArray]

    def fewest_effective_pairs(self) -> float:
        """Smallest effective number of pairs of the true and the answered classes, over seeds."""
        return min(
            _fewest_effective_of_classes(
                PairGraph(self.graph.left[order], self.graph.right[order], self.graph.images), each.same, each.predicted
            )
            for each, order in zip(self.seeds, self.orders, strict=True)
        )


def _sample(
    scores: ArrayLike,
    same: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    decisions: Sequence[Decision],
    swapped_scores: ArrayLike | None,
) -> _Sample:
    by_seed, truth = _check_seeds(scores, same, len(decisions))
    swapped: Sequence[FloatArray | None] = [None] * len(by_seed)
    if swapped_scores is not None:
        swapped, _ = _check_seeds(swapped_scores, same, len(decisions))
    graph = pair_graph(left, right, truth.size)
    first = np.argsort(-by_seed[0])  # where there is one seed, its pairs are put in order once and for all
    graph = PairGraph(graph.left[first], graph.right[first], graph.images)
    seeds, orders = [], []
    for values, exchanged, decision in zip(by_seed, swapped, decisions, strict=True):
        order = np.argsort(-values[first], kind="stable")
        pairs = JudgedPairs(scores=values, same=truth, decision=decision, swapped_scores=exchanged)
        seeds.append(pairs.rows(first[order]))
        orders.append(order)
    return _Sample(graph, seeds, orders)


def _spreads(
    sample: _Sample, names: Sequence[str], replicates: int, rng: np.random.Generator
) -> dict[str, tuple[FloatArray, float]]:
    """The figures (S,) of every metric, and the variance over images of their mean over seeds."""
    weighted = [name for name in names if METRICS[name].weighted]
    others = [name for name in names if not METRICS[name].weighted]
    spreads: dict[str, tuple[FloatArray, float]] = {}
    for chosen, form, square, draw in (
        (weighted, _weighted_form, STEP**2, lambda size: rng.gamma(STEP**-2, STEP**2, size)),
        (others, _repeating_form, 1.0, lambda size: rng.poisson(1.0, size)),
    ):
        if not chosen:
            continue
        forms = [form(pairs, chosen) for pairs in sample.seeds]
        figures = np.stack([each(np.ones((1, sample.graph.left.size)))[:, 0] for each in forms], axis=1)
        by_image, by_pair = (
            np.concatenate([_mean_over_seeds(forms, sample.orders, each) for each in weights], axis=1)
            for weights in (
                _image_weights(sample.graph, replicates, draw),
                _pair_weights(sample.graph, replicates, draw),
            )
        )
        own = _variance(by_pair) / square
        variance = np.maximum(_variance(by_image) / square - (1 + square) * own, own)
        spreads |= zip(chosen, zip(figures, variance.tolist(), strict=True), strict=True)
    return spreads


def _weighted_form(pairs: JudgedPairs, names: Sequence[str]) -> Form:
    """Figures under weights, from the metrics' weighted forms."""
    weighing = Weighing(pairs)
    forms = [METRICS[name].weighted for name in names]

    def values(weights: FloatArray) -> FloatArray:
        weighted = weighing.weigh(weights)
        return np.stack([form(weighted) for form in forms if form])

    return values


def _repeating_form(pairs: JudgedPairs, names: Sequence[str]) -> Form:
    """Figures under whole weights, from rows repeated as often; NaN where a class is lost."""
    rows = np.arange(pairs.same.size)

    def values(counts: IntArray) -> list[float]:
        repeated = pairs.rows(np.repeat(rows, counts))
        if not repeated.same.size or repeated.same.all() or not repeated.same.any():
            return [math.nan] * len(names)
        found = [compute(name, repeated) for name in names]
        return [math.nan if value is None else value for value in found]

    return lambda weights: np.array([values(counts) for counts in weights.astype(np.int64)]).T


def _mean_over_seeds(forms: Sequence[Form], orders: Sequence[IntArray], weights: FloatArray) -> FloatArray:
    """Figures (M, B) averaged over seeds."""
    total = forms[0](weights)  # its pairs are in order already
    for form, order in zip(forms[1:], orders[1:], strict=True):
        total += form(np.take(weights, order, axis=1))
    return total / len(forms)


def _variance(figures: FloatArray) -> FloatArray:
    """Variance (M,) over those of the replicates (M, B) that have a figure; NaN if fewer than half have one."""
    found = np.isfinite(figures)
    enough = 2 * found.sum(axis=1) >= max(4, figures.shape[1])
    if enough.all() and found.all():
        variance: FloatArray = figures.var(axis=1, ddof=1)
        return variance
    kept = [
        row[there].var(ddof=1) if much else math.nan for row, there, much in zip(figures, found, enough, strict=True)
    ]
    return np.array(kept)


def _check_seeds(scores: ArrayLike, same: ArrayLike, decisions: int) -> tuple[list[FloatArray], BoolArray]:
    """Scores of each seed, and the ground truth."""
    table = np.asarray(scores)
    if table.ndim == 2 and not 2 <= table.shape[0] == decisions:
        raise ValueError(f"scores of S >= 2 seeds need S decisions, got shape {table.shape} and {decisions}")
    if table.ndim != 2 and decisions != 1:
        raise ValueError(f"scores of one seed need one decision, got {decisions}")
    checked = [check_pairs(values, same) for values in (table if table.ndim == 2 else [table])]
    return [values for values, _ in checked], checked[0][1]


def _fewest_effective_of_classes(graph: PairGraph, same: BoolArray, predicted: BoolArray) -> float:
    """Smallest `fewest_effective_pairs` of the true and the answered classes, 0 if one of them has no pair."""
    return min(
        fewest_effective_pairs(PairGraph(graph.left[rows], graph.right[rows], graph.images)) if rows.any() else 0.0
        for rows in (same, ~same, predicted, ~predicted)
    )


def _chunks(replicates: int, pairs: int) -> Iterator[int]:
    size = max(1, CHUNK_WEIGHTS // pairs)
    for start in range(0, replicates, size):
        yield min(size, replicates - start)


def _image_weights(graph: PairGraph, replicates: int, draw: Draw) -> Iterator[FloatArray]:
    """Chunks (B, P) of pair weights, products of image weights."""
    partner = np.where(graph.left == graph.right, graph.images, graph.right)  # the column of ones
    for rows in _chunks(replicates, graph.left.size):
        images = np.ones((rows, graph.images + 1))
        images[:, :-1] = draw((rows, graph.images))
        weights = np.take(images, graph.left, axis=1)
        weights *= np.take(images, partner, axis=1)
        yield weights


def _pair_weights(graph: PairGraph, replicates: int, draw: Draw) -> Iterator[FloatArray]:
    """Chunks (B, P) of weights per image pair; an image paired with itself keeps 1, as its image weighs it once."""
    unit, units = graph.units()
    alone = graph.left == graph.right
    for rows in _chunks(replicates, graph.left.size):
        weights = np.take(np.asarray(draw((rows, units)), dtype=np.float64), unit, axis=1)
        weights[:, alone] = 1
        yield weights
