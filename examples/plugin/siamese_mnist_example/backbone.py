"""A backbone: images to features."""

import torch.nn.functional as F
from torch import Tensor, nn

import siamese_mnist as sm


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
            raise sm.UsageError(f"square must lie in 1..{min(image_size)}, got {square}")
        self.square = square
        self.feature_dim = in_channels * (image_size[0] // square) * (image_size[1] // square)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W) in [0, 1] to features (N, feature_dim)."""
        return F.avg_pool2d(x, self.square).flatten(1)
