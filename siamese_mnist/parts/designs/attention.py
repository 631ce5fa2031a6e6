"""Places of one image attend to places of the other."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.parts.backbones import HasPlaces
from siamese_mnist.parts.designs.base import CHUNK, DESIGNS, SCORED, MakeBackbone, PairFusion, SharedBackbone, log_odds
from siamese_mnist.parts.heads import Head
from siamese_mnist.parts.heads.base import dense

_WIDTH, _ATTENTION_HEADS = 64, 4


class Places(nn.Module):
    """A backbone whose features are what it sees at every place, one place after the other.

    A backbone that does not tell places apart (see `HasPlaces`) has one.

    Args:
        trunk: the backbone.
        channels: channels of an image.
        image_size: height and width of the images.
    """

    def __init__(self, trunk: nn.Module, channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.trunk = trunk
        training = trunk.training
        trunk.eval()
        with torch.no_grad():
            self.count, self.width = self._places(torch.zeros(1, channels, *image_size)).shape[1:]
        trunk.train(training)
        self.feature_dim = self.count * self.width

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W) in [0, 1] to (N, count * width)."""
        return self._places(x).flatten(1)

    def _places(self, x: Tensor) -> Tensor:
        if isinstance(self.trunk, HasPlaces):
            return self.trunk.places(x)
        return cast(Tensor, self.trunk(x)).unsqueeze(1)


class CrossAttention(nn.Module):
    """Compares two images place by place: each place with what it finds of itself in the other image.

    Every place of one image gathers from the other the places that it attends to (scaled dot products, Vaswani et al.
    2017). What it gathered is compared with what it is, and the comparisons are averaged over places and over both
    directions, so that the order of the images does not count.

    Args:
        count: K, places of an image.
        width: F, numbers at a place.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.project = dense(width, _WIDTH)
        self.position = nn.Parameter(torch.randn(count, _WIDTH) * 0.02)
        self.query, self.key, self.value = (dense(_WIDTH, _WIDTH) for _ in range(3))
        self.compare = dense(2 * _WIDTH, _WIDTH)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Maps places (P, K, F) and (P, K, F) to comparisons (P, E), the same for both orders."""
        one, other = self.project(left), self.project(right)
        return self._gathered(one, other) + self._gathered(other, one)

    def _gathered(self, one: Tensor, other: Tensor) -> Tensor:
        query, key = self._split(self.query(one + self.position)), self._split(self.key(other + self.position))
        found = F.scaled_dot_product_attention(query, key, self._split(self.value(other)))
        own = self.value(one)
        found = found.transpose(1, 2).flatten(2)
        compared = self.compare(torch.cat([(own - found).abs(), own * found], 2))
        return F.relu(compared).mean(1)

    def _split(self, x: Tensor) -> Tensor:
        """(P, K, E) as (P, heads, K, E / heads)."""
        split: Tensor = x.unflatten(2, (_ATTENTION_HEADS, -1)).transpose(1, 2)
        return split


@DESIGNS.register("cross-attention")
class CrossAttentive(SharedBackbone, PairFusion):
    """Shared weights see each image once; places of one image attend to places of the other, in both directions."""

    backbone: Places

    def __init__(self, backbone: Places, head: Head) -> None:
        super().__init__(backbone, head)
        self.attention = CrossAttention(backbone.count, backbone.width)

    @classmethod
    def make_backbone(cls, make: MakeBackbone, channels: int, image_size: tuple[int, int]) -> nn.Module:
        """The backbone, place by place."""
        return Places(make(channels, image_size), channels, image_size)

    @classmethod
    def head_features(cls, backbone: nn.Module) -> int:  # noqa: ARG003
        """Length of a comparison."""
        return _WIDTH

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (P,) of images (P, C, H, W) and (P, C, H, W) in [0, 1]."""
        return log_odds(self._logits_of(self.backbone(left), self.backbone(right)))

    @torch.no_grad()
    def score_pairs(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" (P,), in evaluation mode; every image is seen once. See `Design.score_pairs`."""
        used, rows = torch.cat([left, right]).unique(return_inverse=True)
        bank = torch.cat([self.backbone(chunk) for chunk in images[used].split(CHUNK)])
        chunks = zip(*(each.split(SCORED // 16) for each in rows.chunk(2)), strict=True)
        return torch.cat([self.score_features(bank[torch.cat(chunk)]) for chunk in chunks])

    def _logits(self, features: Tensor) -> Tensor:
        return self._logits_of(*features.chunk(2))

    def _logits_of(self, left: Tensor, right: Tensor) -> Tensor:
        sides = (each.unflatten(1, (self.backbone.count, self.backbone.width)) for each in (left, right))
        return cast(Tensor, self.head(self.attention(*sides)))
