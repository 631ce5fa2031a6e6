"""Arrays of pairs, checked before anything is computed from them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def check_pairs(
    scores: ArrayLike, same: ArrayLike, *, name: str = "scores", both_classes: bool = True
) -> tuple[FloatArray, BoolArray]:
    """Checked copies-if-needed of per-pair values and their ground truth.

    Args:
        scores: (P,) finite numbers.
        same: (P,) bool or 0/1.
        name: what to call `scores` in a message.
        both_classes: whether `same` must hold both classes.

    Returns:
        (P,) float64 and (P,) bool.

    Raises:
        ValueError: if an array is empty or not 1-D, the lengths differ, a score is NaN or infinite, `same` is not
            boolean, or it holds one class only.
    """
    values = check_finite(scores, name)
    truth = check_bool(same, "same")
    if values.size != truth.size:
        raise ValueError(f"{name} and same must have one entry per pair, got {values.size} and {truth.size}")
    if both_classes and truth.all() == truth.any():
        raise ValueError(f"same holds one class only (all {truth[0]}); give both same and different pairs")
    return values, truth


def check_finite(values: ArrayLike, name: str) -> FloatArray:
    """Values (P,) as float64; raises ValueError, naming the row, if they are not finite, empty or not 1-D."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D with one entry per pair, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty; give at least one pair")
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"{name} must be finite, got {array[row]} in row {row}")
    return array


def check_bool(values: ArrayLike, name: str) -> BoolArray:
    """Values (P,) as bool; raises ValueError, naming the row, if one is neither boolean nor 0 nor 1."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D with one entry per pair, got shape {array.shape}")
    if array.dtype != np.bool_:
        strange = ~((array == 0) | (array == 1))
        if strange.any():
            row = int(np.argmax(strange))
            raise ValueError(f"{name} must be boolean or 0/1, got {array[row]} in row {row}")
    return array.astype(np.bool_, copy=False)


def check_probability(values: ArrayLike) -> FloatArray:
    """Values (P,) as float64; raises ValueError, naming the row, if one is outside [0, 1]."""
    array = check_finite(values, "probability")
    outside = (array < 0) | (array > 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(f"probability must be in [0, 1], got {array[row]} in row {row}")
    return array
