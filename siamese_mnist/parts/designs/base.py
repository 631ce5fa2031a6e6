"""What a design is, and the registry of designs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist import kinds
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.parts.heads import Head, StackedHead
from siamese_mnist.parts.losses import Supervision
from siamese_mnist.registry import Registry
from siamese_mnist.system.threads import for_each

CHUNK = 512
_EMBEDDED = 256  # images that a thread embeds at a time; few, so that a core with less time gets fewer
SCORED = 16 * CHUNK
_TILE = 48
_BANK_BYTES = 480 << 20

MakeBackbone = Callable[[int, tuple[int, int]], nn.Module]
"""Makes the named backbone for a number of channels and an image size (H, W)."""


def to_unit(images: Tensor) -> Tensor:
    """Images uint8 (N, C, H, W), or grey (N, H, W), as a network's input: float (N, C, H, W) in [0, 1]."""
    return (images.unsqueeze(1) if images.ndim == 3 else images).float().div_(255)


class Design(nn.Module, ABC):
    """How two images meet a backbone and a head.

    A subclass implements `class_features`, `pair_features`, `feature_bank`, `score_features`, `pair_loss`,
    `score_pairs` and `forward`; the rest follows from these. It is made of a backbone, which `make_backbone` makes,
    and a head, and may have weights of its own. "Features" below are what the backbone alone gives, so that they need
    be computed only once where it is frozen.

    Attributes:
        head_base: what its heads derive from.
        embeds: whether an image has an embedding of its own, computed without knowing what it is compared with.
        backbone: module with `feature_dim`; trained in phase 1, and in phase 2 unless it is frozen.
        head: trained in phase 2, with all else that is not the backbone.
    """

    head_base: ClassVar[type[Head]]
    embeds: ClassVar[bool] = False

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @classmethod
    def make_backbone(cls, make: MakeBackbone, channels: int, image_size: tuple[int, int]) -> nn.Module:
        """The backbone of this design, with `feature_dim`.

        Args:
            make: makes the backbone that the user chose.
            channels: of one image.
            image_size: height and width of the images.
        """
        return make(channels, image_size)

    @classmethod
    def head_features(cls, backbone: nn.Module) -> int:
        """D, the number of features that the head reads."""
        return cast(int, backbone.feature_dim)

    @property
    def feature_dim(self) -> int:
        """Length of the rows of `class_features`."""
        return cast(int, self.backbone.feature_dim)

    @property
    def supervisions(self) -> tuple[Supervision, ...]:
        """What phase 2 can train on, best first."""
        return ("pairs",)

    @property
    def threshold(self) -> float | None:
        """Score at which the model itself decides "same", or None where that is fitted."""
        return 0.0

    @property
    def grouped(self) -> bool:
        """Whether a batch of pairs has to hold the pairs of one first image together."""
        return False

    def decider(self) -> Iterator[nn.Parameter]:
        """All parameters that are not the backbone's."""
        return (value for name, value in self.named_parameters() if not name.startswith("backbone."))

    def train_decider(self) -> None:
        """Puts everything but the backbone into training mode."""
        training = self.backbone.training
        self.train()
        self.backbone.train(training)

    @abstractmethod
    def class_features(self, images: Tensor) -> Tensor:
        """Features of single images for phase 1.

        Args:
            images: (N, C, H, W) in [0, 1].

        Returns:
            (k N, D), the images k times, where each is seen in k ways.
        """

    def label_features(self, images: Tensor, labels: Tensor) -> Tensor:
        """`class_features` of training images with labels (N,), of which a member need not see those it leaves out."""
        return self.class_features(images)

    @property
    def members(self) -> int:
        """Networks of an ensemble, each of which `member` gives as a model; 1 where there is but one."""
        return 1

    def member(self, number: int) -> "Design | None":
        """One member of an ensemble as a model of its own, which shares its weights; None where there are none.

        A design that has members can `leave_out` classes.
        """
        return None

    def leave_out(self, members: Tensor | None) -> None:
        """Lets members train without some classes.

        Args:
            members: (K,) int64, for each class the member that does not see it; None shows all classes to all.
        """
        raise NotImplementedError

    @abstractmethod
    def pair_features(self, left: Tensor, right: Tensor) -> Tensor:
        """Features of pairs of images (P, C, H, W) and (P, C, H, W) in [0, 1], P or 2 P rows."""

    @abstractmethod
    def feature_bank(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Features, in evaluation mode, from which `bank_rows` takes those of pairs of rows of images (N, C, H, W)."""

    def bank_places(self, pairs: Pairs, rows: Tensor, size: int) -> Tensor:
        """Where the features of some pairs are in a bank of `size` rows: unless a design differs, in a row each."""
        return rows

    def bank_rows(self, bank: Tensor, pairs: Pairs, rows: Tensor) -> Tensor:
        """Features of some pairs out of the bank of all, as `pair_features` gives them."""
        return bank[self.bank_places(pairs, rows, len(bank))]

    def pairs_per_bank(self, pairs: Pairs) -> int:
        """Largest number of pairs whose features are kept in memory at a time."""
        return max(1, _BANK_BYTES // (4 * self.feature_dim))

    @abstractmethod
    def score_features(self, features: Tensor) -> Tensor:
        """Scores (P,) of pairs from their features, higher = more alike."""

    @abstractmethod
    def pair_loss(self, features: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Training loss of pairs.

        Args:
            features: as from `pair_features`.
            same: (P,) bool, True = same class.
            anchors: (P,) int64, equal where pairs have the same first image.

        Returns:
            Scalar, and the scores (P,) without gradients.
        """

    def dense_layers(self) -> Sequence[nn.Linear]:
        """Two or more linear layers with ReLU between them, from a row of the bank to what `output_loss` reads.

        Phase 2 on a frozen backbone is faster with such layers. Empty where it is anything else.
        """
        return ()

    def _is_as_in(self, base: type[Any], *names: str) -> bool:
        """Whether no subclass of `base` makes something else of these methods."""
        return all(getattr(type(self), name) is getattr(base, name) for name in names)

    def output_loss(self, outputs: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """`pair_loss` from what `dense_layers` make of the features, of designs that have such layers."""
        raise NotImplementedError

    def output_gradient(self, outputs: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`output_loss` and its gradient by the outputs; other parameters that it depends on get theirs as well."""
        outputs = outputs.detach().requires_grad_()
        loss, scores = self.output_loss(outputs, same, anchors)
        loss.backward()
        return loss.detach(), scores, cast(Tensor, outputs.grad)

    def label_loss(self, features: Tensor, labels: Tensor, per_class: int) -> tuple[Tensor, Tensor, Tensor]:
        """Training loss of single images, for designs that offer the supervision "labels".

        Args:
            features: (k N, D) as from `class_features`.
            labels: (N,) int64, class by class.
            per_class: images of every class.

        Returns:
            Scalar; scores of pairs within the batch without gradients; and whether these show one class, bool.
        """
        raise NotImplementedError

    def finish(self, images: Tensor, labels: Tensor) -> None:
        """Adapts the trained weights to the training images, once after training, in evaluation mode; by default not.

        Args:
            images: (N, C, H, W) uint8, some of the training images.
            labels: (N,) int64, their classes.
        """

    @abstractmethod
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (P,) of pairs of images (P, C, H, W) and (P, C, H, W) in [0, 1], without shortcuts."""

    @abstractmethod
    def score_pairs(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Scores of pairs of rows of images, in evaluation mode and bounded memory.

        Args:
            images: (N, C, H, W) in [0, 1].
            left: (P,) int64, row of the first image of every pair.
            right: (P,) int64, row of the second.

        Returns:
            (P,) float32, higher = more alike.
        """

    @torch.no_grad()
    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores of every image against every other, pair by pair unless a design knows better.

        Args:
            left: (A, C, H, W) uint8.
            right: (B, C, H, W) uint8.

        Returns:
            (A, B) float32, higher = more alike.
        """

        def score(rows: Tensor, columns: Tensor) -> Tensor:
            row, column = torch.cartesian_prod(torch.arange(len(rows)), torch.arange(len(columns))).unbind(1)
            found = self.score_pairs(to_unit(torch.cat([rows, columns])), row, column + len(rows))
            return found.view(len(rows), len(columns))

        return tiled(left, right, _TILE, score)

    def embed_batch(self, images: Tensor) -> Tensor:
        """Embeddings (N, E) of images (N, C, H, W) in [0, 1], of designs that embed, with gradients."""
        raise NotImplementedError

    def score_embeddings(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (P,) of embeddings (P, E) and (P, E), of designs that embed, with gradients."""
        raise NotImplementedError

    @torch.no_grad()
    def embedding_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores of every embedding against every other, of designs that embed, as `score_matrix` gives their images.

        Args:
            left: (A, E) as from `embed`.
            right: (B, E).

        Returns:
            (A, B) float32, higher = more alike.
        """

        def score(rows: Tensor, columns: Tensor) -> Tensor:
            row, column = torch.cartesian_prod(torch.arange(len(rows)), torch.arange(len(columns))).unbind(1)
            return self.score_embeddings(rows[row], columns[column]).view(len(rows), len(columns))

        return tiled(left, right, _TILE, score)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Embeddings (N, E) of images (N, C, H, W) uint8, in evaluation mode, chunk by chunk."""
        return chunkwise(images, lambda chunk: self.embed_batch(to_unit(chunk)))


class PairFusion(Design):
    """A design whose head reads the features of a pair as a whole, and answers with two logits.

    A subclass implements `class_features` and `pair_features`; where images can be prepared once for all their pairs,
    it replaces the rest by something faster.
    """

    head_base = StackedHead
    head: StackedHead

    def _logits(self, features: Tensor) -> Tensor:
        """Logits (P, 2) of pairs from their features; class 1 = same."""
        return cast(Tensor, self.head(features))

    @torch.no_grad()
    def feature_bank(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Features (P, D) of all pairs of rows of images (N, C, H, W), in evaluation mode."""
        chunks = zip(pairs.left.split(CHUNK), pairs.right.split(CHUNK), strict=True)
        return torch.cat([self.pair_features(images[left], images[right]) for left, right in chunks])

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (P,) of images (P, C, H, W) and (P, C, H, W) in [0, 1]."""
        return self.score_features(self.pair_features(left, right))

    @torch.no_grad()
    def score_pairs(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (P,), in evaluation mode and bounded memory; see `Design.score_pairs`."""
        chunks = zip(left.split(CHUNK), right.split(CHUNK), strict=True)
        return torch.cat([self(images[first], images[second]) for first, second in chunks])

    def score_features(self, features: Tensor) -> Tensor:
        """Log-odds of "same" (P,)."""
        return log_odds(self._logits(features))

    def pair_loss(self, features: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the two logits, and the log-odds of "same"; see `Design.pair_loss`."""
        return self.output_loss(self._logits(features), same, anchors)

    def output_loss(self, outputs: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of logits (P, 2), and the log-odds of "same"; see `Design.output_loss`."""
        return F.cross_entropy(outputs, same.long()), log_odds(outputs).detach()

    def output_gradient(self, outputs: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same with the gradient (P, 2), in fewer steps than autograd takes."""
        gradient = (outputs.softmax(1) - torch.stack([~same, same], 1).float()).div_(len(outputs))
        return *self.output_loss(outputs, same, anchors), gradient


def tiled(left: Tensor, right: Tensor, tile: int, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A matrix (A, B) of rows `left` (A, ...) and columns `right` (B, ...), in tiles of bounded size.

    Args:
        left: what the rows are of.
        right: what the columns are of.
        tile: rows of a tile, at most; it has twice as many columns.
        score: gives the tile (a, b) of some rows and some columns.
    """
    matrix = torch.empty(len(left), len(right), device=left.device)

    def fill(piece: tuple[Tensor, Tensor]) -> None:
        rows, row_scores = piece
        for columns, scores in zip(right.split(2 * tile), row_scores.split(2 * tile, 1), strict=True):
            scores.copy_(score(rows, columns))

    for_each(fill, zip(left.split(tile), matrix.split(tile), strict=True))
    return matrix


def chunkwise(images: Tensor, work: Callable[[Tensor], Tensor], size: int = _EMBEDDED) -> Tensor:
    """Rows of what `work` gives for images (N, ...), `size` at a time, on all cores, without gradients."""
    chunks = images.split(size)
    found: list[Any] = [None] * len(chunks)

    def keep(number: int) -> None:
        found[number] = work(chunks[number])

    for_each(keep, range(len(chunks)))
    return torch.cat(found)


class SharedBackbone(Design):
    """One backbone sees every image by itself, so that a frozen one sees it once for all its pairs."""

    def class_features(self, images: Tensor) -> Tensor:
        """Features (N, D) of images (N, C, H, W)."""
        return cast(Tensor, self.backbone(images))

    def pair_features(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (2 P, D) of images (P, C, H, W) and (P, C, H, W), left ones first, in one pass."""
        return cast(Tensor, self.backbone(torch.cat([left, right])))

    @torch.no_grad()
    def feature_bank(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Features (N, D) of images (N, C, H, W), in evaluation mode."""
        return torch.cat([self.backbone(chunk) for chunk in images.split(CHUNK)])

    def bank_places(self, pairs: Pairs, rows: Tensor, size: int) -> Tensor:
        """Where the features of some pairs are in a bank of all images: (2 rows,), left ones first."""
        return torch.cat([pairs.left[rows], pairs.right[rows]])

    def pairs_per_bank(self, pairs: Pairs) -> int:
        """Largest number of pairs whose features are kept in memory at a time: all, as the bank holds images."""
        return len(pairs.same)


def log_odds(logits: Tensor) -> Tensor:
    """Log-odds of class 1 of logits (P, 2): (P,)."""
    return logits[:, 1] - logits[:, 0]


DESIGNS: Registry[type[Design]] = kinds.DESIGNS
"""Subclasses of `Design` by name: `design(backbone, head)`."""
