"""Identification by a trained model among test classes that it has never seen: who is it, or is it nobody?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data import LabeledImages
from siamese_mnist.evaluation import cmc, identification_rate, open_set_rates
from siamese_mnist.evaluation.identification import mean_open_set_rate
from siamese_mnist.runs.image_scores import ImageScores
from siamese_mnist.runs.result import Identification, OpenSet

NAMES = 20
GALLERIES = 10
PROBES = 200


class _Gallery(NamedTuple):
    names: NDArray[np.int64]  # (N,) classes, in random order
    examples: NDArray[np.int64]  # (N,) row of the one image of each
    probes: NDArray[np.int64]  # (P,) rows of images of these classes, of each by another writer than its example's


def identification_figures(scores: ImageScores, data: LabeledImages) -> Identification | None:
    """Identification from one example of each class, closed and open set; means over galleries drawn at random.

    Closed set: 20 classes, or as many as there are, are enrolled, and images of them are named. Open set: half of
    these classes are enrolled, the others are strangers. Where the images have groups, nobody who wrote the example of
    a class wrote the images of it that are named.

    Args:
        scores: of a trained model, on the test images.
        data: test images.

    Returns:
        None where fewer than two classes have a second image to be named.
    """
    labels = data.labels.cpu().numpy()
    writers = np.arange(len(labels)) if data.groups is None else data.groups.cpu().numpy()
    rng = np.random.default_rng(0)
    closed, ranked, open_set = [], [], []
    for _ in range(GALLERIES):
        names, examples, probes = _draw(labels, writers, rng)
        if len(names) < 2:
            return None
        pairs = (each.ravel() for each in np.meshgrid(probes, examples, indexing="ij"))
        matrix, truth, half = scores(*pairs).reshape(len(probes), len(examples)), labels[probes], len(names) // 2
        closed.append(cmc(matrix, names, truth))
        ranked.append(identification_rate(matrix, names, truth))
        open_set.append(open_set_rates(matrix[:, :half], names[:half], truth))
    return Identification(
        names=len(names),
        galleries=GALLERIES,
        cmc=np.mean(closed, axis=0).tolist(),
        rank_1_interval=np.mean(ranked, axis=0)[1:].tolist(),
        open_set=[
            OpenSet(
                names=rate.names,
                limit=rate.limit,
                false_positive=rate.false_positive.rate,
                detection=rate.detection.rate,
                detection_interval=[rate.detection.low, rate.detection.high],
            )
            for rate in map(mean_open_set_rate, zip(*open_set, strict=True))
        ],
    )


def _draw(labels: NDArray[np.int64], writers: NDArray[np.int64], rng: np.random.Generator) -> _Gallery:
    """A gallery of up to `NAMES` classes, and equally many images of each to be named, up to `PROBES` in all."""
    names, examples, others = [], [], []
    for name in rng.permutation(np.unique(labels)):
        rows = rng.permutation(np.flatnonzero(labels == name))
        mates = rows[writers[rows] != writers[rows[0]]]
        if mates.size:
            names.append(name)
            examples.append(rows[0])
            others.append(mates)
        if len(names) == NAMES:
            break
    each = max(1, PROBES // max(1, len(names)))
    return _Gallery(
        np.array(names), np.array(examples), np.concatenate([[], *(rows[:each] for rows in others)]).astype(int)
    )
