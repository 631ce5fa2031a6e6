"""Classify, then compare: the probability that two independent readings name the same class."""

import torch
import torch.nn.functional as F
from torch import Tensor

from siamese_mnist.errors import UsageError
from siamese_mnist.heads.base import HEADS, SiameseHead, dense
from siamese_mnist.losses import MetricLoss, Supervision


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

    Raises:
        UsageError: if `embedding_dim` is out of range, or `loss` cannot train on labels.
    """

    losses = True
    loss_optional = True
    supervisions: tuple[Supervision, ...] = ("labels",)

    def __init__(self, feature_dim: int, classes: int, loss: MetricLoss | None, *, embedding_dim: int = 64) -> None:
        super().__init__()
        if embedding_dim < 1:
            raise UsageError(f"embedding_dim must be >= 1, got {embedding_dim}")
        self.loss = loss
        self.project = dense(feature_dim, embedding_dim)
        self.classify = dense(embedding_dim, classes)

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to projections (N, E)."""
        embeddings: Tensor = self.project(features)
        return embeddings

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds that two projections (P, E), (P, E) are of one class, readings taken as independent: (P,)."""
        left, right = (F.log_softmax(self.classify(side), 1) for side in (left, right))
        agree = (left + right).logsumexp(1)
        # log(1 - e^x), stable for x near 0 and for very negative x
        differ = torch.log(-torch.expm1(agree.clamp(max=-1e-7)))
        return agree - differ

    def label_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the classes, plus the metric loss if there is one; (N, E) and (N,) to a scalar."""
        value = F.cross_entropy(self.classify(embeddings), labels)
        return value if self.loss is None else value + self.loss.of_labels(embeddings, labels)
