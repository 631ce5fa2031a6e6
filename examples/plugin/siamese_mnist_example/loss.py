"""A loss: embeddings of pairs to a number to make small."""

from typing import Annotated

import torch.nn.functional as F
from torch import Tensor

import siamese_mnist as sm


class LogisticLoss(sm.MetricLoss):
    """Cross-entropy of scaled cosines over explicit pairs.

    Args:
        classes: number of classes; not used.
        embedding_dim: length of an embedding; not used.
        scale: steepness.
        boundary: cosine at which both answers are equally likely.
    """

    supervisions = ("pairs",)

    def __init__(
        self,
        classes: int,
        embedding_dim: int,
        *,
        scale: Annotated[float, sm.Range(2.0, 50.0)] = 10.0,
        boundary: float = 0.5,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.boundary = boundary

    def of_pairs(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """Scalar loss of pairs (P, E), (P, E) with truth (P,) bool."""
        return F.binary_cross_entropy_with_logits(
            self.scale * (self.similarity(left, right) - self.boundary), same.float()
        )
