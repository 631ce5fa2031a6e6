"""Heads that compare two embeddings by a distance, trained with a metric loss."""

from torch import Tensor

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads.base import HEADS, SiameseHead, multilayer
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

    Raises:
        UsageError: if an option is out of range or `loss` is missing.
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
    ) -> None:
        super().__init__()
        if loss is None:
            raise UsageError("the distance head needs a loss; name one with --loss")
        if embedding_dim < 1 or hidden_dim < 0:
            raise UsageError(f"embedding_dim must be >= 1 and hidden_dim >= 0, got {embedding_dim} and {hidden_dim}")
        self.loss = loss
        self.supervisions = loss.supervisions
        self.grouped = loss.grouped
        sizes = (feature_dim, hidden_dim, embedding_dim) if hidden_dim else (feature_dim, embedding_dim)
        self.project = multilayer(*sizes)

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to embeddings (N, E), before the distance's own normalisation."""
        embeddings: Tensor = self.project(features)
        return embeddings

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Similarity, or the negative distance, of embeddings (P, E) and (P, E): (P,), higher = more alike."""
        return self.loss.similarity(left, right)

    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores of every embedding (A, E) against every embedding (B, E): (A, B)."""
        return self.loss.similarity_matrix(left, right)

    def pair_loss(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """The metric loss over explicit pairs (P, E), (P, E), see `MetricLoss.of_pairs`: scalar."""
        return self.loss.of_pairs(left, right, same, anchors)

    def label_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The metric loss over the pairs of a batch (N, E) with labels (N,) int64: scalar."""
        return self.loss.of_labels(embeddings, labels)
