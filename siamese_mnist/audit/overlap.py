"""How much ink images of one digit have in common, and images of two."""

import math
from typing import NamedTuple

from torch import Tensor

from siamese_mnist.data import LabeledImages
from siamese_mnist.evaluation.intervals import student_quantile

_INK = 127  # pixels above it are ink


class Overlap(NamedTuple):
    """Ink in common over ink of either, in [0, 1], mean over pairs of different images."""

    same: float  # of pairs of one class
    different: float  # of pairs of two classes
    low: float  # bounds of the difference
    high: float


def ink_overlap(data: LabeledImages, confidence: float) -> Overlap:
    """Mean overlap of all pairs, and the jackknife interval of its difference over images.

    Every image is in as many pairs as there are others, so pairs are far from independent; leaving out one image leaves
    out all of its pairs (Efron and Stein 1981). A test simulates the coverage.

    Args:
        data: grey images of at least two classes, three or more of each.
        confidence: in (0, 1).
    """
    ink = (data.images > _INK).flatten(1).float()
    shared = ink @ ink.T
    area = ink.sum(1)
    overlap = (shared / (area[:, None] + area[None] - shared).clamp(min=1)).double()
    same = (data.labels[:, None] == data.labels[None]).fill_diagonal_(False)
    different = data.labels[:, None] != data.labels[None]
    (mean_same, left_same), (mean_different, left_different) = (_left_out(overlap, each) for each in (same, different))
    gaps, count = left_same - left_different, len(area)
    error = math.sqrt((count - 1) / count * float((gaps - gaps.mean()).square().sum()))
    half = student_quantile(confidence, count - 1) * error
    gap = mean_same - mean_different
    return Overlap(mean_same, mean_different, gap - half, gap + half)


def _left_out(overlap: Tensor, chosen: Tensor) -> tuple[float, Tensor]:
    """Mean overlap of the chosen pairs (N, N), and the same (N,) without each image."""
    sums, counts = (overlap * chosen).sum(1), chosen.sum(1)
    total, pairs = sums.sum(), counts.sum()
    return float(total / pairs), (total - 2 * sums) / (pairs - 2 * counts)
