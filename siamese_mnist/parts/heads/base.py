"""What a head is: the two kinds, and the registry that holds both."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist import kinds
from siamese_mnist.parts.losses import Supervision
from siamese_mnist.registry import Registry


class Head(nn.Module, ABC):
    """What every head has; a subclass derives from `StackedHead` or `SiameseHead`.

    Attributes:
        given: what it is made of besides its own options: "feature_dim", and "classes" and "loss" if it asks for them.
        losses: whether it trains with a loss from `LOSSES`; if not, it brings its own.
        loss_optional: whether it also trains without one.
    """

    given: ClassVar[tuple[str, ...]] = ("feature_dim",)
    losses: ClassVar[bool] = False
    loss_optional: ClassVar[bool] = False


HEADS: Registry[type[Head]] = kinds.HEADS
"""Subclasses of `StackedHead` and `SiameseHead` by name."""


class StackedHead(Head):
    """Decides from the features of a pair, as the stacked design has them.

    A subclass takes `feature_dim` and its own keyword options with defaults, and implements `forward`.

    Attributes:
        averaged: whether the score is the mean over both orders of the images, which makes it symmetric.
    """

    averaged: ClassVar[bool] = False

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Maps features of pairs (P, D) to logits (P, 2), class 1 = same."""

    def dense_layers(self) -> Sequence[nn.Linear]:
        """Two or more linear layers that `forward` consists of, with ReLU between them; empty if it is not so."""
        return ()


class SiameseHead(Head):
    """Embeds each image's features and compares two embeddings.

    A subclass takes `feature_dim`, `classes`, `loss` (a `MetricLoss` or None) and its own keyword options with
    defaults; it implements `embed`, `score` and at least one of `pair_loss` and `label_loss`.

    Attributes:
        supervisions: what its own loss trains on, best first; with a loss from `LOSSES`, that loss decides.
        grouped: whether a batch of pairs has to hold the pairs of one first image together, see `MetricLoss`.
        threshold: the score at which the head itself decides "same", or None where it is fitted on training images.
        finishes: whether it has something left to do after training, see `finish`.
        members: M, networks of an ensemble whose features stand side by side.
        left_out: (K,) int64, for each class the member that does not train on it; None where all train on all. Only a
            head with a `member` is given it.
    """

    given = ("feature_dim", "classes", "loss")
    supervisions: tuple[Supervision, ...] = ("pairs",)
    threshold: ClassVar[float | None] = None
    grouped: bool = False
    finishes: bool = False
    members: int = 1
    left_out: Tensor | None = None

    @abstractmethod
    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to embeddings (N, E)."""

    def dense_layers(self) -> Sequence[nn.Linear]:
        """Two or more linear layers that `embed` consists of, with ReLU between them; empty if it is not so."""
        return ()

    @abstractmethod
    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Maps embeddings (P, E), (P, E) to scores (P,), higher = more alike."""

    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores of every embedding (A, E) against every embedding (B, E): (A, B), as `score` gives them.

        A subclass may replace this by something faster; it is called with blocks of bounded size.
        """
        rows, columns = torch.cartesian_prod(torch.arange(len(left)), torch.arange(len(right))).unbind(1)
        return self.score(left[rows], right[columns]).view(len(left), len(right))

    def matrix_sides(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """What `matrix_block` takes of embeddings (A, E) and (B, E), row by row: all that is worth computing once."""
        return left, right

    def matrix_block(self, left: Tensor, right: Tensor) -> Tensor:
        """A block (a, b) of `score_matrix` from some rows of both `matrix_sides`."""
        return self.score_matrix(left, right)

    def pair_loss(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """Scalar training loss of embedded pairs; by default the cross-entropy of the score as log-odds of "same".

        Args:
            left: (P, E) embeddings of the first images.
            right: (P, E) embeddings of the second images.
            same: (P,) bool, True = same class.
            anchors: (P,) int64, equal where pairs have the same first image.
        """
        return F.binary_cross_entropy_with_logits(self.score(left, right), same.float())

    def label_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar training loss of embeddings (N, E) with class labels (N,) int64."""
        raise NotImplementedError

    def member(self, number: int) -> "SiameseHead | None":
        """The head of one member alone, which shares its weights; None where the members cannot be told apart."""
        return None

    def blanked(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (N, E) of images with labels (N,), with zeros in place of a member's that leaves the class out."""
        return embeddings

    def shown(self, labels: Tensor) -> Tensor:
        """Which members train on images with labels (N,): (N, M) bool."""
        numbers = torch.arange(self.members, device=labels.device)
        if self.left_out is None:
            return torch.ones(len(labels), self.members, dtype=torch.bool, device=labels.device)
        return self.left_out.to(labels.device)[labels][:, None] != numbers

    def finish(self, features: Tensor, labels: Tensor) -> None:
        """Adapts the trained weights to the training images, once after training, for heads that say so in `finishes`.

        Args:
            features: (N, D) of some of the training images, in evaluation mode.
            labels: (N,) int64, their classes.
        """


def dense(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with Keras's initial values: Glorot uniform weights, zero biases."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def multilayer(*sizes: int) -> nn.Sequential:
    """Dense layers of the given sizes with ReLU between them: (N, sizes[0]) -> (N, sizes[-1])."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [dense(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    """The layers of what `multilayer` made, if there are two or more."""
    layers = [each for each in network.children() if isinstance(each, nn.Linear)]
    return layers if len(layers) > 1 else []
