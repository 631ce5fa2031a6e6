"""Intervals for all figures of `evaluate` from a bootstrap over images; see `intervals` for what the pairs share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.evaluation import FALSE_MATCH_RATES, Decision, check_pairs
from siamese_mnist.evaluation.intervals import (
    PairGraph,
    add_seed_variance,
    check_confidence,
    fewest_effective_pairs,
    pair_graph,
    student_quantile,
    wilson_at,
)

__all__ = ["STATISTICS", "bootstrap_intervals"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

STATISTICS = (
    "accuracy",
    *(f"{name}/{figure}" for name in ("same", "different") for figure in ("precision", "recall", "f1")),
    "roc_auc",
    "average_precision",
    "equal_error_rate",
    *(f"true_match_rate/{limit}" for limit in FALSE_MATCH_RATES),
    "log_loss",
    "brier_score",
)
"""What `bootstrap_intervals` knows: each name is the path of the figure in the answer of `evaluate`."""

CHUNK_WEIGHTS = 500_000  # pair weights held at once; more pairs than this are handled one replicate at a time
ROUNDING_VARIANCE = 1e-20  # a variance below it is float64 rounding: one changed answer in ten million pairs moves 1e-7


def bootstrap_intervals(
    scores: ArrayLike,
    same: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    decision: Decision | Sequence[Decision],
    *,
    rng: np.random.Generator,
    statistics: Sequence[str] = STATISTICS,
    replicates: int = 1000,
    confidence: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Intervals of the figures of `evaluate`, from a bootstrap over images.

    In each replicate every image draws an exponential weight (Rubin's Bayesian bootstrap, 1981) and a pair weighs the
    product of its two images' weights; a pair of an image with itself weighs that weight once. Being positive, the
    weights never lose a class.

    The product gives what is peculiar to a pair three times its variance (2**2 - 1; Owen and Eckles 2012,
    "Bootstrapping data arrays of arbitrary order"), so wherever images are in few pairs each the plain bootstrap is far
    too wide. As many replicates with one weight per pair measure that part, and the variance is V_image - 2 V_pair, but
    no less than V_pair.

    As in `accuracy_interval`, the variance sets the effective sample size of a Wilson interval; only log_loss, which
    has no upper limit, gets a symmetric one. Replicates thus serve one variance, not two tails, and dozens are of use
    where millions of pairs allow no more. A figure that no weighting can move, such as an accuracy of 1, falls back to
    the smallest effective sample size among the true and the answered classes.

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
        statistics: names out of `STATISTICS`.
        replicates: >= 2 of each kind; time grows with it, memory does not.
        confidence: in (0, 1).

    Returns:
        Lower and upper bound by name, in the order of `statistics`.

    Raises:
        ValueError: if a name is unknown, an argument is out of its range, or the arrays do not fit (see `check_pairs`).
    """
    unknown = [name for name in statistics if name not in STATISTICS]
    if unknown:
        raise ValueError(f"unknown statistic {unknown[0]!r}; known: {', '.join(STATISTICS)}")
    if replicates < 2:
        raise ValueError(f"replicates must be >= 2, got {replicates}")
    check_confidence(confidence)
    decisions = [decision] if isinstance(decision, Decision) else list(decision)
    by_seed, truth = _check_seeds(scores, same, len(decisions))
    graph = pair_graph(left, right, truth.size)

    first = np.argsort(-by_seed[0])  # where there is one seed, its pairs are put in order once and for all
    graph, truth = PairGraph(graph.left[first], graph.right[first], graph.images), truth[first]
    orders = [np.argsort(-values[first], kind="stable") for values in by_seed]
    computes = [
        _weighted_statistics(values[first][order], truth[order], each, statistics)
        for values, order, each in zip(by_seed, orders, decisions, strict=True)
    ]

    def mean_figures(weights: FloatArray) -> FloatArray:
        """Figures (len(statistics), B) averaged over seeds."""
        total = computes[0](weights)  # its pairs are in order already
        for compute, order in zip(computes[1:], orders[1:], strict=True):
            total += compute(np.take(weights, order, axis=1))
        return total / len(computes)

    alone = [compute(np.ones((1, truth.size)))[:, 0] for compute in computes]
    figures = np.stack(alone, axis=1)  # (len(statistics), S)
    by_image = np.concatenate([mean_figures(each) for each in _image_weights(graph, replicates, rng)], axis=1)
    by_pair = np.concatenate([mean_figures(each) for each in _pair_weights(graph, replicates, rng)], axis=1)

    own = by_pair.var(axis=1, ddof=1)
    variance = np.maximum(by_image.var(axis=1, ddof=1) - 2 * own, own)
    fallback = min(
        _fewest_effective_of_classes(graph, truth, each.predict(values[first]))
        for values, each in zip(by_seed, decisions, strict=True)
    )
    intervals = {}
    for name, seeds, spread in zip(statistics, figures, variance.tolist(), strict=True):
        figure = float(seeds.mean())
        spread, degrees = add_seed_variance(spread, min(graph.images, replicates) - 1, seeds)
        if name == "log_loss":
            half = student_quantile(confidence, degrees) * math.sqrt(spread)
            intervals[name] = (max(0.0, figure - half), figure + half)
        elif spread > ROUNDING_VARIANCE and 0 < figure < 1:
            effective = figure * (1 - figure) / spread
            intervals[name] = wilson_at(figure, effective, student_quantile(confidence, degrees))
        else:
            rate = min(max(figure, 0.0), 1.0)
            intervals[name] = wilson_at(rate, fallback, student_quantile(confidence, graph.images - 1))
    return intervals


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


def _image_weights(graph: PairGraph, replicates: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Chunks (B, P) of pair weights, products of image weights of mean and variance 1."""
    partner = np.where(graph.left == graph.right, graph.images, graph.right)  # the column of ones
    for rows in _chunks(replicates, graph.left.size):
        images = np.ones((rows, graph.images + 1))
        images[:, :-1] = rng.standard_exponential((rows, graph.images))
        weights = np.take(images, graph.left, axis=1)
        weights *= np.take(images, partner, axis=1)
        yield weights


def _pair_weights(graph: PairGraph, replicates: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Chunks (B, P) of weights per image pair; an image paired with itself keeps 1, as its image weighs it once."""
    unit, units = graph.units()
    alone = graph.left == graph.right
    for rows in _chunks(replicates, graph.left.size):
        weights = np.take(rng.standard_exponential((rows, units)), unit, axis=1)
        weights[:, alone] = 1
        yield weights


def _weighted_statistics(
    scores: FloatArray, same: BoolArray, decision: Decision, statistics: Sequence[str]
) -> Callable[[FloatArray], FloatArray]:
    """Function from pair weights (B, P) to statistics (len(statistics), B); pairs are sorted, highest score first."""
    last = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)  # of each group of equal scores
    ties = last.size < scores.size
    predicted, probability = decision.predict(scores), decision.probability(scores)
    smallest = np.finfo(np.float64).eps  # where scikit-learn's log_loss clips
    likely = np.clip(np.where(same, probability, 1 - probability), smallest, 1 - smallest)
    columns = np.stack([predicted & same, predicted, same, -np.log(likely), (probability - same) ** 2], axis=1)

    def cumulative(weights: FloatArray) -> FloatArray:
        total = np.zeros((weights.shape[0], last.size + 1))
        if ties:
            total[:, 1:] = np.cumsum(weights, axis=1)[:, last]
        else:
            np.cumsum(weights, axis=1, out=total[:, 1:])
        return total

    def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
        return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

    def compute(weights: FloatArray) -> FloatArray:
        total = weights.sum(axis=1)
        hit, answered, truly, log_loss, brier = (weights @ columns).T
        figures = {
            "accuracy": (total - answered - truly + 2 * hit) / total,
            "same/precision": ratio(hit, answered),
            "same/recall": hit / truly,
            "same/f1": 2 * hit / (answered + truly),
            "different/precision": ratio(total - answered - truly + hit, total - answered),
            "different/recall": (total - answered - truly + hit) / (total - truly),
            "different/f1": 2 * (total - answered - truly + hit) / (2 * total - answered - truly),
            "log_loss": log_loss / total,
            "brier_score": brier / total,
        }
        if not figures.keys() >= set(statistics):
            figures |= ranking(cumulative(weights * same), cumulative(weights * ~same))
        return np.stack([figures[name] for name in statistics])

    def ranking(true_match: FloatArray, false_match: FloatArray) -> dict[str, FloatArray]:
        row = np.arange(true_match.shape[0])
        steps = np.diff(true_match, axis=1)
        precision = true_match[:, 1:] / (true_match[:, 1:] + false_match[:, 1:])
        average_precision = np.einsum("bt,bt->b", steps, precision) / true_match[:, -1]
        true_match /= true_match[:, -1:]
        false_match /= false_match[:, -1:]
        steps = np.diff(false_match, axis=1)
        auc = (np.einsum("bt,bt->b", steps, true_match[:, 1:]) + np.einsum("bt,bt->b", steps, true_match[:, :-1])) / 2

        excess = true_match + false_match
        after = np.argmax(excess >= 1, axis=1)
        before = after - 1
        share = (1 - excess[row, before]) / (excess[row, after] - excess[row, before])
        equal = false_match[row, before] + share * (false_match[row, after] - false_match[row, before])
        figures = {"roc_auc": auc, "average_precision": average_precision, "equal_error_rate": equal}
        for limit in FALSE_MATCH_RATES:
            allowed = np.count_nonzero(false_match <= limit, axis=1) - 1
            figures[f"true_match_rate/{limit}"] = true_match[row, allowed]
        return figures

    return compute
