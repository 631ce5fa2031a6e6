"""The training images that a model finds nearest to an image."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data import LabeledImages
from siamese_mnist.demo.digits import balanced
from siamese_mnist.demo.plane import Plane
from siamese_mnist.inference.verifier import Verifier

SHOWN = 8
_EMBEDDED = 1000  # a strong ensemble embeds them in a few seconds, once
_SCORED = 200  # a stacked design scores them anew for every drawing
_STRANGERS = 0.1  # share of strangers that may reach what an enrolled example has to reach


class Neighbour(NamedTuple):
    """A training image near to another."""

    image: NDArray[np.uint8]  # (H, W)
    label: int


class Look(NamedTuple):
    """Where an image lies among the embeddings of training images.

    Attributes:
        direction: its embedding at length 1, (E,) float32.
        label: class of the nearest training image.
        familiar: cosine to that one, in [-1, 1].
    """

    direction: NDArray[np.float32]
    label: int
    familiar: float


class Neighbours:
    """A fixed, balanced selection of training images to search.

    A Siamese design embeds the selection once; the nearest images have the smallest angles between embeddings. (The
    score of a head that classifies would put the same few clearest images first, whatever the drawing.) A stacked
    design has no embeddings: the nearest are those of the highest score, the drawing being the left image, and the
    selection is smaller.

    Args:
        verifier: what embeds or scores.
        train: training images in grey, of the verifier's size.

    Attributes:
        images: the selection, (M, H, W) uint8.
        labels: its labels, (M,) int64.
        directions: its embeddings at length 1, (M, E) float32; None for a stacked design.
    """

    def __init__(self, verifier: Verifier, train: LabeledImages) -> None:
        embeds = verifier.model.embeds
        chosen = balanced(train, _EMBEDDED if embeds else _SCORED)
        self.verifier = verifier
        self.images, self.labels = chosen.images[:, 0].numpy(), chosen.labels.numpy()
        self.directions = directions(verifier, self.images) if embeds else None

    def nearest(self, image: NDArray[np.uint8], count: int = SHOWN) -> list[Neighbour]:
        """The images nearest to an image (H, W), nearest first."""
        if self.directions is None:
            closeness = self.verifier.score_matrix(image[None], self.images)[0]
        else:
            closeness = self.directions @ directions(self.verifier, image[None])[0]
        rows = np.argsort(-closeness, kind="stable")[:count]
        return [Neighbour(self.images[row], int(self.labels[row])) for row in rows]

    def look(self, image: NDArray[np.uint8]) -> Look | None:
        """Where an image (H, W) lies; None for a stacked design."""
        if self.directions is None:
            return None
        direction = directions(self.verifier, image[None])[0]
        closeness = self.directions @ direction
        nearest = int(np.argmax(closeness))
        return Look(direction, int(self.labels[nearest]), float(closeness[nearest]))

    @cached_property
    def plane(self) -> Plane | None:
        """A map of the selection, made when it is first asked for; None for a stacked design."""
        return None if self.directions is None else Plane(self.directions, self.labels)

    def enough(self) -> float | None:
        """The cosine that an example of one's own must reach: one that few images of another class reach.

        Each class of the selection meets the others as a stranger does; None for a stacked design or a single class.
        """
        if self.directions is None or len(np.unique(self.labels)) < 2:
            return None
        closeness = self.directions @ self.directions.T
        closeness[self.labels[:, None] == self.labels] = -1
        return float(np.quantile(closeness.max(1), 1 - _STRANGERS))


def directions(verifier: Verifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings of images (N, H, W) at length 1: (N, E)."""
    embeddings = verifier.embed(images)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = embeddings / np.maximum(lengths, np.float32(1e-12))
    return scaled
