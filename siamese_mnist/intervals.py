"""Confidence intervals and paired tests for figures measured on pairs of images.

Pairs that share an image are dependent: one hard image makes every pair it is in harder. A binomial interval, or a
bootstrap over pairs, ignores that and comes out too narrow. Everything here lets pairs that share an image be
correlated (dyadic-robust), takes pairs without a common image as independent, and reads `left` and `right` as (P,)
integer image identifiers. The order of the two images does not matter, and several rows about the same two images count
as one unit.

The images are seen as a sample from a population of images, and the intervals are about that population. Quantiles come
from Student's t with (number of images - 1) degrees of freedom, because with few images the normal ones cover too
seldom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.evaluation import FALSE_MATCH_RATES, Decision, check_pairs

__all__ = [
    "STATISTICS",
    "PairedDifference",
    "accuracy_interval",
    "bootstrap_intervals",
    "holm",
    "pair_variance",
    "paired_difference",
    "seed_interval",
    "verdict",
    "wilson_interval",
]

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


class _Graph(NamedTuple):
    """The pairs as edges (left (P,), right (P,)) between images numbered 0..images-1."""

    left: IntArray
    right: IntArray
    images: int

    def units(self) -> tuple[IntArray, int]:
        """Number (P,) of each row's unordered image pair, and how many there are."""
        key = np.minimum(self.left, self.right) * self.images + np.maximum(self.left, self.right)
        unique, number = np.unique(key, return_inverse=True)
        return number, unique.size


def _graph(left: ArrayLike, right: ArrayLike, pairs: int) -> _Graph:
    sides = []
    for name, identifiers in (("left", np.asarray(left)), ("right", np.asarray(right))):
        if identifiers.shape != (pairs,):
            raise ValueError(f"{name} must have one image identifier per pair, ({pairs},), got {identifiers.shape}")
        if not np.issubdtype(identifiers.dtype, np.integer):
            raise ValueError(f"{name} must hold integer image identifiers, got {identifiers.dtype}")
        sides.append(identifiers.astype(np.int64))
    both = np.concatenate(sides)
    lowest, highest = int(both.min()), int(both.max())
    if highest - lowest < 4 * pairs:  # row numbers of an image set, as a rule: no need to sort
        both -= lowest
        present = np.bincount(both) > 0
        images = int(np.count_nonzero(present))
        numbers = (np.cumsum(present) - 1)[both]
    else:
        distinct, numbers = np.unique(both, return_inverse=True)
        images = distinct.size
    return _Graph(numbers[:pairs], numbers[pairs:], images)


def _shared_products(values: FloatArray, graph: _Graph) -> float:
    """Sum of values[i] * values[j] over all ordered (i, j) that share an image, i = j included."""
    from scipy.sparse import coo_array

    # Every image squares the sum of its rows. Rows about the same two images meet at both, which is once too often.
    apart = graph.left != graph.right
    edges, left, right = values[apart], graph.left[apart], graph.right[apart]
    by_image = np.bincount(graph.left, values, graph.images) + np.bincount(right, edges, graph.images)
    ends = np.minimum(left, right), np.maximum(left, right)
    by_unit = coo_array((edges, ends), shape=(graph.images, graph.images)).tocsr().data
    return float(by_image @ by_image - by_unit @ by_unit)


def _fewest_effective_pairs(graph: _Graph) -> float:
    """Number of independent pairs worth as much as these if sharing an image meant full correlation."""
    pairs = graph.left.size
    return pairs**2 / _shared_products(np.ones(pairs), graph)


def _bools(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values)
    if array.size == 0 or not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name} must be boolean or 0/1 and not empty, got {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")


def _quantile(confidence: float, degrees: float) -> float:
    """Two-sided quantile of Student's t; infinite when there is no degree of freedom."""
    from scipy.special import stdtrit

    _check_confidence(confidence)
    return float(stdtrit(degrees, (1 + confidence) / 2)) if degrees > 0 else math.inf


def pair_variance(values: ArrayLike, left: ArrayLike, right: ArrayLike) -> float:
    """Dyadic-robust variance of the mean of per-pair values (Aronow, Samii and Assenova 2015, arXiv 1312.3398).

    The products of residuals are summed over all ordered couples of rows that share an image (each row with itself
    included) and divided by P squared. A couple that shares both images counts once, whichever way round it is written;
    a pair of an image with itself is linked to the pairs of that one image. O(P). The estimate can be negative where
    few pairs share images.

    Args:
        values: (P,) finite numbers, such as 1 for a right and 0 for a wrong answer.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.

    Raises:
        ValueError: if a value is not finite, or an array has another length or type.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"values must be 1-D, finite and not empty, got shape {array.shape}")
    return _shared_products(array - array.mean(), _graph(left, right, array.size)) / array.size**2


def wilson_interval(rate: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval (Wilson 1927) for a rate among `n` independent trials; `n` need not be whole.

    Args:
        rate: observed rate in [0, 1].
        n: (effective) number of trials, > 0.
        confidence: in (0, 1).

    Raises:
        ValueError: if an argument is out of its range.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be in [0, 1], got {rate}; divide successes by n")
    if not n > 0:
        raise ValueError(f"n must be > 0, got {n}")
    return _wilson(rate, n, _quantile(confidence, math.inf))


def _wilson(rate: float, n: float, quantile: float) -> tuple[float, float]:
    # scipy.stats.binomtest has this interval for whole numbers of successes only.
    if math.isinf(quantile) or n == 0:
        return 0.0, 1.0
    ratio = quantile**2 / n
    centre = (rate + ratio / 2) / (1 + ratio)
    half = math.sqrt(ratio * rate * (1 - rate) + ratio**2 / 4) / (1 + ratio)
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))


def accuracy_interval(
    correct: ArrayLike, left: ArrayLike, right: ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Wilson interval of the accuracy at its effective sample size (Fogliato, Patil and Perona 2024, arXiv 2306.01198).

    The effective sample size is accuracy * (1 - accuracy) / `pair_variance`, at most P. Where that says nothing,
    because all answers are right or all wrong or because the variance is not positive, it is the smallest one possible:
    that of pairs fully correlated with every pair they share an image with, P squared over the number of such ordered
    couples.

    Args:
        correct: (P,) bool, True where the answer was right.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
        confidence: in (0, 1).

    Returns:
        Lower and upper bound, in [0, 1].

    Raises:
        ValueError: if an array has another length or type, or the confidence is out of range.
    """
    values = _bools(correct, "correct")
    graph = _graph(left, right, values.size)
    rate = float(values.mean())
    variance = _shared_products(values - rate, graph) / values.size**2
    if variance > 0 and 0 < rate < 1:
        effective = min(rate * (1 - rate) / variance, values.size)
    else:
        effective = _fewest_effective_pairs(graph)
    return _wilson(rate, effective, _quantile(confidence, graph.images - 1))


def seed_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval for the mean of one figure over independent seeds; it has no width if all values are equal.

    Args:
        values: (S,) one finite figure per seed, S >= 2.
        confidence: in (0, 1).

    Raises:
        ValueError: if there are fewer than two values or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < 2 or not np.isfinite(array).all():
        raise ValueError(f"values must be one finite figure for each of two or more seeds, got {array.tolist()}")
    half = _quantile(confidence, array.size - 1) * float(array.std(ddof=1)) / math.sqrt(array.size)
    return float(array.mean()) - half, float(array.mean()) + half


class PairedDifference(NamedTuple):
    """Accuracy of A minus accuracy of B in [-1, 1], its interval, and the two-sided p-value of "no difference"."""

    difference: float
    low: float
    high: float
    p_value: float


def paired_difference(
    correct_a: ArrayLike, correct_b: ArrayLike, left: ArrayLike, right: ArrayLike, confidence: float = 0.95
) -> PairedDifference:
    """Difference in accuracy between A and B on the same pairs, for one model each or for S seeds of each.

    With one model each, the variance is the `pair_variance` of the per-pair differences. Over seeds it is the sum of
    two parts: the `pair_variance` of the differences averaged over seeds, for the images could have been others, and
    the variance between the S seeds' differences over S, for the seeds could have been others. What is peculiar to one
    seed on one image is in both parts, so the sum is somewhat too large rather than too small; subtracting it (Cameron,
    Gelbach and Miller 2011) can turn the variance negative with the few seeds at hand. The degrees of freedom are
    Satterthwaite's.

    If the variance over images is not positive, it is bounded by that of pairs fully correlated with every pair they
    share an image with. If A and B never differ, the interval is +-the Wilson bound of no difference in that many
    effective pairs.

    Args:
        correct_a: (P,) or (S, P) bool, True where A was right; S >= 2 seeds, row s of A against row s of B.
        correct_b: bool, the shape of `correct_a`.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
        confidence: in (0, 1).

    Raises:
        ValueError: if the shapes differ, there is one row only, or an array is not of its type.
    """
    from scipy.special import stdtr

    a, b = _bools(correct_a, "correct_a"), _bools(correct_b, "correct_b")
    if a.shape != b.shape or a.ndim not in (1, 2):
        raise ValueError(f"correct_a and correct_b must both be (P,) or both (S, P), got {a.shape} and {b.shape}")
    if a.ndim == 2 and a.shape[0] < 2:
        raise ValueError("the variance between seeds needs two or more rows; pass 1-D arrays for one seed")
    by_seed = np.atleast_2d(a - b)
    graph = _graph(left, right, by_seed.shape[1])
    degrees = float(graph.images - 1)
    if not by_seed.any():
        half = _wilson(0.0, _fewest_effective_pairs(graph), _quantile(confidence, degrees))[1]
        return PairedDifference(0.0, -half, half, 1.0)

    by_pair = by_seed.mean(axis=0)
    difference = float(by_pair.mean())
    variance = _shared_products(by_pair - difference, graph) / by_pair.size**2
    if variance <= 0:
        variance = float(np.mean(by_seed**2)) / _fewest_effective_pairs(graph)
    if a.ndim == 2:
        seeds = a.shape[0]
        between = float(by_seed.mean(axis=1).var(ddof=1)) / seeds
        total = variance + between
        degrees = total**2 / (variance**2 / max(degrees, 1) + between**2 / (seeds - 1))
        variance = total
    error = math.sqrt(variance)
    half = _quantile(confidence, degrees) * error
    p_value = 2 * float(stdtr(degrees, -abs(difference) / error)) if degrees > 0 else 1.0
    return PairedDifference(difference, max(-1.0, difference - half), min(1.0, difference + half), p_value)


def holm(p_values: ArrayLike) -> FloatArray:
    """P-values (M,) adjusted for M tests by Holm's step-down method (Holm 1979), in the order given, each in [0, 1].

    Args:
        p_values: (M,) in [0, 1].

    Raises:
        ValueError: if one is outside [0, 1].
    """
    array = np.asarray(p_values, dtype=np.float64)
    if array.ndim != 1 or not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"p_values must be 1-D and in [0, 1], got {array.tolist()}")
    order = np.argsort(array, kind="stable")
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(np.maximum.accumulate(array[order] * np.arange(array.size, 0, -1)), 1)
    return adjusted


Verdict = Literal["better", "worse", "no difference shown"]


def verdict(low: float, high: float, p_adjusted: float, alpha: float = 0.05) -> Verdict:
    """What a comparison shows about A: a side is taken only if the interval leaves out 0 and p_adjusted <= alpha.

    Args:
        low: lower bound of the difference A - B.
        high: upper bound.
        p_adjusted: p-value, adjusted for the number of comparisons (`holm`).
        alpha: significance level in (0, 1).

    Raises:
        ValueError: if low > high.
    """
    if not low <= high:
        raise ValueError(f"low must be <= high, got {low} and {high}")
    if p_adjusted > alpha or low <= 0 <= high:
        return "no difference shown"
    return "better" if low > 0 else "worse"


def bootstrap_intervals(
    scores: ArrayLike,
    same: ArrayLike,
    left: ArrayLike,
    right: ArrayLike,
    decision: Decision,
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

    Intervals tend to be too narrow with fewer than about 300 images, and a true match rate rests on few pairs while
    (false match rate limit) * (different pairs) is below about 20: read its interval as rough there.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
        decision: threshold and calibration, held fixed.
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
    _check_confidence(confidence)
    values, truth = check_pairs(scores, same)
    graph = _graph(left, right, truth.size)

    order = np.argsort(-values)
    graph = _Graph(graph.left[order], graph.right[order], graph.images)
    compute = _weighted_statistics(values[order], truth[order], decision, statistics)
    estimate = compute(np.ones((1, truth.size)))
    by_image = np.concatenate([compute(weights) for weights in _image_weights(graph, replicates, rng)], axis=1)
    by_pair = np.concatenate([compute(weights) for weights in _pair_weights(graph, replicates, rng)], axis=1)

    own = by_pair.var(axis=1, ddof=1)
    variance = np.maximum(by_image.var(axis=1, ddof=1) - 2 * own, own)
    quantile = _quantile(confidence, graph.images - 1)
    fallback = _fewest_effective_of_classes(graph, truth[order], decision.predict(values[order]))
    intervals = {}
    for name, figure, spread in zip(statistics, estimate[:, 0].tolist(), variance.tolist(), strict=True):
        if name == "log_loss":
            half = quantile * math.sqrt(spread)
            intervals[name] = (max(0.0, figure - half), figure + half)
        else:
            moved = spread > ROUNDING_VARIANCE and 0 < figure < 1
            effective = figure * (1 - figure) / spread if moved else fallback
            intervals[name] = _wilson(min(max(figure, 0.0), 1.0), effective, quantile)
    return intervals


def _fewest_effective_of_classes(graph: _Graph, same: BoolArray, predicted: BoolArray) -> float:
    """Smallest `_fewest_effective_pairs` of the true and the answered classes, 0 if one of them has no pair."""
    return min(
        _fewest_effective_pairs(_Graph(graph.left[rows], graph.right[rows], graph.images)) if rows.any() else 0.0
        for rows in (same, ~same, predicted, ~predicted)
    )


def _chunks(replicates: int, pairs: int) -> Iterator[int]:
    size = max(1, CHUNK_WEIGHTS // pairs)
    for start in range(0, replicates, size):
        yield min(size, replicates - start)


def _image_weights(graph: _Graph, replicates: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Chunks (B, P) of pair weights, products of image weights of mean and variance 1."""
    partner = np.where(graph.left == graph.right, graph.images, graph.right)  # the column of ones
    for rows in _chunks(replicates, graph.left.size):
        images = np.ones((rows, graph.images + 1))
        images[:, :-1] = rng.standard_exponential((rows, graph.images))
        weights = np.take(images, graph.left, axis=1)
        weights *= np.take(images, partner, axis=1)
        yield weights


def _pair_weights(graph: _Graph, replicates: int, rng: np.random.Generator) -> Iterator[FloatArray]:
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
