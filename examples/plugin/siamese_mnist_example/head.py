"""A head: features of two images to a score."""

import torch
from torch import Tensor, nn

import siamese_mnist as sm


class DiagonalHead(sm.SiameseHead):
    """A weighted squared distance: one learned weight a dimension, as in the first Siamese networks.

    Args:
        feature_dim: D, features of one image.
        classes: number of classes; not used.
        loss: not used; the head trains with the cross-entropy of its score.
        embedding_dim: E, length of the projection whose dimensions are weighted.
    """

    threshold = 0.0

    def __init__(self, feature_dim: int, classes: int, loss: sm.MetricLoss | None, *, embedding_dim: int = 32) -> None:
        super().__init__()
        self.project = nn.Linear(feature_dim, embedding_dim)
        self.weight = nn.Parameter(torch.ones(embedding_dim))
        self.bias = nn.Parameter(torch.ones(()))

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to projections (N, E)."""
        return self.project(features).sigmoid()

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" for projections (P, E), (P, E): (P,)."""
        return self.bias - (left - right).square() @ self.weight.square()
