"""Classification models of torchvision as backbones, fitted to small grey images."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.backbones.base import BACKBONES

_FIXED_SIZE = ("maxvit", "vit")  # families whose position codes fix the input's size
_LARGEST = 299


@BACKBONES.register("torchvision")
class TorchvisionBackbone(nn.Module):
    """Any torchvision classification model without its last layer, as in "torchvision:resnet18".

    The first convolution takes `in_channels` channels, with stride 1 where its windows overlap, as usual for small
    images. Images that are still too small for the model are enlarged bilinearly, by as little as it takes. Weights
    are random: nothing is downloaded.

    Args:
        in_channels: channels of the input.
        image_size: height and width of the input.
        model: name of the model, as torchvision lists it.

    Raises:
        UsageError: if torchvision has no such classification model.
    """

    def __init__(self, in_channels: int, image_size: tuple[int, int] = (28, 28), *, model: str = "resnet18") -> None:
        super().__init__()
        from torchvision import models

        known = models.list_models(module=models)
        if model not in known:
            raise UsageError(f"torchvision has no classification model {model!r}; it has {', '.join(known)}")
        options: dict[str, Any] = (
            {"aux_logits": False, "init_weights": False} if model in ("googlenet", "inception_v3") else {}
        )
        self.trunk = models.get_model(model, weights=None, **options)
        fixed = model.startswith(_FIXED_SIZE)
        _fit_stem(self.trunk, in_channels, keep_stride=fixed)
        self.feature_dim = _drop_last_layer(self.trunk)
        self.size = (224, 224) if fixed else self._smallest_size(in_channels, image_size)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, in_channels, H, W) in [0, 1] to features (N, feature_dim)."""
        if x.shape[2:] != self.size:
            x = F.interpolate(x, size=self.size, mode="bilinear")
        return cast(Tensor, self.trunk(x))

    @torch.no_grad()
    def _smallest_size(self, in_channels: int, image_size: tuple[int, int]) -> tuple[int, int]:
        self.eval()
        height, width = image_size
        while max(height, width) < _LARGEST:
            try:
                self.trunk(torch.zeros(1, in_channels, height, width))
                break
            except RuntimeError:
                height, width = height * 2, width * 2
        self.train()
        return height, width


def _fit_stem(trunk: nn.Module, in_channels: int, *, keep_stride: bool) -> None:
    name, old = next((name, each) for name, each in trunk.named_modules() if isinstance(each, nn.Conv2d))
    overlapping = old.kernel_size[0] > old.stride[0]  # else the stem cuts patches, and every pixel counts once
    stem = nn.Conv2d(
        in_channels,
        old.out_channels,
        cast(Any, old.kernel_size),
        1 if overlapping and not keep_stride else cast(Any, old.stride),
        cast(Any, old.padding),
        bias=old.bias is not None,
    )
    trunk.set_submodule(name, stem)


def _drop_last_layer(trunk: nn.Module) -> int:
    """Replaces the last layer with an identity and returns the number of features it read."""
    linear = [(name, each) for name, each in trunk.named_modules() if isinstance(each, nn.Linear)]
    if linear:
        name, last = linear[-1]
        trunk.set_submodule(name, nn.Identity())
        return last.in_features
    name, last_conv = [(name, each) for name, each in trunk.named_modules() if isinstance(each, nn.Conv2d)][-1]
    trunk.set_submodule(name, nn.Identity())
    return last_conv.in_channels
