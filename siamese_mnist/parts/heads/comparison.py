"""Heads that decide with a small network on two projections."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads.base import HEADS, SiameseHead, linear_layers, multilayer
from siamese_mnist.parts.losses import MetricLoss


@HEADS.register("comparison")
class ComparisonHead(SiameseHead):
    """A network on |a - b| and a * b of two projections: learned, yet symmetric by construction.

    Trains with the cross-entropy of same against different.

    Args:
        feature_dim: D, features of one image.
        classes: number of classes; not used.
        loss: not used; the head brings its own.
        embedding_dim: E, length of a projection.
        hidden_dim: width of the hidden layer that compares.

    Raises:
        UsageError: if an option is out of range.
    """

    threshold = 0.0

    def __init__(
        self,
        feature_dim: int,
        classes: int,
        loss: MetricLoss | None,
        *,
        embedding_dim: int = 64,
        hidden_dim: int = 32,
    ) -> None:
        super().__init__()
        if embedding_dim < 1 or hidden_dim < 1:
            raise UsageError(f"embedding_dim and hidden_dim must be >= 1, got {embedding_dim} and {hidden_dim}")
        self.project = multilayer(feature_dim, 256, embedding_dim)
        self.compare = multilayer(2 * embedding_dim, hidden_dim, 1)

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to projections (N, E)."""
        embeddings: Tensor = self.project(features)
        return embeddings

    def dense_layers(self) -> Sequence[nn.Linear]:
        """Both layers of the projection, unless a subclass makes something else of them."""
        return linear_layers(self.project) if type(self).embed is ComparisonHead.embed else ()

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" for projections (P, E), (P, E): (P,)."""
        logits: Tensor = self.compare(torch.cat([(left - right).abs(), left * right], 1))
        return logits.squeeze(1)


@HEADS.register("concatenation")
class ConcatenationHead(SiameseHead):
    """The report's 2-class head on the concatenated features of both images; not symmetric.

    Trains with the cross-entropy of same against different.

    Args:
        feature_dim: D, features of one image.
        classes: number of classes; not used.
        loss: not used; the head brings its own.
    """

    threshold = 0.0

    def __init__(self, feature_dim: int, classes: int, loss: MetricLoss | None) -> None:
        super().__init__()
        self.layers = multilayer(2 * feature_dim, 256, 32, 2)

    def embed(self, features: Tensor) -> Tensor:
        """Features of images (N, D), unchanged."""
        return features

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" for features (P, D), (P, D): (P,)."""
        logits: Tensor = self.layers(torch.cat([left, right], 1))
        return logits[:, 1] - logits[:, 0]

    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" for every one of features (A, D) with every one of (B, D): (A, B).

        The first layer is linear, so its answer to two images is a sum of one part for each.
        """
        return self.matrix_block(*self.matrix_sides(left, right))

    def matrix_sides(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """The two parts of the first layer's answer, (A, 256) and (B, 256)."""
        first = cast(nn.Linear, self.layers[0])
        of_left, of_right = first.weight.chunk(2, 1)
        return F.linear(left, of_left, first.bias), F.linear(right, of_right)

    def matrix_block(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (a, b) of some rows of both parts."""
        logits: Tensor = self.layers[1:](left.unsqueeze(1) + right)
        return logits[..., 1] - logits[..., 0]
