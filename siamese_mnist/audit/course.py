"""The course of phase 2, update by update: what the audit reads off the curves."""

import numpy as np
from numpy.typing import NDArray

_SMOOTHED = 0.02  # share of the updates


def quarter(values: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """A quarter of the updates (U,), counted from 0."""
    return np.array_split(values, 4)[number]


def fall(values: NDArray[np.float64], start: int, stop: int) -> float:
    """Fall of the smoothed course (U,) from its quarter `start` to quarter `stop`."""
    width = max(1, round(len(values) * _SMOOTHED))
    smooth = np.convolve(values, np.ones(width) / width, "valid")
    places = [min(len(smooth) - 1, round(len(smooth) * each / 4)) for each in (start, stop)]
    return float(smooth[places[0]] - smooth[places[1]])


def noise(values: NDArray[np.float64], number: int) -> float:
    """Standard deviation around a straight line within a quarter of the updates (U,)."""
    part = quarter(values, number)
    updates = np.arange(len(part))
    return float(np.std(part - np.polyval(np.polyfit(updates, part, 1), updates), ddof=2))
