"""Folds of pairs for cross-validation, no image of which both trains and tests."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from siamese_mnist.errors import UsageError

IntArray = NDArray[np.int64]


class ImageDisjointKFold(BaseCrossValidator):  # type: ignore[misc]  # scikit-learn has no types
    """Divides pairs so that no image of a test pair is in a training pair, for `cross_val_score`, grids and the like.

    Images are dealt to folds. A fold tests the pairs of which both images are its own, and trains on those of which
    neither is; pairs between are left out, since they would tell of test images. Images that pairs join to few others
    are dealt together with these, which leaves nothing out. Where every image meets all others, K folds test
    1 / K of the pairs in all, each trained on (1 - 1 / K)^2 of them.

    Args:
        n_splits: number of folds, >= 2.
        random_state: seed of who is dealt where.

    Example:
        >>> X = np.array([[1, 2], [2, 3], [4, 5], [5, 6]])  # images of one pixel
        >>> for train, test in ImageDisjointKFold(2).split(X):
        ...     print(train.tolist(), test.tolist())
        [0, 1] [2, 3]
        [2, 3] [0, 1]
    """

    def __init__(self, n_splits: int = 5, *, random_state: Any = 0) -> None:
        self.n_splits = n_splits
        self.random_state = random_state

    def split(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yields rows of training and of test pairs, fold by fold.

        Args:
            X: (P, 2 F) pairs, the left image's numbers first; images are the same where all numbers are.
            y: not used; every splitter takes it.
            groups: (P, 2) integers or names of what must not be in both, of the left and of the right image: such as
                numbers of images, or who wrote them; None takes the images of X.

        Raises:
            UsageError: if there are too few images for so many folds, or the arguments do not fit each other.
        """
        sides = _of_images(np.asarray(X)) if groups is None else _of_groups(np.asarray(groups), len(np.asarray(X)))
        fold = self._dealt(sides)[sides]  # (P, 2)
        for number in range(self.n_splits):
            own = fold == number
            train, test = np.flatnonzero(~own.any(axis=1)), np.flatnonzero(own.all(axis=1))
            if not (train.size and test.size):
                raise UsageError(
                    f"fold {number + 1} of {self.n_splits} has {train.size} training and {test.size} test pairs, as "
                    f"no image may be in both; set n_splits to less, or give more pairs"
                )
            yield train, test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Number of folds."""
        return self.n_splits

    def _dealt(self, sides: IntArray) -> IntArray:
        """Fold of every image (N,), for pairs (P, 2) of images 0 .. N - 1."""
        if not isinstance(self.n_splits, int | np.integer) or self.n_splits < 2:
            raise UsageError(f"n_splits must be an integer >= 2, got {self.n_splits!r}")
        images = int(sides.max()) + 1
        joined = coo_array((np.ones(len(sides)), tuple(sides.T)), shape=(images, images))
        _, part = connected_components(joined, directed=False)
        together = np.bincount(part)[part] * self.n_splits <= images
        unit = np.unique(np.where(together, part, images + np.arange(images)), return_inverse=True)[1]
        sizes = np.bincount(unit)
        order = check_random_state(self.random_state).permutation(sizes.size)
        filled, fold = np.zeros(self.n_splits, dtype=np.int64), np.empty(sizes.size, dtype=np.int64)
        for number in order[np.argsort(-sizes[order], kind="stable")]:
            fold[number] = filled.argmin()
            filled[fold[number]] += sizes[number]
        return fold[unit]


def _of_images(table: NDArray[Any]) -> IntArray:
    if table.ndim != 2 or table.shape[1] % 2:
        raise UsageError(
            f"X must be (P, 2 F), both images of a pair in a row, got {table.shape}; or give groups (P, 2)"
        )
    halves = table.reshape(2 * len(table), -1)
    return _numbered(np.unique(halves, axis=0, return_inverse=True)[1].reshape(-1, 2))


def _of_groups(groups: NDArray[Any], pairs: int) -> IntArray:
    if groups.shape != (pairs, 2):
        raise UsageError(f"groups must be ({pairs}, 2), that of the left and of the right image, got {groups.shape}")
    return _numbered(np.unique(groups, return_inverse=True)[1].reshape(-1, 2))


def _numbered(sides: NDArray[Any]) -> IntArray:
    if not len(sides):
        raise UsageError("there are no pairs to divide; give at least two")
    return sides.astype(np.int64)
