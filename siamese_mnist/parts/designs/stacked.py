"""Early fusion: the two images are channels of one input."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from siamese_mnist.data.pairs import Pairs
from siamese_mnist.parts.backbones import SharesPairs
from siamese_mnist.parts.designs.base import DESIGNS, SCORED, MakeBackbone, PairFusion, log_odds


@DESIGNS.register("stacked")
class Stacked(PairFusion):
    """Early fusion: both images are channels of one input, and the backbone runs once a pair (report, section 2)."""

    @classmethod
    def make_backbone(cls, make: MakeBackbone, channels: int, image_size: tuple[int, int]) -> nn.Module:
        """A backbone for the channels of two images."""
        return make(2 * channels, image_size)

    def class_features(self, images: Tensor) -> Tensor:
        """Features (N, D) of images (N, C, H, W), each stacked with itself."""
        if isinstance(self.backbone, SharesPairs):
            return self.backbone.twin_features(images)
        return cast(Tensor, self.backbone(torch.cat([images, images], 1)))

    def pair_features(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (P, D) of images (P, C, H, W) and (P, C, H, W)."""
        return cast(Tensor, self.backbone(torch.cat([left, right], 1)))

    @torch.no_grad()
    def feature_bank(self, images: Tensor, pairs: Pairs) -> Tensor:
        """Features (P, D) of all pairs of rows of images (N, C, H, W), in evaluation mode."""
        if isinstance(self.backbone, SharesPairs):
            return self.backbone.pair_features(images, pairs.left, pairs.right)
        return super().feature_bank(images, pairs)

    def dense_layers(self) -> Sequence[nn.Linear]:
        """The head's, if it consists of such layers; see `Design.dense_layers`."""
        return self.head.dense_layers() if self._is_as_in(PairFusion, "_logits", "pair_loss", "bank_rows") else ()

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (P,); the mean over both orders of the images if the head asks for that."""
        scores = self.score_features(self.pair_features(left, right))
        if not self.head.averaged:
            return scores
        return (scores + self.score_features(self.pair_features(right, left))) / 2

    @torch.no_grad()
    def score_pairs(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (P,), in evaluation mode and bounded memory; see `Design.score_pairs`."""
        used, rows = torch.cat([left, right]).unique(return_inverse=True)
        images, (left, right) = images[used], rows.chunk(2)
        scores = []
        for rows_left, rows_right in zip(left.split(SCORED), right.split(SCORED), strict=True):
            orders = [(rows_left, rows_right)]
            if self.head.averaged:
                orders.append((rows_right, rows_left))
            logits = [self.head(self.feature_bank(images, Pairs(*order, rows_left))) for order in orders]
            scores.append(torch.stack([log_odds(each) for each in logits]).mean(0))
        return torch.cat(scores)
