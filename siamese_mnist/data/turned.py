"""Classes made of others: an image turned by a quarter of a circle, or mirrored, shows another character."""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from siamese_mnist.data.images import LabeledImages
from siamese_mnist.data.splits import SplitDataset
from siamese_mnist.errors import UsageError

ExtraClasses = Literal["rotated", "rotated+mirrored"]


def with_extra_classes(dataset: SplitDataset, extra: ExtraClasses | None) -> SplitDataset:
    """The data set with more classes to train on; validation and test images stay as they are.

    Args:
        dataset: what is extended; its images are square.
        extra: "rotated" for the images turned by 90, 180 and 270 degrees, which makes four times as many classes;
            "rotated+mirrored" for these, and all four mirrored; None for none.

    Raises:
        UsageError: if the images are not square.
    """
    if extra is None:
        return dataset
    height, width = dataset.image_size
    if height != width:
        raise UsageError(f"extra_classes turn the images, so these have to be square; they are {height} x {width}")
    images, labels, groups = dataset.train
    views = _views(images, mirrored="mirrored" in extra)
    count = len(dataset.classes)
    return replace(
        dataset,
        train=LabeledImages(
            torch.cat(list(views.values())),
            torch.cat([labels + number * count for number in range(len(views))]),
            None if groups is None else groups.repeat(len(views)),
        ),
        classes=tuple(f"{name}{view}" for view in views for name in dataset.classes),
    )


def _views(images: Tensor, *, mirrored: bool) -> dict[str, Tensor]:
    """Images (N, C, H, W) by what is done to them, as it is added to the name of their class."""
    turned = {f" turned by {90 * number}" if number else "": images.rot90(number, (2, 3)) for number in range(4)}
    flipped = {f"{name} mirrored": each.flip(3) for name, each in turned.items()}
    return turned | flipped if mirrored else turned
