"""Confidence intervals for figures measured on pairs of images.

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
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "accuracy_interval",
    "pair_variance",
    "seed_interval",
    "wilson_interval",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class PairGraph(NamedTuple):
    """The pairs as edges (left (P,), right (P,)) between images numbered 0..images-1."""

    left: IntArray
    right: IntArray
    images: int

    def units(self) -> tuple[IntArray, int]:
        """Number (P,) of each row's unordered image pair, and how many there are."""
        key = np.minimum(self.left, self.right) * self.images + np.maximum(self.left, self.right)
        unique, number = np.unique(key, return_inverse=True)
        return number, unique.size


def pair_graph(left: ArrayLike, right: ArrayLike, pairs: int) -> PairGraph:
    """The graph of `pairs` pairs given as integer image identifiers (P,); raises ValueError if they do not fit."""
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
    return PairGraph(numbers[:pairs], numbers[pairs:], images)


def shared_products(values: FloatArray, graph: PairGraph) -> float:
    """Sum of values[i] * values[j] over all ordered (i, j) that share an image, i = j included."""
    from scipy.sparse import coo_array

    # Every image squares the sum of its rows. Rows about the same two images meet at both, which is once too often.
    apart = graph.left != graph.right
    edges, left, right = values[apart], graph.left[apart], graph.right[apart]
    by_image = np.bincount(graph.left, values, graph.images) + np.bincount(right, edges, graph.images)
    ends = np.minimum(left, right), np.maximum(left, right)
    by_unit = coo_array((edges, ends), shape=(graph.images, graph.images)).tocsr().data
    return float(by_image @ by_image - by_unit @ by_unit)


def fewest_effective_pairs(graph: PairGraph) -> float:
    """Number of independent pairs worth as much as these if sharing an image meant full correlation."""
    pairs = graph.left.size
    return pairs**2 / shared_products(np.ones(pairs), graph)


def as_rates(values: ArrayLike, name: str) -> FloatArray:
    """Truth values as 0.0 and 1.0; raises ValueError, naming them, if they are something else, or none."""
    array = np.asarray(values)
    if array.size == 0 or not ((array == 0) | (array == 1)).all():
        raise ValueError(f"{name} must be boolean or 0/1 and not empty, got {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)


def check_confidence(confidence: float) -> None:
    """Raises ValueError unless the confidence is in (0, 1)."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")


def student_quantile(confidence: float, degrees: float) -> float:
    """Two-sided quantile of Student's t; infinite when there is no degree of freedom."""
    from scipy.special import stdtrit

    check_confidence(confidence)
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
    return shared_products(array - array.mean(), pair_graph(left, right, array.size)) / array.size**2


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
    return wilson_at(rate, n, student_quantile(confidence, math.inf))


def wilson_at(rate: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson interval at a quantile; all of [0, 1] if `n` is 0 or the quantile infinite."""
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

    The effective sample size is accuracy * (1 - accuracy) / variance. With one model the variance is that of
    `pair_variance`, but no less than that of independent pairs, so that the size is at most P. Over seeds it is that of
    the answers averaged over seeds, for the images could have been others, and the variance between the S accuracies
    over S, for the seeds could have been others (`add_seed_variance`).

    Where the images' part says nothing, because all answers are right or all wrong or because it is not positive, its
    effective sample size is the smallest one possible: that of pairs fully correlated with every pair they share an
    image with, P squared over the number of such ordered couples.

    Args:
        correct: (P,) or (S, P) bool, True where the answer was right; S >= 2 seeds.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
        confidence: in (0, 1).

    Returns:
        Lower and upper bound, in [0, 1], for the accuracy or its mean over seeds.

    Raises:
        ValueError: if an array has another length or type, or the confidence is out of range.
    """
    values = as_rates(correct, "correct")
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[0] < 2):
        raise ValueError(f"correct must be (P,), or (S, P) with two or more seeds, got {values.shape}")
    by_seed = np.atleast_2d(values)
    by_pair = by_seed.mean(axis=0)
    graph = pair_graph(left, right, by_pair.size)
    rate = float(by_pair.mean())
    quantile = student_quantile(confidence, graph.images - 1)
    if not 0 < rate < 1:
        return wilson_at(rate, fewest_effective_pairs(graph), quantile)
    variance = shared_products(by_pair - rate, graph) / by_pair.size**2
    if variance <= 0:
        variance = rate * (1 - rate) / fewest_effective_pairs(graph)
    variance = max(variance, float(by_pair.var()) / by_pair.size)
    variance, degrees = add_seed_variance(variance, graph.images - 1, by_seed.mean(axis=1))
    return wilson_at(rate, rate * (1 - rate) / variance, student_quantile(confidence, degrees))


def add_seed_variance(variance: float, degrees: float, by_seed: FloatArray) -> tuple[float, float]:
    """Variance of a mean over seeds that covers images and seeds, and its degrees of freedom (Satterthwaite's).

    What is peculiar to one seed on one image is in both parts, so the sum is somewhat too large rather than too small;
    subtracting it (Cameron, Gelbach and Miller 2011) can turn the variance negative with the few seeds at hand.

    Args:
        variance: of the figure averaged over seeds, from the images alone.
        degrees: its degrees of freedom.
        by_seed: (S,) the figure of every seed; with one seed nothing is added.
    """
    seeds = by_seed.size
    between = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    if between == 0:
        return variance, degrees
    total = variance + between
    return total, total**2 / (variance**2 / max(degrees, 1) + between**2 / (seeds - 1))


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
    half = student_quantile(confidence, array.size - 1) * float(array.std(ddof=1)) / math.sqrt(array.size)
    return float(array.mean()) - half, float(array.mean()) + half
