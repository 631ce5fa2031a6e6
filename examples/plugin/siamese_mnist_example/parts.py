"""A backbone, a head and a loss: the smallest useful one of each."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads import SiameseHead
from siamese_mnist.parts.losses import MetricLoss


class Pixels(nn.Module):
    """The image itself, averaged over small squares: no weights, a lower bound for any backbone.

    Args:
        in_channels: channels of the input.
        image_size: height and width of the input.
        square: side of the squares, in pixels.

    Raises:
        UsageError: if `square` is out of range.
    """

    def __init__(self, in_channels: int, image_size: tuple[int, int], *, square: int = 2) -> None:
        super().__init__()
        if not 1 <= square <= min(image_size):
            raise UsageError(f"square must lie in 1..{min(image_size)}, got {square}")
        self.square = square
        self.feature_dim = in_channels * (image_size[0] // square) * (image_size[1] // square)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W) in [0, 1] to features (N, feature_dim)."""
        return F.avg_pool2d(x, self.square).flatten(1)


class DiagonalHead(SiameseHead):
    """A weighted squared distance: one learned weight a dimension, as in the first Siamese networks.

    Args:
        feature_dim: D, features of one image.
        classes: number of classes; not used.
        loss: not used; the head trains with the cross-entropy of its score.
        embedding_dim: E, length of the projection whose dimensions are weighted.
    """

    threshold = 0.0

    def __init__(self, feature_dim: int, classes: int, loss: MetricLoss | None, *, embedding_dim: int = 32) -> None:
        super().__init__()
        self.project = nn.Linear(feature_dim, embedding_dim)
        self.weight = nn.Parameter(torch.ones(embedding_dim))
        self.bias = nn.Parameter(torch.ones(()))

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to projections (N, E)."""
        return self.project(features).sigmoid()

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Log-odds of "same" for projections (P, E), (P, E): (P,)."""
        return self.bias - (left - right).square() @ self.weight.square()


class LogisticLoss(MetricLoss):
    """Cross-entropy of scaled cosines over explicit pairs.

    Args:
        classes: number of classes; not used.
        embedding_dim: length of an embedding; not used.
        scale: steepness.
        boundary: cosine at which both answers are equally likely.
    """

    supervisions = ("pairs",)

    def __init__(self, classes: int, embedding_dim: int, *, scale: float = 10.0, boundary: float = 0.5) -> None:
        super().__init__()
        self.scale = scale
        self.boundary = boundary

    def of_pairs(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """Scalar loss of pairs (P, E), (P, E) with truth (P,) bool."""
        return F.binary_cross_entropy_with_logits(
            self.scale * (self.similarity(left, right) - self.boundary), same.float()
        )
