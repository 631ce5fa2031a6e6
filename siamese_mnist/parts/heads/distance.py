"""Heads that compare two embeddings by a distance, trained with a metric loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads.base import HEADS, SiameseHead, linear_layers, multilayer
from siamese_mnist.parts.losses import MetricLoss


@HEADS.register("distance")
class DistanceHead(SiameseHead):
    """A learned projection, scored by the distance of the loss it is trained with.

    Args:
        feature_dim: D, features of one image.
        classes: number of classes; not used.
        loss: the training loss; its distance scores the pairs.
        embedding_dim: E, length of an embedding.
        hidden_dim: width of a hidden ReLU layer before the projection; 0 projects linearly.
        members: networks of an ensemble whose features are concatenated; each gets a projection of its own, and their
            scores are averaged.

    Raises:
        UsageError: if an option is out of range, `loss` is missing, or the features cannot be split into `members`.
    """

    losses = True

    def __init__(
        self,
        feature_dim: int,
        classes: int,
        loss: MetricLoss | None,
        *,
        embedding_dim: int = 64,
        hidden_dim: int = 256,
        members: int = 1,
    ) -> None:
        super().__init__()
        if loss is None:
            raise UsageError("the distance head needs a loss; name one with --loss")
        if embedding_dim < 1 or hidden_dim < 0:
            raise UsageError(f"embedding_dim must be >= 1 and hidden_dim >= 0, got {embedding_dim} and {hidden_dim}")
        if members < 1 or feature_dim % members:
            raise UsageError(f"members must divide the {feature_dim} features of the backbone, got {members}")
        self.loss = loss
        self.supervisions = loss.supervisions
        self.grouped = loss.grouped
        self.members = members
        own = feature_dim // members
        sizes = (own, hidden_dim, embedding_dim) if hidden_dim else (own, embedding_dim)
        self.project = multilayer(*sizes) if members == 1 else nn.ModuleList(multilayer(*sizes) for _ in range(members))

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to embeddings (N, members * E), before the distance's own normalisation."""
        if self.members == 1:
            embeddings: Tensor = self.project(features)
            return embeddings
        parts = zip(self.project, features.chunk(self.members, 1), strict=True)
        return torch.cat([project(part) for project, part in parts], 1)

    def dense_layers(self) -> Sequence[nn.Linear]:
        """Both layers of the projection, where one is hidden and no subclass makes something else of them."""
        plain = type(self).embed is DistanceHead.embed and self.members == 1
        return linear_layers(self.project) if plain else ()

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Similarity, or the negative distance, of embeddings (P, members * E): (P,), higher = more alike."""
        return self._mean([self.loss.similarity(*parts) for parts in self._parts(left, right)])

    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores of every embedding (A, members * E) against every embedding (B, members * E): (A, B)."""
        return self._mean([self.loss.similarity_matrix(*parts) for parts in self._parts(left, right)])

    def matrix_sides(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """What the distance needs of every embedding, member beside member."""
        sides = [self.loss.matrix_sides(*parts) for parts in self._parts(left, right)]
        return torch.cat([one for one, _ in sides], 1), torch.cat([other for _, other in sides], 1)

    def matrix_block(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (a, b) of some rows of both sides."""
        return self._mean([self.loss.matrix_block(*parts) for parts in self._parts(left, right)])

    def pair_loss(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """The metric loss over explicit pairs (P, members * E), see `MetricLoss.of_pairs`: scalar, mean of members."""
        return self._mean([self.loss.of_pairs(one, other, same, anchors) for one, other in self._parts(left, right)])

    def label_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The metric loss over the pairs of a batch (N, members * E) with labels (N,): scalar, mean of members."""
        return self._mean([self.loss.of_labels(part, labels) for (part,) in self._parts(embeddings)])

    def _parts(self, *embeddings: Tensor) -> list[tuple[Tensor, ...]]:
        """Each member's share of the embeddings."""
        return list(zip(*(each.chunk(self.members, 1) for each in embeddings), strict=True))

    def _mean(self, values: list[Tensor]) -> Tensor:
        return values[0] if self.members == 1 else torch.stack(values).mean(0)
