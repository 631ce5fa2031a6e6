"""The highest impostor scores of all pairs of an image set, in bounded memory: what low false match rates rest on."""

from collections.abc import Callable, Iterable, Iterator
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
    """The highest scores among all impostor pairs of an image set; a pair counts once, whichever way round.

    Attributes:
        scores: (T,) falling; all impostor pairs above the last score are among them.
        left: (T,) int64, cluster of one image: its group where there are groups, else its row.
        right: (T,) int64, cluster of the other.
        labels: (N,) int64, class of every image of the set.
        clusters: (N,) int64, 0 .. C - 1, cluster of every image.
    """

    scores: FloatArray
    left: IntArray
    right: IntArray
    labels: IntArray
    clusters: IntArray

    @property
    def pairs(self) -> int:
        """Number of all impostor pairs of the set."""
        size, sizes = self.labels.size, np.unique(self.labels, return_counts=True)[1]
        return int(size * (size - 1) - np.sum(sizes * (sizes - 1))) // 2

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
        count, classes = int(self.clusters.max()) + 1, np.unique(self.labels, return_inverse=True)[1]
        table = np.zeros((count, int(classes.max()) + 1))
        np.add.at(table, (self.clusters, classes), 1)
        size = table.sum(axis=1)
        left, right = self.left[:accepted], self.right[:accepted]
        apart = left != right
        met = np.bincount(left, minlength=count) + np.bincount(right[apart], minlength=count)
        own = (size**2 - np.sum(table**2, axis=1)) / 2  # impostor pairs within a cluster
        partners = size * self.labels.size - size**2 - table @ table.sum(axis=0) + np.sum(table**2, axis=1)
        by_cluster = met - rate * (partners + own)

        low, high = np.minimum(left, right)[apart], np.maximum(left, right)[apart]
        key, hits = np.unique(low * count + high, return_counts=True)
        low, high = np.divmod(key, count)
        expected = rate * (size[low] * size[high] - np.einsum("uk,uk->u", table[low], table[high]))
        by_unit = np.sum((hits - expected) ** 2 - expected**2)
        for start in range(0, count, 256):
            rows = table[start : start + 256]
            between = np.outer(rows.sum(axis=1), size) - rows @ table.T
            between[np.arange(len(rows)), start + np.arange(len(rows))] = 0
            by_unit += rate**2 * np.sum(between**2) / 2  # every two clusters are met twice
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
    return ImpostorTail(scores=scores, left=chosen[left], right=chosen[right], labels=labels, clusters=chosen)
