"""Scores of pairs of rows of images by a trained model."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.parts.designs.base import SCORED


class ImageScores:
    """How a model scores any pairs of some images; one that embeds sees each of them once for all.

    Args:
        model: a trained model.
        images: (N, C, H, W) uint8.

    Attributes:
        embeddings: (N, E), or None for designs that embed no single image.
    """

    def __init__(self, model: Design, images: Tensor) -> None:
        self._model, self._images = model, images
        self.embeddings = model.embed(images) if model.embeds else None

    @torch.no_grad()
    def __call__(self, left: NDArray[np.int64] | Tensor, right: NDArray[np.int64] | Tensor) -> NDArray[np.float32]:
        """Scores (P,) of pairs of rows (P,) and (P,), higher = more alike."""
        rows = [torch.as_tensor(each, device=self._images.device) for each in (left, right)]
        if self.embeddings is None:
            scores = self._model.score_pairs(to_unit(self._images), *rows)
        else:
            chunks = zip(*(each.split(SCORED) for each in rows), strict=True)
            sides = ([self.embeddings[some] for some in chunk] for chunk in chunks)
            scores = torch.cat([self._model.score_embeddings(*each) for each in sides])
        found: NDArray[np.float32] = scores.cpu().numpy()
        return found
