"""Models of named parts."""

from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.backbones import HasViews, create_backbone, views_of
from siamese_mnist.parts.designs.base import DESIGNS, Design
from siamese_mnist.parts.heads import HEADS, Head
from siamese_mnist.parts.losses import MetricLoss, create_loss
from siamese_mnist.registry import options_of


def build_model(
    *,
    design: str,
    backbone: str,
    backbone_options: Mapping[str, Any],
    head: str,
    head_options: Mapping[str, Any],
    loss: str | None,
    loss_options: Mapping[str, Any],
    miner: str | None,
    miner_options: Mapping[str, Any],
    image_size: tuple[int, int],
    classes: int,
    channels: int = 1,
) -> Design:
    """An untrained model of named parts.

    Args:
        design: name in `DESIGNS`.
        backbone: name in `BACKBONES`.
        backbone_options: its options.
        head: name in `HEADS`, one that the design takes.
        head_options: its options.
        loss: name in `LOSSES` for heads that train with one, else None.
        loss_options: its options.
        miner: name in `MINERS` for losses that take one, else None.
        miner_options: its options.
        image_size: height and width of the images.
        classes: number of classes.
        channels: channels of an image, 1 or 3.

    Raises:
        UsageError: if a part is unknown, refuses an option, or does not fit the others.
    """
    kind, head_class = DESIGNS[design], HEADS[head]
    check_parts(design, head, loss, miner)

    def make(in_channels: int, size: tuple[int, int]) -> nn.Module:
        return create_backbone(backbone, in_channels=in_channels, image_size=size, **backbone_options)

    trunk = kind.make_backbone(make, channels, image_size)
    views = _option(head_class, head_options, "views") or 1
    if views != 1:
        if views != views_of(trunk):
            raise UsageError(
                f"head {head!r} compares {views} views of an image, but backbone {backbone!r} keeps {views_of(trunk)} "
                f"apart under design {design!r}; set views to {views_of(trunk)}"
            )
        cast(HasViews, trunk).keep_apart()
    context: dict[str, Any] = {"feature_dim": kind.head_features(trunk), "classes": classes, "loss": None}
    if loss:
        context["loss"] = _loss(head_class, head_options, loss, loss_options, miner, miner_options, classes)
    return kind(trunk, HEADS.make(head, head_options, **{name: context[name] for name in head_class.given}))


def check_parts(design: str, head: str, loss: str | None, miner: str | None) -> None:
    """Refuses parts that do not belong together.

    Raises:
        UsageError: naming the part that does not fit, and those that would.
    """
    if not issubclass(HEADS[head], DESIGNS[design].head_base):
        fitting = ", ".join(part.name for part in HEADS.parts() if issubclass(part.value, DESIGNS[design].head_base))
        raise UsageError(f"head {head!r} does not fit design {design!r}; use {fitting}")
    if loss and not HEADS[head].losses:
        raise UsageError(f"head {head!r} trains with its own loss; leave out loss {loss!r}")
    if miner and not loss:
        raise UsageError(f"miner {miner!r} has no effect without a loss; name one with --loss")


def _loss(
    head: type[Head],
    head_options: Mapping[str, Any],
    loss: str,
    loss_options: Mapping[str, Any],
    miner: str | None,
    miner_options: Mapping[str, Any],
    classes: int,
) -> MetricLoss:
    embedding_dim = _option(head, head_options, "embedding_dim")
    return create_loss(loss, loss_options, miner, miner_options, classes=classes, embedding_dim=embedding_dim)


def _option(part: type[Head], options: Mapping[str, Any], name: str) -> Any:
    """An option of a part, its default where it is not set, or None where the part has none of that name."""
    return options.get(name, options_of(part).get(name))
