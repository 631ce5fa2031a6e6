"""One-shot episodes of a trained model on test classes that it has never seen."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data import LabeledImages
from siamese_mnist.evaluation import draw_episodes, episode_accuracy
from siamese_mnist.evaluation.episodes import Episodes, Writer
from siamese_mnist.runs.image_scores import ImageScores
from siamese_mnist.runs.result import OneShot

WAYS = 20
EPISODES = 100


class Kind(NamedTuple):
    """Who writes, and what is told apart."""

    writer: Writer
    within: NDArray[np.int64] | None  # (N,) the family of every image
    ways: int


def one_shot_figures(scores: ImageScores, data: LabeledImages, classes: Sequence[str]) -> list[OneShot]:
    """Share of images that are named right from one example of each class.

    Episodes are 20-way, or of as many classes as there are. Where the images have groups, examples and queries are once
    by two writers and once by one. Where all classes are named FAMILY/NAME, as Omniglot's are by their alphabets, the
    classes of an episode are once of any families and once of one. Kinds for which there are too few images are left
    out.

    Args:
        scores: of a trained model, on the test images.
        data: test images.
        classes: names of their classes.
    """
    labels = data.labels.cpu().numpy()
    groups = None if data.groups is None else data.groups.cpu().numpy()
    found = []
    for kind, episodes in drawn_kinds(labels, groups, classes, EPISODES):
        rate = episode_accuracy(scores(*episodes.pairs()), episodes, labels, groups)
        found.append(
            OneShot(
                ways=kind.ways,
                writer=kind.writer,
                one_family=kind.within is not None,
                accuracy=rate.rate,
                accuracy_interval=[rate.low, rate.high],
                episodes=EPISODES,
            )
        )
    return found


def drawn_kinds(
    labels: NDArray[np.int64], groups: NDArray[np.int64] | None, classes: Sequence[str], count: int
) -> Iterator[tuple[Kind, Episodes]]:
    """Episodes of each kind for which there are enough images.

    Args:
        labels: (N,) class of every image.
        groups: (N,) writer of every image, or None.
        classes: names of the classes.
        count: episodes of each kind.
    """
    for kind in _kinds(labels, groups, classes):
        try:
            episodes = draw_episodes(
                labels,
                ways=kind.ways,
                count=count,
                rng=np.random.default_rng(0),
                groups=groups,
                writer=kind.writer,
                within=kind.within,
            )
        except ValueError:  # too few images of this kind
            continue
        yield kind, episodes


def _kinds(labels: NDArray[np.int64], groups: NDArray[np.int64] | None, classes: Sequence[str]) -> Iterator[Kind]:
    by_writer: tuple[Writer, ...] = ("any",) if groups is None else ("other", "same")
    ways = min(WAYS, len(classes))
    if not all("/" in name for name in classes):
        yield from (Kind(writer, None, ways) for writer in by_writer)
        return
    families = np.unique([name.partition("/")[0] for name in classes], return_inverse=True)[1]
    yield Kind("any", None, ways)  # nobody wrote characters of two families
    largest = int(np.bincount(families).max())
    yield from (Kind(writer, families[labels], min(WAYS, largest)) for writer in by_writer)
