"""The backbones by name.

A backbone is an `nn.Module` that maps images, float (N, C, H, W) in [0, 1], to features (N, feature_dim), and has the
attribute `feature_dim`. One that can share work between pairs may add `pair_features` (see `ReportCNN`).
"""

from typing import Any

from torch import nn

from siamese_mnist.registry import Registry

BACKBONES: Registry[Any] = Registry("backbone", "siamese_mnist.backbones")
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
