"""The backbones by name.

A backbone is an `nn.Module` that maps images, float (N, C, H, W) in [0, 1], to features (N, feature_dim), and has the
attribute `feature_dim`. One that can do more derives from `SharesPairs`, `HasPlaces`, `HasViews` or
`HasMembers` too.
"""

from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from torch import Tensor, nn

from siamese_mnist import kinds
from siamese_mnist.registry import Registry


class SharesPairs(ABC):
    """A backbone that computes the features of many stacked pairs of few images faster than one pass per pair."""

    @abstractmethod
    def pair_features(self, images: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Features of stacked pairs, in evaluation mode.

        Args:
            images: (N, C, H, W) in [0, 1].
            left: (P,) int64, row of the first image of every pair.
            right: (P,) int64, row of the second.

        Returns:
            (P, feature_dim) float32, the same as `forward` of the stacked pairs up to rounding.
        """

    def twin_features(self, images: Tensor) -> Tensor:
        """Features (N, feature_dim) of images (N, C, H, W) in [0, 1], each stacked with itself, as from `forward`."""
        return cast(Tensor, cast(nn.Module, self)(torch.cat([images, images], 1)))


class HasPlaces(ABC):
    """A backbone that knows what it sees where."""

    @abstractmethod
    def places(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W) in [0, 1] to what it sees at K places: (N, K, F)."""


class HasViews(ABC):
    """A backbone that may look at an image in several ways once it is trained, and can keep apart what it sees.

    Attributes:
        views: V, how many views it can keep apart, >= 1; in training there is one.
        feature_dim: length of its features, V times as many once views are kept apart.
    """

    views: int
    feature_dim: int

    @abstractmethod
    def keep_apart(self) -> None:
        """Lets the features of the V views stand side by side from now on: (N, V * D) where they were (N, D).

        In training the features of the image itself take the place of all.
        """


class HasMembers(ABC):
    """A backbone of several networks whose features stand side by side, the first one's first.

    Attributes:
        networks: M, how many they are.
        feature_dim: length of the features, as many of each network.
    """

    networks: int
    feature_dim: int

    @abstractmethod
    def member(self, number: int) -> nn.Module:
        """A backbone of one of the networks alone, which shares its weights."""

    @abstractmethod
    def shown_features(self, x: Tensor, shown: Tensor) -> Tensor:
        """Features in training, each network's of the images that are shown to it, zeros in place of the others'.

        Args:
            x: images (N, C, H, W) in [0, 1].
            shown: (N, M) bool, for each network; two or more images for each.

        Returns:
            (N, feature_dim).
        """


def views_of(backbone: nn.Module) -> int:
    """How many views a backbone can keep apart, >= 1."""
    return backbone.views if isinstance(backbone, HasViews) else 1


BACKBONES: Registry[Any] = kinds.BACKBONES
"""Classes by name: `backbone(in_channels=..., image_size=(H, W), **options)` makes a module with `feature_dim`."""


def create_backbone(
    name: str, *, in_channels: int = 1, image_size: tuple[int, int] = (28, 28), **options: Any
) -> nn.Module:
    """Makes a registered backbone.

    Args:
        name: a name in `BACKBONES`; "family:model" picks one model of a family, as in "torchvision:resnet18".
        in_channels: channels of the input: those of an image, or twice as many for stacked pairs.
        image_size: height and width of the input in pixels.
        **options: the backbone's own options, as `siamese-mnist list backbones` shows them.

    Returns:
        Module float (N, in_channels, H, W) -> (N, feature_dim).

    Raises:
        UnknownPartError: if no backbone has that name.
        UsageError: if an option has a value that the backbone refuses.
    """
    family, _, model = name.partition(":")
    if model:
        options["model"] = model
    backbone: nn.Module = BACKBONES.make(family, options, in_channels=in_channels, image_size=image_size)
    return backbone
