"""Pairs of test images that are hard to tell, to begin with."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.demo.digits import Digits, balanced
from siamese_mnist.inference.verifier import Verifier

_COUNT = 6
_FIRST = {"4", "9"}  # the digits that people confuse, where there are digits
_EMBEDDED = 200  # test images that are looked at
_SCORED = 60  # a stacked design passes every pair of them through the network


class Puzzle(NamedTuple):
    """Two images, of one class or of two."""

    left: NDArray[np.uint8]  # (H, W)
    right: NDArray[np.uint8]
    labels: tuple[int, int]


def puzzles(verifier: Verifier, digits: Digits) -> list[Puzzle]:
    """Different pairs that a model finds most alike and same pairs that it finds least alike, in turn.

    No image comes twice. Where there are fours and nines, the first pair is one of each.

    Args:
        verifier: what finds.
        digits: its data set; every pair of a balanced selection of test images is scored.
    """
    data = balanced(digits.test, _EMBEDDED if verifier.model.embeds else _SCORED)
    labels, images = data.labels.numpy(), data.images[:, 0].numpy()
    left, right = np.triu_indices(len(labels), 1)
    alike = verifier.score_matrix(images, images)[left, right]
    same = labels[left] == labels[right]
    first = np.isin(labels, [row for row, name in enumerate(digits.classes) if name in _FIRST])
    free = np.ones(len(labels), dtype=np.bool_)
    chosen = []
    for turn in range(_COUNT):
        wanted = (same if turn % 2 else ~same) & free[left] & free[right]
        if turn == 0 and (wanted & first[left] & first[right]).any():
            wanted &= first[left] & first[right]
        rows = np.flatnonzero(wanted)
        if rows.size:
            best = rows[np.argmin(alike[rows]) if turn % 2 else np.argmax(alike[rows])]
            pair = [left[best], right[best]]
            free[pair] = False
            chosen.append(Puzzle(images[pair[0]], images[pair[1]], (int(labels[pair[0]]), int(labels[pair[1]]))))
    return chosen
