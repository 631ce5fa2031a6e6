"""Classify, then compare: the probability that two independent readings name the same class."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads.base import HEADS, SiameseHead, dense
from siamese_mnist.parts.losses import MetricLoss, Supervision

_SUREST = -1e-7  # logarithm of the greatest probability of agreement
_FEWEST = 1e-30  # odds that float32 still tells well


@HEADS.register("agreement")
class AgreementHead(SiameseHead):
    """Classify each image, then score the probability that both are of one class.

    On a closed set of classes, any verification method has to beat this. It trains on class labels with
    cross-entropy, and on the projection with a metric loss as well if one is named.

    Args:
        feature_dim: D, features of one image.
        classes: K, number of classes.
        loss: metric loss on the projection, added to the cross-entropy.
        embedding_dim: E, length of the projection that the classifier reads.
        members: networks of an ensemble whose features are concatenated; each gets a projection and a classifier of
            its own, and their logits are averaged.

    Raises:
        UsageError: if an option is out of range, or the features cannot be split into `members`.
    """

    losses = True
    loss_optional = True
    supervisions: tuple[Supervision, ...] = ("labels",)
    threshold = 0.0

    def __init__(
        self, feature_dim: int, classes: int, loss: MetricLoss | None, *, embedding_dim: int = 64, members: int = 1
    ) -> None:
        super().__init__()
        if embedding_dim < 1:
            raise UsageError(f"embedding_dim must be >= 1, got {embedding_dim}")
        if members < 1 or feature_dim % members:
            raise UsageError(f"members must divide the {feature_dim} features of the backbone, got {members}")
        self.loss = loss
        self.members = members
        self.classes = classes
        self.project = nn.ModuleList(dense(feature_dim // members, embedding_dim) for _ in range(members))
        self.classify = nn.ModuleList(dense(embedding_dim, classes) for _ in range(members))

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to the members' projections (N, members * E)."""
        parts = zip(self.project, features.chunk(self.members, 1), strict=True)
        return torch.cat([project(part) for project, part in parts], 1)

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" for pairs of which half are genuine, readings taken as independent.

        Two readings of K equally likely classes agree by chance in one pair of K; where every second pair is genuine,
        the odds are K - 1 times as high.

        Args:
            left: (P, members * E) projections.
            right: (P, members * E) projections.

        Returns:
            (P,).
        """
        agree = (self.log_probabilities(left) + self.log_probabilities(right)).logsumexp(1)
        return self._log_odds(agree)

    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" for every one of projections (A, E) with every one of (B, E): (A, B)."""
        return self.matrix_block(*self.matrix_sides(left, right))

    def matrix_sides(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (A, K) and (B, K) of the classes."""
        return self.log_probabilities(left).exp(), self.log_probabilities(right).exp()

    def matrix_block(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (a, b) of probabilities (a, K) and (b, K)."""
        agree = (left @ right.T).clamp(max=math.exp(_SUREST))
        odds = agree / (1 - agree)
        if float(odds.detach().min()) >= _FEWEST:
            odds = odds.float()  # whose logarithm takes half the time
        return (odds.log() + math.log(self.classes - 1)).float()

    def label_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the classes, plus the metric loss if there is one, averaged over the members.

        Args:
            embeddings: (N, members * E) projections.
            labels: (N,) int64.

        Returns:
            Scalar.
        """
        losses = [F.cross_entropy(logits, labels) for logits in self._logits(embeddings)]
        if self.loss is not None:
            losses += [self.loss.of_labels(part, labels) for part in embeddings.chunk(self.members, 1)]
        return torch.stack(losses).sum() / self.members

    def log_probabilities(self, embeddings: Tensor) -> Tensor:
        """Log-probabilities of the classes, (N, K) float64, of projections (N, members * E)."""
        # In float32 nothing would be left of 1 - p for a class that is nearly certain.
        return torch.stack(self._logits(embeddings)).mean(0).double().log_softmax(1)

    def _log_odds(self, agree: Tensor) -> Tensor:
        agree = agree.clamp(max=_SUREST)
        return (agree - torch.log(-torch.expm1(agree)) + math.log(self.classes - 1)).float()

    def _logits(self, embeddings: Tensor) -> list[Tensor]:
        parts = zip(self.classify, embeddings.chunk(self.members, 1), strict=True)
        return [classify(part) for classify, part in parts]
