"""Accuracy by slices of test pairs, with intervals that hold for all slices at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.evaluation.intervals import accuracy_interval

LEAST_PAIRS = 20
_CONFIDENCE = 0.95

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A part of the test pairs.

    Attributes:
        kind: "class": pairs with an image of it; "classes": pairs of these two; "group": pairs with an image of it.
        name: of the class, the classes or the group.
        pairs: how many there are.
        accuracy: share of right answers, in [0, 1].
        interval: of the accuracy; those of all slices hold at once with 95 % confidence (Bonferroni).
    """

    kind: str
    name: str
    pairs: int
    accuracy: float
    interval: tuple[float, float]


def slices(
    correct: BoolArray,
    left: IntArray,
    right: IntArray,
    *,
    labels: IntArray,
    classes: Sequence[str],
    groups: IntArray | None = None,
) -> list[Slice]:
    """All slices of at least 20 pairs, surest worst first: the lowest upper end of the interval.

    Args:
        correct: (P,) whether the answer was right.
        left: (P,) row of the first image.
        right: (P,) row of the second.
        labels: (N,) class of every image.
        classes: their names.
        groups: (N,) group of every image, where there are groups.
    """
    found = [each for each in _masks(left, right, labels, classes, groups) if each[2].sum() >= LEAST_PAIRS]
    confidence = 1 - (1 - _CONFIDENCE) / max(1, len(found))
    clusters = (left, right) if groups is None else (groups[left], groups[right])
    listed = []
    for kind, name, rows in found:
        interval = accuracy_interval(correct[rows], clusters[0][rows], clusters[1][rows], confidence)
        accuracy = float(correct[rows].mean())
        listed.append(Slice(kind=kind, name=name, pairs=int(rows.sum()), accuracy=accuracy, interval=interval))
    return sorted(listed, key=lambda each: each.interval[1])


def _masks(
    left: IntArray, right: IntArray, labels: IntArray, classes: Sequence[str], groups: IntArray | None
) -> Iterator[tuple[str, str, BoolArray]]:
    one, other = np.sort([labels[left], labels[right]], axis=0)
    for label, name in enumerate(classes):
        yield "class", name, (one == label) | (other == label)
    for first, second in np.unique(np.stack([one, other], 1), axis=0):
        yield "classes", f"{classes[first]}, {classes[second]}", (one == first) & (other == second)
    if groups is not None:
        for group in np.unique(groups):
            yield "group", str(group), (groups[left] == group) | (groups[right] == group)
