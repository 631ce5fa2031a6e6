"""A modern small convolutional trunk, single or as an ensemble."""

import copy
import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.backbones.base import BACKBONES, HasMembers, HasPlaces, HasViews
from siamese_mnist.parts.backbones.halves import halved
from siamese_mnist.parts.backbones.parallel import side_by_side
from siamese_mnist.system.threads import cores

_MEAN, _DEVIATION = 0.13, 0.31  # of MNIST's pixels in [0, 1]
_FEWEST = 2  # images that have statistics at a single place
_SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))  # rows, columns


def _turned(degrees: float, shear: float) -> tuple[tuple[float, float], tuple[float, float]]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (cos, shear * cos - sin), (sin, shear * sin + cos)


_LEFT, _RIGHT = (tuple(_turned(turn, shear) for shear in (0.0, -0.2, 0.2)) for turn in (-12, 12))
_TURNS = 3  # upright, and turned to either side
_UPRIGHT = (
    *(_turned(0, shear) for shear in (-0.2, 0.2)),
    *(((x, 0.0), (0.0, y)) for x, y in ((0.85, 1.0), (1.15, 1.0), (1.0, 0.85), (1.0, 1.15))),
)


@BACKBONES.register("convnet")
class ConvNet(nn.Module, HasPlaces, HasViews, HasMembers):
    """Four convolutions with batch norm and ReLU, a 5x5 stem of stride 2, global mean; single or as an ensemble.

    Args:
        in_channels: channels of the input.
        image_size: height and width of the input.
        width: channels of the stem; the next stages have twice and four times as many.
        members: independent networks whose features are concatenated; a head with as many members averages them.
        shifts: whether features are averaged over the image and its four shifts by one pixel, in evaluation.
        deep: whether the first and the last stage have a second convolution, too; six in all.
        fine: whether the stem is three 3x3 convolutions, two of them at the full resolution with half the channels.
        slants: whether features are averaged over the image and twelve turned, slanted or scaled views, in evaluation;
            kept apart, they are three means, of the upright ones and of those turned by 12 degrees to either side.
        halves: whether both halves of a training batch are computed side by side, each normalised by its own
            statistics (ghost batch norm, Hoffer et al. 2017, arXiv 1705.08741); the same on any number of cores.

    Raises:
        UsageError: if an option is out of range or the images are too small.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int] = (28, 28),
        *,
        width: int = 32,
        members: int = 1,
        shifts: bool = False,
        deep: bool = False,
        fine: bool = False,
        slants: bool = False,
        halves: bool = False,
    ) -> None:
        super().__init__()
        if width < 1 or members < 1:
            raise UsageError(f"width and members must be >= 1, got {width} and {members}")
        if min(image_size) < 8:
            raise UsageError(f"images of {image_size[0]} x {image_size[1]} are too small for convnet; it needs 8 x 8")
        self.shifts = shifts
        self.slants = slants
        self.views = _TURNS if slants else 1
        self.apart = False
        self.halves = halves
        self.networks = members
        self.members = nn.ModuleList(_member(in_channels, width, deep, fine) for _ in range(members))
        self.feature_dim = 4 * width * members
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) in [0, 1] to features (N, feature_dim)."""
        x = _standardised(x)
        if self.training:
            return self._features(x).repeat(1, self.views if self.apart else 1)
        return torch.cat([torch.stack([self._features(view) for view in views]).mean(0) for views in self._views(x)], 1)

    def keep_apart(self) -> None:
        """Lets the features of upright views and of those turned to either side stand side by side from now on."""
        self.apart = True
        self.feature_dim *= self.views

    def places(self, x: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) in [0, 1] to the channels at every place of the last layer: (N, K, F)."""
        x = _standardised(x)
        return torch.cat([member(x).flatten(2) for member in self.members], 1).transpose(1, 2)

    def _views(self, x: Tensor) -> list[list[Tensor]]:
        """Views of standardised images whose features are averaged, in one list or apart by turn."""
        upright = [x.roll(shift, (2, 3)) for shift in (_SHIFTS if self.shifts else _SHIFTS[:1])]
        if not self.slants:
            return [upright]
        upright += [_slanted(x, slant) for slant in _UPRIGHT]
        turned = [[_slanted(x, slant) for slant in side] for side in (_LEFT, _RIGHT)]
        return [upright, *turned] if self.apart else [sum(turned, upright)]

    def member(self, number: int) -> "ConvNet":
        """A backbone of one of the networks alone, which shares its weights."""
        alone = copy.copy(self)
        alone._modules = {"members": nn.ModuleList([self.members[number]])}
        alone.networks, alone.feature_dim = 1, self.feature_dim // self.networks
        return alone

    def shown_features(self, x: Tensor, shown: Tensor) -> Tensor:
        """Features (N, feature_dim) of the images (N, in_channels, H, W) that are `shown` (N, members), zeros else."""
        x = _standardised(x)
        rows = [each.nonzero().squeeze(1) for each in shown.unbind(1)]
        parts = self._each([x[some].contiguous(memory_format=torch.channels_last) for some in rows])
        placed = [
            part.new_zeros(len(x), part.shape[1]).index_copy(0, some, part)
            for part, some in zip(parts, rows, strict=True)
        ]
        return torch.cat(placed, 1).repeat(1, self.views if self.apart else 1)

    def _features(self, x: Tensor) -> Tensor:
        return torch.cat(self._each([x] * len(self.members)), 1)

    def _each(self, seen: Sequence[Tensor]) -> list[Tensor] | tuple[Tensor, ...]:
        """Each member's features of the standardised images that it sees."""
        parameters = list(self.members.parameters())
        plain = seen[0].requires_grad or not torch.is_grad_enabled() or not all(p.requires_grad for p in parameters)
        beside = self.training and not plain and seen[0].device.type == "cpu"
        members = [cast(nn.Sequential, member) for member in self.members]
        if self.training and self.halves and min(map(len, seen)) >= 2 * _FEWEST:
            return halved(members, seen, beside=beside)
        pairs = list(zip(members, seen, strict=True))
        if len(members) == 1 or cores() == 1 or not beside:
            return [_mean(pair) for pair in pairs]
        return side_by_side(_mean, pairs, [list(member.parameters()) for member in members])


def _mean(pair: tuple[nn.Module, Tensor]) -> Tensor:
    member, x = pair
    return cast(Tensor, member(x)).mean((2, 3))


def _standardised(x: Tensor) -> Tensor:
    return (x - _MEAN).div(_DEVIATION).contiguous(memory_format=torch.channels_last)


def _slanted(x: Tensor, slant: tuple[tuple[float, float], tuple[float, float]]) -> Tensor:
    """Standardised images, each seen through a linear map of the plane about its middle."""
    matrix = torch.tensor([[[*row, 0.0] for row in slant]], device=x.device)
    grid = F.affine_grid(matrix, [1, *x.shape[1:]], align_corners=False).expand(x.shape[0], -1, -1, -1)
    ground = -_MEAN / _DEVIATION
    return (F.grid_sample(x - ground, grid.to(x.dtype), align_corners=False) + ground).contiguous(
        memory_format=torch.channels_last
    )


def _member(in_channels: int, width: int, deep: bool, fine: bool) -> nn.Sequential:
    if fine:
        stem = _fine_stem(in_channels, width, pooled=not deep)
    else:
        stem = _convolution(in_channels, width, 5, stride=2, pooled=not deep)
    return nn.Sequential(
        *stem,
        *(_convolution(width, width, 3, pooled=True) if deep else ()),
        *_convolution(width, 2 * width, 3),
        *_convolution(2 * width, 2 * width, 3, pooled=True),
        *_convolution(2 * width, 4 * width, 3),
        *(_convolution(4 * width, 4 * width, 3) if deep else ()),
    )


def _fine_stem(in_channels: int, width: int, pooled: bool) -> list[nn.Module]:
    half = max(1, width // 2)
    return [
        *_convolution(in_channels, half, 3),
        *_convolution(half, half, 3, pooled=True),
        *_convolution(half, width, 3, pooled=pooled),
    ]


def _convolution(channels: int, filters: int, kernel: int, *, stride: int = 1, pooled: bool = False) -> list[nn.Module]:
    """Convolution, batch norm, ReLU; the greatest of four places is the same before ReLU, which then costs less."""
    return [
        nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(filters),
        *((nn.MaxPool2d(2),) if pooled else ()),
        nn.ReLU(),
    ]
