"""Late fusion: each image is seen alone, and two embeddings are compared."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from siamese_mnist.data.pairs import Pairs
from siamese_mnist.parts.backbones import HasMembers, HasViews, views_of
from siamese_mnist.parts.designs.base import (
    CHUNK,
    DESIGNS,
    SCORED,
    Design,
    MakeBackbone,
    SharedBackbone,
    chunkwise,
    tiled,
    to_unit,
)
from siamese_mnist.parts.heads import SiameseHead
from siamese_mnist.parts.losses import Supervision

_TILE = 256


class LateFusion(Design):
    """A design that sees each image alone; its head embeds features and compares two embeddings."""

    head_base = SiameseHead
    head: SiameseHead

    @property
    def supervisions(self) -> tuple[Supervision, ...]:
        """What the head and its loss can train on, best first."""
        return self.head.supervisions

    @property
    def threshold(self) -> float | None:
        """The head's own threshold, or None where it is fitted."""
        return self.head.threshold

    @property
    def grouped(self) -> bool:
        """Whether the loss contrasts the pairs of one first image."""
        return self.head.grouped

    @abstractmethod
    def side_features(self, images: Tensor, side: int) -> Tensor:
        """Features (N, D) of images (N, C, H, W) that are the left ones (0) or the right ones (1) of their pairs."""

    def pair_features(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (2 P, D) of images (P, C, H, W) and (P, C, H, W), left ones first."""
        return torch.cat([self.side_features(left, 0), self.side_features(right, 1)])

    def pairs_per_bank(self, pairs: Pairs) -> int:
        """Largest number of pairs whose features are kept in memory at a time: all, as the bank holds images."""
        return len(pairs.same)

    def score_features(self, features: Tensor) -> Tensor:
        """Scores (P,) of features (2 P, D), left ones first."""
        return self.head.score(*self.head.embed(features).chunk(2))

    def pair_loss(self, features: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """The head's loss of pairs with features (2 P, D), see `SiameseHead.pair_loss`, and their scores (P,)."""
        return self.output_loss(self.head.embed(features), same, anchors)

    def dense_layers(self) -> Sequence[nn.Linear]:
        """The layers with which the head embeds, if it does so with such layers; see `Design.dense_layers`."""
        return self.head.dense_layers() if self._is_as_in(LateFusion, "pair_loss", "bank_rows") else ()

    def output_loss(self, outputs: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """The head's loss of embeddings (2 P, E), left ones first, and the scores (P,) of the pairs."""
        left, right = outputs.chunk(2)
        loss = self.head.pair_loss(left, right, same, anchors)
        with torch.no_grad():
            return loss, self.head.score(left, right)

    def label_loss(self, features: Tensor, labels: Tensor, per_class: int) -> tuple[Tensor, Tensor, Tensor]:
        """The head's loss of labelled images, and the scores of each with one of its class and one of another."""
        embeddings = self.head.embed(features)
        loss = self.head.label_loss(embeddings, labels.repeat(len(features) // len(labels)))
        with torch.no_grad():
            embeddings = self.head.blanked(embeddings.detach(), labels.repeat(len(features) // len(labels)))
            classes = embeddings.view(-1, per_class, embeddings.shape[1])
            mates, others = classes.roll(1, 1).flatten(0, 1), classes.roll(1, 0).flatten(0, 1)
            scores = torch.cat([self.head.score(embeddings, mates), self.head.score(embeddings, others)])
        return loss, scores, torch.arange(len(scores), device=scores.device) < len(embeddings)

    @torch.no_grad()
    def finish(self, images: Tensor, labels: Tensor) -> None:
        """Lets a head that `finishes` adapt to the features of all images, each as often as it is seen."""
        if self.head.finishes:
            features = chunkwise(images, lambda chunk: self.class_features(to_unit(chunk)), CHUNK)
            ways = len(features) // len(images)
            self.head.finish(features, torch.cat([some.repeat(ways) for some in labels.split(CHUNK)]))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (P,) of pairs of images (P, C, H, W) and (P, C, H, W) in [0, 1]."""
        first, second = (self.head.embed(self.side_features(each, side)) for side, each in enumerate((left, right)))
        return self.head.score(first, second)

    @torch.no_grad()
    def score_pairs(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Scores (P,), in evaluation mode; every image is embedded once. See `Design.score_pairs`."""
        used, rows = torch.cat([left, right]).unique(return_inverse=True)
        sides = self._embedded_sides(images[used])
        chunks = zip(*(each.split(SCORED) for each in rows.chunk(2)), strict=True)
        return torch.cat([self.head.score(sides[0][first], sides[1][second]) for first, second in chunks])

    @torch.no_grad()
    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (A, B) of images uint8 (A, C, H, W) and (B, C, H, W), each embedded once, block by block."""
        rows = chunkwise(left, lambda chunk: self._embed_side(to_unit(chunk), 0))
        columns = (
            rows
            if self.embeds and _same_memory(left, right)
            else chunkwise(right, lambda chunk: self._embed_side(to_unit(chunk), 1))
        )
        return self.embedding_matrix(rows, columns)

    @torch.no_grad()
    def embedding_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (A, B) of embeddings (A, E) and (B, E), block by block."""
        return tiled(*self.head.matrix_sides(left, right), _TILE, self.head.matrix_block)

    def _embed_side(self, images: Tensor, side: int) -> Tensor:
        return self.head.embed(self.side_features(images, side))

    def _embedded_sides(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (N, E) of images (N, C, H, W) as left and as right ones."""
        left, right = (chunkwise(images, partial(self._embed_side, side=side), CHUNK) for side in (0, 1))
        return left, right


@DESIGNS.register("siamese")
class Siamese(SharedBackbone, LateFusion):
    """Late fusion: one backbone with shared weights embeds each image once, and a head compares two embeddings."""

    embeds = True

    def side_features(self, images: Tensor, side: int) -> Tensor:
        """Features (N, D) of images (N, C, H, W), the same on both sides."""
        return cast(Tensor, self.backbone(images))

    def label_features(self, images: Tensor, labels: Tensor) -> Tensor:
        """Features (N, D) of images (N, C, H, W) with labels (N,); zeros of a member that leaves the class out."""
        if self.head.left_out is None:
            return self.class_features(images)
        return cast(HasMembers, self.backbone).shown_features(images, self.head.shown(labels))

    @property
    def members(self) -> int:
        """Networks of an ensemble."""
        return self.head.members

    def member(self, number: int) -> "Siamese | None":
        """One member of an ensemble as a model of its own, which shares its weights; None where there are none.

        A subclass that makes something else of the features has none.
        """
        backbone = self.backbone
        plain = self._is_as_in(Siamese, "side_features", "class_features", "label_features")
        if not plain or not isinstance(backbone, HasMembers) or not 1 < self.members == backbone.networks:
            return None
        head = self.head.member(number)
        if head is None:
            return None
        alone = copy.copy(self)
        alone._modules = {**self._modules, "backbone": backbone.member(number), "head": head}
        return alone

    def leave_out(self, members: Tensor | None) -> None:
        """Lets members train without some classes, see `Design.leave_out`."""
        self.head.left_out = members

    def embed_batch(self, images: Tensor) -> Tensor:
        """Embeddings (N, E) of images (N, C, H, W) in [0, 1]."""
        return self._embed_side(images, 0)

    def score_embeddings(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (P,) of embeddings (P, E) and (P, E)."""
        return self.head.score(left, right)

    def _embedded_sides(self, images: Tensor) -> tuple[Tensor, Tensor]:
        embeddings = chunkwise(images, self.embed_batch, CHUNK)
        return embeddings, embeddings


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return (one.data_ptr(), one.shape, one.stride()) == (other.data_ptr(), other.shape, other.stride())


class Branches(nn.Module, HasViews):
    """Two backbones of one kind, each with weights of its own.

    Args:
        left: module (N, C, H, W) -> (N, D).
        right: module (N, C, H, W) -> (N, D).
    """

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.sides = nn.ModuleList([left, right])
        self.feature_dim = cast(int, left.feature_dim)
        self.views = views_of(left)

    def keep_apart(self) -> None:
        """Keeps the views of both sides apart."""
        for side in self.sides:
            cast(HasViews, side).keep_apart()
        self.feature_dim *= self.views


@DESIGNS.register("pseudo-siamese")
class PseudoSiamese(LateFusion):
    """Two branches without shared weights, one for left and one for right images (Zagoruyko and Komodakis 2015, 3.1).

    Phase 1 shows every image to both branches, under one class head; so does phase 2 on labels. The answer depends on
    the order of the two images.
    """

    backbone: Branches

    @classmethod
    def make_backbone(cls, make: MakeBackbone, channels: int, image_size: tuple[int, int]) -> nn.Module:
        """A backbone for each side."""
        return Branches(make(channels, image_size), make(channels, image_size))

    def side_features(self, images: Tensor, side: int) -> Tensor:
        """Features (N, D) of images (N, C, H, W) from the branch of that side."""
        return cast(Tensor, self.backbone.sides[side](images))

    def class_features(self, images: Tensor) -> Tensor:
        """Features (2 N, D) of images (N, C, H, W): from the left branch, then from the right one."""
        return self.pair_features(images, images)

    @torch.no_grad()
    def feature_bank(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Features (2 N, D) of images (N, C, H, W), in evaluation mode: all as left ones, then all as right ones."""
        return torch.cat([self.side_features(chunk, side) for side in (0, 1) for chunk in images.split(CHUNK)])

    def bank_places(self, pairs: Pairs, rows: Tensor, size: int) -> Tensor:
        """Where the features of some pairs are in a bank of all images: (2 rows,), left ones first."""
        return torch.cat([pairs.left[rows], pairs.right[rows] + size // 2])
