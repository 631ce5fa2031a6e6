"""Two streams of different resolution for each image."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.parts.backbones import HasViews, views_of
from siamese_mnist.parts.designs.base import DESIGNS, MakeBackbone
from siamese_mnist.parts.designs.siamese import Siamese


class Streams(nn.Module, HasViews):
    """The middle of an image, and the whole image at half the resolution, each seen by a backbone of its own.

    Args:
        central: module (N, C, ceil(H / 2), ceil(W / 2)) -> (N, D).
        surround: module of the same shapes.
    """

    def __init__(self, central: nn.Module, surround: nn.Module) -> None:
        super().__init__()
        self.central = central
        self.surround = surround
        self.feature_dim = cast(int, central.feature_dim) + cast(int, surround.feature_dim)
        self.views = min(views_of(central), views_of(surround))
        self.apart = 1

    def keep_apart(self) -> None:
        """Keeps the views of both streams apart; the streams' features of one view stay together."""
        for stream in (self.central, self.surround):
            cast(HasViews, stream).keep_apart()
        self.feature_dim *= self.views
        self.apart = self.views

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W) in [0, 1] to the features of both streams, (N, feature_dim)."""
        height, width = (_half(side) for side in x.shape[2:])
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
        middle = x[:, :, top : top + height, left : left + width]
        whole = F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        streams = (self.central(middle).chunk(self.apart, 1), self.surround(whole).chunk(self.apart, 1))
        return torch.cat([stream for view in zip(*streams, strict=True) for stream in view], 1)


@DESIGNS.register("central-surround")
class CentralSurround(Siamese):
    """Two streams an image, its middle and the whole at half resolution, weights shared between the two images.

    After Zagoruyko and Komodakis 2015, section 3.2 (central-surround two-stream network), in its Siamese form.
    """

    @classmethod
    def make_backbone(cls, make: MakeBackbone, channels: int, image_size: tuple[int, int]) -> nn.Module:
        """A backbone for each stream, of half the height and width."""
        half = _half(image_size[0]), _half(image_size[1])
        return Streams(make(channels, half), make(channels, half))


def _half(side: int) -> int:
    return -(-side // 2)
