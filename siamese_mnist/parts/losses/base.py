"""What a metric loss is, and the registries of losses and miners."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist import kinds
from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Factory, Registry

Supervision = Literal["pairs", "labels"]


class MetricLoss(nn.Module):
    """A training loss over embeddings, and the similarity that belongs to it.

    A subclass takes `classes`, `embedding_dim` and its own keyword options with defaults, implements `of_pairs`,
    `of_labels` or both, and says so in `supervisions`.

    Attributes:
        supervisions: what it trains on, best first.
        grouped: whether it contrasts the pairs of one first image, so that a batch has to hold them together.
        takes_miner: whether a miner can pick the pairs or triplets of a batch under label supervision.
        miner: the miner, if there is one.
    """

    supervisions: tuple[Supervision, ...] = ("pairs",)
    grouped: bool = False
    takes_miner: bool = False

    def __init__(self) -> None:
        super().__init__()
        # Of the object, not the class: a class attribute would hide the module that PyTorch keeps under this name.
        self.miner: nn.Module | None = None

    def similarity(self, left: Tensor, right: Tensor) -> Tensor:
        """Cosine of embeddings (P, E) and (P, E): (P,), higher = more alike."""
        return F.cosine_similarity(left, right)

    def similarity_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """`similarity` of every embedding (A, E) and every embedding (B, E): (A, B)."""
        rows, columns = torch.cartesian_prod(torch.arange(len(left)), torch.arange(len(right))).unbind(1)
        return self.similarity(left[rows], right[columns]).view(len(left), len(right))

    def matrix_sides(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """What `matrix_block` takes of embeddings (A, E) and (B, E), row by row: all that is worth computing once."""
        return left, right

    def matrix_block(self, left: Tensor, right: Tensor) -> Tensor:
        """A block (a, b) of `similarity_matrix` from some rows of both `matrix_sides`."""
        return self.similarity_matrix(left, right)

    def of_pairs(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """Scalar loss of explicit pairs.

        Args:
            left: (P, E) embeddings of the first images.
            right: (P, E) embeddings of the second images.
            same: (P,) bool, True = same class.
            anchors: (P,) int64, equal where pairs have the same first image.
        """
        raise NotImplementedError

    def of_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss over the pairs of a batch (N, E) with class labels (N,) int64."""
        raise NotImplementedError


class Miner(nn.Module, ABC):
    """Picks the pairs or triplets of a batch that are worth learning from.

    A subclass takes `loss`, the `MetricLoss` that it works for, and its own keyword options with defaults.
    """

    @abstractmethod
    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Rows that were picked out of a batch (N, E) with labels (N,).

        Returns:
            Three tensors (T,): anchors, positives, negatives; or four (A,), (A,), (B,), (B,): both rows of the genuine
            and both rows of the impostor pairs.
        """


class LossFactory(Factory):
    """Makes a `MetricLoss` of `classes`, `embedding_dim` and options that it knows only when it is asked."""


class MinerFactory(Factory):
    """Makes a module like `Miner` of `loss` and options that it knows only when it is asked."""


LOSSES: Registry[Any] = kinds.LOSSES
"""Losses by name: `loss(classes=..., embedding_dim=..., **options)` makes a `MetricLoss`."""

MINERS: Registry[Any] = kinds.MINERS
"""Miners by name: `miner(loss=..., **options)` makes a module (embeddings, labels) -> tuple of rows."""


def create_loss(
    name: str,
    options: Mapping[str, Any],
    miner: str | None,
    miner_options: Mapping[str, Any],
    *,
    classes: int,
    embedding_dim: int,
) -> MetricLoss:
    """A registered loss, with a registered miner if one is named; it then trains on labels alone.

    Args:
        name: name in `LOSSES`.
        options: the loss's options.
        miner: name in `MINERS`, or None.
        miner_options: the miner's options.
        classes: number of classes.
        embedding_dim: E, length of an embedding.

    Raises:
        UsageError: if a name or an option is unknown, a value is refused, or the loss takes no miner.
    """
    loss: MetricLoss = LOSSES.make(name, options, classes=classes, embedding_dim=embedding_dim)
    if miner:
        if not loss.takes_miner:
            raise UsageError(f"loss {name!r} takes no miner: it does not pick pairs or triplets; leave out {miner!r}")
        loss.miner = MINERS.make(miner, miner_options, loss=loss)
        loss.supervisions = ("labels",)  # explicit pairs leave nothing to pick
    return loss
