"""Labelled images in memory: the form in which every data set reaches the rest of the library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from siamese_mnist import kinds
from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class DataError(UsageError):
    """A data set that is missing, damaged or of the wrong shape; the message says what to do."""


class LabeledImages(NamedTuple):
    """Images in grey or colour with class labels and, where known, groups that make images alike."""

    images: Tensor  # (N, C, H, W) uint8, C 1 or 3; grey ones are light strokes on dark ground
    labels: Tensor  # (N,) int64, 0 .. classes - 1
    groups: Tensor | None = None  # (N,) int64, >= 0: who wrote it, or what else makes images alike; one numbering

    def select(self, rows: Tensor | slice) -> LabeledImages:
        """The images of some rows: int64 (M,), bool (N,) or a slice."""
        groups = None if self.groups is None else self.groups[rows]
        return LabeledImages(self.images[rows], self.labels[rows], groups)

    def to(self, device: str | torch.device) -> LabeledImages:
        """The same on a device."""
        groups = None if self.groups is None else self.groups.to(device)
        return LabeledImages(self.images.to(device), self.labels.to(device), groups)


@dataclass(frozen=True)
class Dataset:
    """A training and a test set of the same classes, image size and channels: `train, test, classes = dataset`.

    Attributes:
        train: training images.
        test: test images.
        classes: class names, by label.
        preprocessing: how a picture file becomes an image like these; models trained on them keep to it.
    """

    train: LabeledImages
    test: LabeledImages
    classes: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing.PLAIN

    def __iter__(self) -> Iterator[Any]:
        return iter((self.train, self.test, self.classes))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        height, width = self.train.images.shape[-2:]
        return height, width

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for red, green and blue."""
        return self.train.images.shape[1]


DATASETS: Registry[Any] = kinds.DATASETS
"""Loaders by name: `loader(root: Path, download: bool, **options) -> Dataset`, options being keyword-only."""


def checked(dataset: Dataset, source: str) -> Dataset:
    """The data set, if its arrays have the shapes and types that `LabeledImages` promises.

    Grey images without an axis for channels, (N, H, W), get one.

    Raises:
        DataError: naming `source` and what is wrong.
    """
    train, test = (
        _checked_part(part, len(dataset.classes), source, kind)
        for kind, part in (("training", dataset.train), ("test", dataset.test))
    )
    if train.images.shape[2:] != test.images.shape[2:]:
        raise DataError(f"{source}: training and test images differ in size; make them the same")
    if train.images.shape[1] != test.images.shape[1]:
        raise DataError(f"{source}: of training and test images one is grey, the other in colour; make them the same")
    try:
        preprocessing = Preprocessing(dataset.preprocessing)
        preprocessing.check(train.images.shape[1])
    except UsageError as error:
        raise DataError(f"{source}: {error}") from error
    return Dataset(train, test, dataset.classes, preprocessing)


def _checked_part(part: LabeledImages, classes: int, source: str, kind: str) -> LabeledImages:
    import torch

    images, labels, groups = LabeledImages(*part)
    size = len(images)
    if images.dtype != torch.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[1] not in (1, 3)):
        raise DataError(
            f"{source}: {kind} images must be uint8 (N, C, H, W) with C 1 or 3, got "
            f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
        )
    if size == 0 or size != len(labels):
        raise DataError(f"{source}: {size} {kind} images but {len(labels)} labels; both must be equal, > 0")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{source}: {kind} labels must lie in 0..{classes - 1}")
    if groups is not None and (groups.dtype != torch.int64 or groups.shape != labels.shape or groups.min() < 0):
        raise DataError(
            f"{source}: {kind} groups must be int64 ({size},), >= 0, got "
            f"{str(groups.dtype).removeprefix('torch.')} {tuple(groups.shape)}"
        )
    return LabeledImages(images.unsqueeze(1) if images.ndim == 3 else images, labels, groups)
