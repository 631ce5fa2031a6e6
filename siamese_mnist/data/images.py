"""Labelled images in memory: the form in which every data set reaches the rest of the library."""

from typing import Any, NamedTuple

from torch import Tensor

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Registry


class DataError(UsageError):
    """A data set that is missing, damaged or of the wrong shape; the message says what to do."""


class LabeledImages(NamedTuple):
    """Grey images with class labels."""

    images: Tensor  # (N, H, W) uint8, light strokes on dark ground
    labels: Tensor  # (N,) int64, 0 .. classes - 1


class Dataset(NamedTuple):
    """A training and a test set of the same classes and image size."""

    train: LabeledImages
    test: LabeledImages
    classes: tuple[str, ...]  # class names, by label

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        height, width = self.train.images.shape[1:]
        return height, width


DATASETS: Registry[Any] = Registry("data set", "siamese_mnist.datasets")
"""Loaders by name: `loader(root: Path, download: bool) -> Dataset`."""


def checked(dataset: Dataset, source: str) -> Dataset:
    """Returns `dataset` if its arrays have the shapes and types that `LabeledImages` promises.

    Raises:
        DataError: naming `source` and what is wrong.
    """
    for split, (images, labels) in (("training", dataset.train), ("test", dataset.test)):
        if images.ndim != 3 or str(images.dtype) != "torch.uint8":
            raise DataError(
                f"{source}: {split} images must be uint8 (N, H, W), got {images.dtype} {tuple(images.shape)}"
            )
        if len(images) == 0 or len(images) != len(labels):
            raise DataError(f"{source}: {len(images)} {split} images but {len(labels)} labels; both must be equal, > 0")
        if labels.min() < 0 or labels.max() >= len(dataset.classes):
            raise DataError(f"{source}: {split} labels must lie in 0..{len(dataset.classes) - 1}")
    if dataset.train.images.shape[1:] != dataset.test.images.shape[1:]:
        raise DataError(f"{source}: training and test images differ in size; make them the same")
    return dataset
