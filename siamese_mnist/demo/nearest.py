"""The training images that a model finds nearest to an image."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data import LabeledImages
from siamese_mnist.demo.digits import balanced
from siamese_mnist.inference.verifier import Verifier

SHOWN = 8
_EMBEDDED = 1000  # a strong ensemble embeds them in a few seconds, once
_SCORED = 200  # a stacked design scores them anew for every drawing


class Neighbour(NamedTuple):
    """A training image near to another."""

    image: NDArray[np.uint8]  # (H, W)
    label: int


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


def directions(verifier: Verifier, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings of images (N, H, W) at length 1: (N, E)."""
    embeddings = verifier.embed(images)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = embeddings / np.maximum(lengths, np.float32(1e-12))
    return scaled
