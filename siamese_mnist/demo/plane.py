"""Embeddings on a plane: where training images lie, and where a drawing lies among them."""

import numpy as np
from numpy.typing import NDArray

_COUNT = 400
_ITERATIONS = 500
_VOTES = 5
_SHARPNESS = 20.0  # of a cosine


class Plane:
    """A map of a few hundred directions by t-SNE (van der Maaten and Hinton 2008), each axis in [0, 1].

    Args:
        directions: (M, E) of length 1.
        labels: (M,) classes, in their order.

    Attributes:
        rows: (K,) which of the directions the map has.
        points: (K, 2) where the images lie.
        labels: (K,) their classes.
    """

    def __init__(self, directions: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        from sklearn.manifold import TSNE

        self.rows = np.unique(np.linspace(0, len(labels) - 1, _COUNT).round().astype(int))
        self.directions, self.labels = directions[self.rows], labels[self.rows]
        tsne = TSNE(
            2,
            metric="cosine",
            init="random" if len(self.rows) < 3 else "pca",
            perplexity=min(30, max(1, (len(self.rows) - 1) / 3)),
            max_iter=_ITERATIONS,
            random_state=0,
        )
        found = tsne.fit_transform(self.directions)
        low, high = found.min(0), found.max(0)
        self.points: NDArray[np.float64] = ((found - low) / np.maximum(high - low, 1e-9)).astype(np.float64)

    def place(self, direction: NDArray[np.float32]) -> NDArray[np.float64]:
        """Where a direction (E,) lies: the mean of its nearest images' places, by how near they are: (2,)."""
        closeness = self.directions @ direction
        rows = np.argsort(-closeness, kind="stable")[:_VOTES]
        weights = np.exp(_SHARPNESS * (closeness[rows] - closeness[rows[0]]).astype(np.float64))
        place: NDArray[np.float64] = weights @ self.points[rows] / weights.sum()
        return place
