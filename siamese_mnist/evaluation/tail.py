"""The highest impostor scores of all pairs of an image set, in bounded memory: what low false match rates rest on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.evaluation.checks import FloatArray, IntArray
from siamese_mnist.evaluation.intervals import student_quantile, wilson_at

KEPT = 100_000
"""Impostor scores that are kept at most."""

Tile = tuple[IntArray, IntArray, NDArray[np.floating]]
"""Rows (A,) and (B,) of the images, and the scores (A, B) of each of the ones against each of the others."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImpostorTail:
    """The highest scores among all impostor pairs of images; a pair counts once, whichever way round.

    Attributes:
        scores: (T,) falling; all impostor pairs above the last score are among them.
        left: (T,) int64, cluster of one image: its group where there are groups, else its row.
        right: (T,) int64, cluster of the other.
        labels: (N,) int64, class of every image of the set.
        clusters: (N,) int64, 0 .. C - 1, cluster of every image.
        parts: (N,) int64, 0 .. P - 1, the set that an image belongs to; images of two sets are no pair.
    """

    scores: FloatArray
    left: IntArray
    right: IntArray
    labels: IntArray
    clusters: IntArray
    parts: IntArray

    @property
    def pairs(self) -> int:
        """Number of all impostor pairs."""
        sizes, counts = np.bincount(self.parts), np.bincount(self._classes)
        return int(np.sum(sizes**2) - np.sum(counts**2)) // 2

    @property
    def _classes(self) -> IntArray:
        """Number (N,) of every image's class in its set: P K of them, some of them empty."""
        names, classes = np.unique(self.labels, return_inverse=True)
        return self.parts * names.size + classes

    def accepted(self, thresholds: ArrayLike) -> IntArray:
        """How many impostor pairs score at or above each threshold; they have to be in the tail."""
        return np.searchsorted(-self.scores, -np.asarray(thresholds, dtype=np.float64), side="right")

    def reaches(self, threshold: float) -> bool:
        """Whether all impostor pairs at or above a threshold are in the tail."""
        return self.scores.size == self.pairs or bool(threshold >= self.scores[-1])

    def effective_pairs(self, threshold: float) -> float:
        """How many independent pairs would tell the false match rate at a threshold in the tail as well."""
        accepted, pairs = int(self.accepted(threshold)), self.pairs
        if accepted == 0:
            return pairs**2 / self._squares(0, -1.0)
        rate = accepted / pairs
        return rate * (1 - rate) / max(self._squares(accepted, rate) / pairs**2, rate * (1 - rate) / pairs)

    def interval(self, threshold: float, confidence: float = 0.95) -> tuple[float, float]:
        """Interval of the false match rate at a threshold in the tail, as `accuracy_interval` makes it of all pairs."""
        quantile = student_quantile(confidence, int(self.clusters.max()))
        return wilson_at(int(self.accepted(threshold)) / self.pairs, self.effective_pairs(threshold), quantile)

    def _squares(self, accepted: int, rate: float) -> float:
        """Sum of products of residuals of all couples of pairs that share a cluster.

        It is `intervals.shared_products` of all impostor pairs, of which most are alike: those that are not accepted.
        """
        count, (held, classes) = int(self.clusters.max()) + 1, np.unique(self._classes, return_inverse=True)
        table = np.zeros((count, held.size))
        np.add.at(table, (self.clusters, classes), 1)
        part = held // np.unique(self.labels).size
        impostor = (part[:, None] == part) & ~np.eye(held.size, dtype=np.bool_)  # which classes make impostor pairs
        partners = table @ impostor
        own = np.sum(partners * table, axis=1) / 2  # impostor pairs within a cluster
        left, right = self.left[:accepted], self.right[:accepted]
        apart = left != right
        met = np.bincount(left, minlength=count) + np.bincount(right[apart], minlength=count)
        by_cluster = met - rate * (partners @ table.sum(axis=0) - own)

        low, high = np.minimum(left, right)[apart], np.maximum(left, right)[apart]
        key, hits = np.unique(low * count + high, return_counts=True)
        low, high = np.divmod(key, count)
        expected = rate * np.sum(partners[low] * table[high], axis=1)
        by_unit = np.sum((hits - expected) ** 2 - expected**2)
        # The squares of the numbers of pairs between every two clusters; every two are met twice.
        between = impostor @ (table.T @ table)
        by_unit += rate**2 * (np.sum(between * between.T) - np.sum((2 * own) ** 2)) / 2
        return float(by_cluster @ by_cluster - by_unit)


def upper_tiles(
    count: int, score: Callable[[IntArray, IntArray], NDArray[np.floating]], *, size: int = 1024
) -> Iterator[Tile]:
    """Tiles that together hold every two of `count` images once.

    Args:
        count: number of images.
        score: rows (A,) and (B,) of them to scores (A, B).
        size: most images on each side of a tile.
    """
    parts = [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
    for number, rows in enumerate(parts):
        for columns in parts[number:]:
            yield rows, columns, score(rows, columns)


def collect_tail(
    tiles: Iterable[Tile], labels: IntArray, clusters: IntArray | None = None, *, kept: int = KEPT
) -> ImpostorTail:
    """The tail of all impostor pairs of an image set, from tiles of its matrix of scores, one at a time.

    Args:
        tiles: together they hold every two images i < j once; where i >= j, the score is passed over.
        labels: (N,) int64 class of every image.
        clusters: (N,) int64, such as who wrote it; the image itself by default.
        kept: scores to keep, > 0.
    """
    chosen = np.arange(labels.size) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    scores, left, right = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)
    for rows, columns, matrix in tiles:
        impostor = (rows[:, None] < columns) & (labels[rows][:, None] != labels[columns])
        if scores.size == kept:
            impostor &= matrix > scores[-1]
        row, column = np.nonzero(impostor)
        scores = np.concatenate([scores, matrix[row, column].astype(np.float64)])
        left, right = np.concatenate([left, rows[row]]), np.concatenate([right, columns[column]])
        order = np.argsort(-scores, kind="stable")[:kept]
        scores, left, right = scores[order], left[order], right[order]
    return ImpostorTail(
        scores=scores,
        left=chosen[left],
        right=chosen[right],
        labels=labels,
        clusters=chosen,
        parts=np.zeros(labels.size, np.int64),
    )


def joined_tails(tails: Sequence[ImpostorTail], clusters: Sequence[IntArray]) -> ImpostorTail:
    """The tails of several image sets as one, each set scored by a model of its own.

    Args:
        tails: one of each set, which may not be divided itself.
        clusters: (N,) int64 of each set's images, the same number for the same cluster in all sets.
    """
    names, every = np.unique(np.concatenate(clusters), return_inverse=True)
    sides = []
    for tail, own in zip(tails, clusters, strict=True):
        found = np.searchsorted(names, np.unique(own))
        sides.append((found[tail.left], found[tail.right]))
    scores = np.concatenate([tail.scores for tail in tails])
    left, right = (np.concatenate(side) for side in zip(*sides, strict=True))
    # Below the last score of a tail that is cut off, its set has pairs that are not known.
    cut = max((tail.scores[-1] for tail in tails if tail.scores.size < tail.pairs), default=-np.inf)
    order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores >= cut)]
    return ImpostorTail(
        scores=scores[order],
        left=left[order],
        right=right[order],
        labels=np.concatenate([tail.labels for tail in tails]),
        clusters=every,
        parts=np.repeat(np.arange(len(tails)), [tail.labels.size for tail in tails]),
    )
