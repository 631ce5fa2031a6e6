"""The report's residual CNN, with the defaults that Keras gives it."""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.backbones.affine import PooledAffine
from siamese_mnist.parts.backbones.base import BACKBONES, HasPlaces, SharesPairs
from siamese_mnist.parts.backbones.composed import pooled_in_training
from siamese_mnist.parts.backbones.linear import in_training
from siamese_mnist.parts.backbones.norm import FewChannelsNorm
from siamese_mnist.parts.backbones.pooling import corners, highest
from siamese_mnist.system.threads import for_each

_FILTERS = (6, 16, 32, 64)
_PADDING = 2
_GPU_CHUNK = 2048
_FEW = 2  # channels of images whose moments take less time than the layers


class ResidualBlock(nn.Module):
    """Three times (2x2 convolution, batch norm), then the input and the result concatenated (report, Appendix A).

    Maps (N, in_channels, H, W) to (N, out_channels, H, W), where out_channels is in_channels + filters, or filters
    alone without the residual connection.
    """

    def __init__(self, in_channels: int, filters: int, *, residual: bool, activation: bool) -> None:
        super().__init__()
        self.residual = residual
        self.activation = activation
        self.out_channels = filters + (in_channels if residual else 0)
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, filters, kernel_size=2) for channels in (in_channels, filters, filters)
        )
        # Keras: epsilon 1e-3, momentum 0.99 for the old value, which PyTorch writes as 0.01 for the new one.
        self.norms = nn.ModuleList(FewChannelsNorm(filters, eps=1e-3, momentum=0.01) for _ in range(3))
        for conv in cast(Iterable[nn.Conv2d], self.convs):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(cast(Tensor, conv.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H, W)."""
        if self._written_out(x):
            y = in_training(x, *self._layers())
        else:
            y = x
            for conv, norm in zip(self.convs, self.norms, strict=True):
                # "Same" padding of an even kernel goes to the right and the bottom in Keras.
                y = norm(conv(F.pad(y, (0, 1, 0, 1))))
                if self.activation:
                    y = F.relu(y)
        return torch.cat([x, y], 1) if self.residual else y

    def pooled(self, x: Tensor, *, twice: bool = False) -> Tensor:
        """Maps (N, in_channels, H, W) to (N, out_channels, H // 2, W // 2): the block and 2x2 max pooling.

        Args:
            x: the input, or, if `twice`, half of its channels, and the other half is the same.
            twice: see `x`.
        """
        if x.requires_grad or x.shape[1] > _FEW or not self._written_out(x):
            return F.max_pool2d(self(torch.cat([x, x], 1) if twice else x), 2)
        convs, norms = self._layers()
        first = convs[0].weight
        y = pooled_in_training(x, torch.add(*first.chunk(2, 1)) if twice else first, convs, norms)
        same = highest(corners(x))
        return torch.cat([*([same] * (2 if twice else 1) if self.residual else []), y], 1)

    def _written_out(self, x: Tensor) -> bool:
        """Whether the gradients of the layers are written out, and not autograd's."""
        return self.training and not self.activation and not torch.is_autocast_enabled(x.device.type)

    def _layers(self) -> tuple[list[nn.Conv2d], list[FewChannelsNorm]]:
        return list(cast(Iterable[nn.Conv2d], self.convs)), list(cast(Iterable[FewChannelsNorm], self.norms))

    def folded(self) -> "ResidualBlock":
        """A copy for inference only, its batch norms folded into the convolutions."""
        block = copy.deepcopy(self)
        block.convs = nn.ModuleList(
            fuse_conv_bn_eval(cast(nn.Conv2d, conv), cast(nn.BatchNorm2d, norm))
            for conv, norm in zip(self.convs, self.norms, strict=True)
        )
        block.norms = nn.ModuleList(nn.Identity() for _ in self.norms)
        return block


@BACKBONES.register("report")
class ReportCNN(nn.Module, SharesPairs, HasPlaces):
    """The report's residual CNN: two blocks of three linear 2x2 convolutions, 1,536 features.

    Zero padding of 2, then per block a `ResidualBlock` and 2x2 max pooling; features are flattened height first,
    channels last, as Keras does. With two channels and the defaults it has 3,226 parameters, moving statistics counted.

    Args:
        in_channels: channels of the input.
        image_size: height and width of the input.
        blocks: number of residual blocks, 1 to 4, with 6, 16, 32 and 64 filters; the report stacks two.
        residual: whether a block's output contains its input (report, Appendix A: `return res` or `return bn3`).
        activation: whether a ReLU follows every batch norm; the report has none.
        enlarge: whole factor by which the image is enlarged bilinearly first (report, section 4).
        pixel_max: value of a full pixel: 1 for inputs in [0, 1], 255 for raw bytes.

    Raises:
        UsageError: if an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int] = (28, 28),
        *,
        blocks: int = 2,
        residual: bool = True,
        activation: bool = False,
        enlarge: int = 1,
        pixel_max: float = 1.0,
    ) -> None:
        super().__init__()
        if not 1 <= blocks <= len(_FILTERS):
            raise UsageError(f"blocks must lie in 1..{len(_FILTERS)}, got {blocks}")
        if not 1 <= enlarge <= 8:
            raise UsageError(f"enlarge must lie in 1..8, got {enlarge}")
        if not pixel_max > 0:
            raise UsageError(f"pixel_max must be > 0, got {pixel_max}")
        self.enlarge = enlarge
        self.pixel_max = pixel_max
        self.blocks = nn.ModuleList()
        channels = in_channels
        for filters in _FILTERS[:blocks]:
            block = ResidualBlock(channels, filters, residual=residual, activation=activation)
            self.blocks.append(block)
            channels = block.out_channels
        height, width = ((side * enlarge + 2 * _PADDING) >> blocks for side in image_size)
        if height < 1 or width < 1:
            raise UsageError(
                f"images of {image_size[0]} x {image_size[1]} are too small for {blocks} blocks; use fewer"
            )
        self.feature_dim = channels * height * width
        self._folded: tuple[Any, Tensor, list[Callable[[Tensor], Tensor]]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) in [0, 1] to features (N, feature_dim)."""
        return self.places(x).flatten(1)

    def twin_features(self, images: Tensor) -> Tensor:
        """Maps images (N, C, H, W) in [0, 1], each stacked with itself, to features (N, feature_dim)."""
        return self._places(images, twice=True).flatten(1)

    def places(self, x: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) in [0, 1] to the channels at every place of the last block: (N, K, F)."""
        return self._places(x)

    def _places(self, x: Tensor, *, twice: bool = False) -> Tensor:
        x = self._prepare(x)
        for block in cast(Iterable[ResidualBlock], self.blocks):
            x = block.pooled(x.contiguous(memory_format=torch.channels_last), twice=twice)
            twice = False
        return x.permute(0, 2, 3, 1).flatten(1, 2)

    @torch.no_grad()
    def pair_features(self, images: Tensor, left: Tensor, right: Tensor, chunk: int = 64) -> Tensor:
        """Features of many stacked pairs of few images, in evaluation mode, faster than one pass per pair.

        With its statistics fixed, a block without activation is an affine map, see `PooledAffine`.

        Args:
            images: (N, C, H, W) in [0, 1].
            left: (P,) int64, row of the first image of every pair.
            right: (P,) int64, row of the second.
            chunk: pairs in memory at a time, on the CPU.

        Returns:
            (P, feature_dim) float32, the same as `forward` of the stacked pairs up to rounding.
        """
        features = images.new_empty(len(left), self.feature_dim)
        chunk = chunk if images.device.type == "cpu" else max(chunk, _GPU_CHUNK)
        blocks = self._pooled_blocks(images)

        def fill(piece: tuple[Tensor, Tensor]) -> None:
            out, rows = piece
            x = self._prepare(images.index_select(0, rows.flatten()).unflatten(0, (len(rows), 2)).flatten(1, 2))
            for block in blocks:
                x = block(x)
            out.unflatten(1, (-1, x.shape[1])).copy_(x.flatten(2).transpose(1, 2))

        for_each(fill, zip(features.split(chunk), torch.stack([left, right], 1).split(chunk), strict=True))
        return features

    def _pooled_blocks(self, images: Tensor) -> list[Callable[[Tensor], Tensor]]:
        """Every block with its pooling, (N, C, H, W) -> (N, F, H // 2, W // 2); kept till weights change."""
        about = images.shape[1:], images.device
        weights = torch.cat([each.detach().flatten() for each in (*self.parameters(), *self.buffers())])
        if self._folded is None or self._folded[0] != about or not torch.equal(self._folded[1], weights):
            self._folded = about, weights, self._fold(images)
        return self._folded[2]

    def _fold(self, images: Tensor) -> list[Callable[[Tensor], Tensor]]:
        blocks = [cast(ResidualBlock, block).folded() for block in self.blocks]
        if blocks[0].activation:
            return [partial(_pooled_plainly, block.to(memory_format=torch.channels_last)) for block in blocks]
        height, width = (side * self.enlarge + 2 * _PADDING for side in images.shape[2:])
        channels = [2 * images.shape[1], *(block.out_channels for block in blocks)]
        return [
            PooledAffine(block.cpu().double(), inputs, (height >> depth, width >> depth), images.device)
            for depth, (block, inputs) in enumerate(zip(blocks, channels, strict=False))
        ]

    def _prepare(self, x: Tensor) -> Tensor:
        if self.pixel_max != 1.0:
            x = x * self.pixel_max
        if self.enlarge > 1:
            x = F.interpolate(x, scale_factor=float(self.enlarge), mode="bilinear")
        return F.pad(x, (_PADDING,) * 4)


def _pooled_plainly(block: nn.Module, x: Tensor) -> Tensor:
    return F.max_pool2d(block(x.contiguous(memory_format=torch.channels_last)), 2)
