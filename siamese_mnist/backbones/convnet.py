"""A modern small convolutional trunk."""

import torch
from torch import Tensor, nn

from siamese_mnist.backbones.base import BACKBONES
from siamese_mnist.errors import UsageError


@BACKBONES.register("convnet")
class ConvNet(nn.Module):
    """Three stages of 3x3 convolutions with batch norm and ReLU, stride-2 stem, global mean.

    Args:
        in_channels: channels of the input.
        image_size: height and width of the input.
        width: channels of the first stage; the next ones have twice and four times as many.
        depth: convolutions in a stage.

    Raises:
        UsageError: if an option is out of range or the images are too small.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int] = (28, 28),
        *,
        width: int = 32,
        depth: int = 2,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise UsageError(f"width and depth must be >= 1, got {width} and {depth}")
        if min(image_size) < 8:
            raise UsageError(f"images of {image_size[0]} x {image_size[1]} are too small for convnet; it needs 8 x 8")
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in range(3):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for number in range(depth):
                stem = stage == number == 0
                filters = width << stage
                layers += _convolution(channels, filters, kernel=5 if stem else 3, stride=2 if stem else 1)
                channels = filters
        self.layers = nn.Sequential(*layers)
        self.feature_dim = channels

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) in [0, 1] to features (N, feature_dim)."""
        x = (x - 0.13).div(0.31).contiguous(memory_format=torch.channels_last)  # mean and deviation of MNIST
        features: Tensor = self.layers(x).mean((2, 3))
        return features


def _convolution(channels: int, filters: int, *, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    ]
