"""Two designs: how two images meet a backbone and a head.

Both offer the same steps to the rest of the library, so that nothing after this module asks which design a model has.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.data.pairs import Pairs
from siamese_mnist.errors import UsageError
from siamese_mnist.parts.backbones import create_backbone
from siamese_mnist.parts.heads import HEADS, SiameseHead, StackedHead
from siamese_mnist.parts.losses import Supervision, create_loss
from siamese_mnist.registry import options_of

_CHUNK = 512
_TILE = 256
_BANK_BYTES = 1 << 30


def to_unit(images: Tensor) -> Tensor:
    """Images uint8 (N, C, H, W), or grey ones (N, H, W), as a network's input: float (N, C, H, W) in [0, 1]."""
    return (images.unsqueeze(1) if images.ndim == 3 else images).float().div_(255)


class Stacked(nn.Module):
    """Early fusion: the two images are channels of one input; one backbone pass per pair (report, section 2).

    Args:
        backbone: module (P, 2 C, H, W) -> (P, feature_dim).
        head: module (P, feature_dim) -> (P, 2).
    """

    in_channels = 2  # for each channel of an image
    threshold: float | None = 0.0

    def __init__(self, backbone: nn.Module, head: StackedHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_dim = cast(int, backbone.feature_dim)
        self.head = head

    def pretraining_input(self, images: Tensor) -> Tensor:
        """Single images (N, C, H, W) as the backbone's input: each stacked with itself, (N, 2 C, H, W)."""
        return images.repeat(1, 2, 1, 1)

    def pair_features(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (P, D) of images (P, C, H, W) and (P, C, H, W)."""
        return cast(Tensor, self.backbone(torch.cat([left, right], 1)))

    def pairs_per_bank(self, pairs: Pairs) -> int:
        """Largest number of pairs whose features are kept in memory at a time."""
        return max(1, _BANK_BYTES // (4 * self.feature_dim))

    @torch.no_grad()
    def feature_bank(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Features (P, D) of all pairs of rows of images (N, C, H, W), in evaluation mode."""
        shortcut = getattr(self.backbone, "pair_features", None)
        if callable(shortcut):
            return cast(Tensor, shortcut(images, pairs.left, pairs.right))
        chunks = zip(pairs.left.split(_CHUNK), pairs.right.split(_CHUNK), strict=True)
        return torch.cat([self.pair_features(images[left], images[right]) for left, right in chunks])

    def bank_rows(self, bank: Tensor, pairs: Pairs, rows: Tensor) -> Tensor:
        """Features of some pairs out of a bank of all: (rows, D)."""
        return bank[rows]

    def pair_loss(self, features: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of pairs with features (P, D) and truth (P,): scalar, and their scores (P,)."""
        logits = self.head(features)
        return F.cross_entropy(logits, same.long()), (logits[:, 1] - logits[:, 0]).detach()

    @torch.no_grad()
    def score_pairs(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Scores of pairs of rows of images (N, C, H, W), in evaluation mode and bounded memory.

        Returns:
            (P,) float32: log-odds of "same".
        """
        used, rows = torch.cat([left, right]).unique(return_inverse=True)
        images, (left, right) = images[used], rows.chunk(2)
        scores = []
        for rows_left, rows_right in zip(left.split(16 * _CHUNK), right.split(16 * _CHUNK), strict=True):
            orders = [(rows_left, rows_right)]
            if self.head.averaged:
                orders.append((rows_right, rows_left))
            logits = [self.head(self.feature_bank(images, Pairs(*order, rows_left))) for order in orders]
            scores.append(torch.stack([each[:, 1] - each[:, 0] for each in logits]).mean(0))
        return torch.cat(scores)


class Siamese(nn.Module):
    """Late fusion: one backbone with shared weights embeds each image once; a head compares two embeddings.

    Args:
        backbone: module (N, C, H, W) -> (N, feature_dim).
        head: embeds features and scores pairs of embeddings.
    """

    in_channels = 1  # for each channel of an image

    def __init__(self, backbone: nn.Module, head: SiameseHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.feature_dim = cast(int, backbone.feature_dim)
        self.head = head
        self.threshold = head.threshold

    def pretraining_input(self, images: Tensor) -> Tensor:
        """Single images (N, C, H, W) as the backbone's input: themselves."""
        return images

    def pair_features(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (2 P, D) of images (P, C, H, W) and (P, C, H, W), left ones first."""
        return cast(Tensor, self.backbone(torch.cat([left, right])))

    def pairs_per_bank(self, pairs: Pairs) -> int:
        """Largest number of pairs whose features are kept in memory at a time: all, as the bank holds images."""
        return len(pairs.same)

    @torch.no_grad()
    def feature_bank(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Features (N, D) of images (N, C, H, W), in evaluation mode."""
        return torch.cat([self.backbone(chunk) for chunk in images.split(_CHUNK)])

    def bank_rows(self, bank: Tensor, pairs: Pairs, rows: Tensor) -> Tensor:
        """Features of some pairs out of a bank of all images: (2 rows, D), left ones first."""
        return bank[torch.cat([pairs.left[rows], pairs.right[rows]])]

    def pair_loss(self, features: Tensor, same: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """The head's loss of pairs with features (2 P, D), see `SiameseHead.pair_loss`, and their scores (P,)."""
        left, right = self.head.embed(features).chunk(2)
        loss = self.head.pair_loss(left, right, same, anchors)
        with torch.no_grad():
            return loss, self.head.score(left, right)

    @torch.no_grad()
    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores of every embedding (A, E) against every embedding (B, E): (A, B), block by block."""
        matrix = left.new_empty(len(left), len(right))
        for rows, row_scores in zip(left.split(_TILE), matrix.split(_TILE), strict=True):
            for columns, scores in zip(right.split(_TILE), row_scores.split(_TILE, 1), strict=True):
                scores.copy_(self.head.score_matrix(rows, columns))
        return matrix

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Embeddings (N, E) of images (N, C, H, W), in evaluation mode."""
        return torch.cat([self.head.embed(self.backbone(chunk)) for chunk in images.split(_CHUNK)])

    @torch.no_grad()
    def score_pairs(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Scores of pairs of rows of images (N, C, H, W), in evaluation mode; every image is embedded once.

        Returns:
            (P,) float32, higher = more alike.
        """
        used, rows = torch.cat([left, right]).unique(return_inverse=True)
        embeddings, (left, right) = self.embed(images[used]), rows.chunk(2)
        chunks = zip(left.split(16 * _CHUNK), right.split(16 * _CHUNK), strict=True)
        return torch.cat([self.head.score(embeddings[rows], embeddings[others]) for rows, others in chunks])


Model = Stacked | Siamese


def build_model(
    *,
    design: str,
    backbone: str,
    backbone_options: Mapping[str, Any],
    head: str,
    head_options: Mapping[str, Any],
    loss: str | None,
    loss_options: Mapping[str, Any],
    miner: str | None,
    miner_options: Mapping[str, Any],
    image_size: tuple[int, int],
    classes: int,
    channels: int = 1,
) -> Model:
    """An untrained model of named parts.

    Args:
        design: "stacked" or "siamese".
        backbone: name in `BACKBONES`.
        backbone_options: its options.
        head: name in `HEADS`, of the same design.
        head_options: its options.
        loss: name in `LOSSES` for heads that train with one, else None.
        loss_options: its options.
        miner: name in `MINERS` for losses that take one, else None.
        miner_options: its options.
        image_size: height and width of the images.
        classes: number of classes.
        channels: of an image, C: 1 for grey, 3 for colour.

    Raises:
        UsageError: if a part is unknown, refuses an option, or does not fit the others.
    """
    head_class = HEADS[head]
    if head_class.design != design:
        fitting = ", ".join(part.name for part in HEADS.parts() if part.value.design == design)
        raise UsageError(f"head {head!r} is for {head_class.design} designs, this one is {design}; use {fitting}")
    if loss and not getattr(head_class, "losses", False):
        raise UsageError(f"head {head!r} trains with its own loss; leave out loss {loss!r}")
    if miner and not loss:
        raise UsageError(f"miner {miner!r} has no effect without a loss; name one with --loss")
    model = Stacked if design == "stacked" else Siamese
    in_channels = model.in_channels * channels
    trunk = create_backbone(backbone, in_channels=in_channels, image_size=image_size, **backbone_options)
    given: dict[str, Any] = {"feature_dim": trunk.feature_dim}
    if design == "siamese":
        given["classes"] = classes
        given["loss"] = None
        if loss:
            embedding_dim = head_options.get("embedding_dim", options_of(head_class).get("embedding_dim"))
            given["loss"] = create_loss(
                loss, loss_options, miner, miner_options, classes=classes, embedding_dim=embedding_dim
            )
    return model(trunk, HEADS.make(head, head_options, **given))


def supervisions(model: Model) -> tuple[Supervision, ...]:
    """What phase 2 of a model can train on, best first."""
    return model.head.supervisions if isinstance(model, Siamese) else ("pairs",)
