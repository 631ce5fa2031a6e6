"""A data set of one's own: folders of image files, one folder a class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from siamese_mnist.data.images import DATASETS, DataError, Dataset, LabeledImages
from siamese_mnist.data.normalisation import ImageError, normalise, read_image, to_grey

Reader = Callable[[Path], NDArray[np.uint8]]


@DATASETS.register("folder")
def load_folder(root: Path, download: bool = False) -> Dataset:  # noqa: ARG001
    """Your own images: DATA_DIR/train/CLASS/*.png and DATA_DIR/test/CLASS/*.png, all of one size.

    Any format that Pillow reads, turned to 8-bit grey. Classes are the folder names of `train`, in sorted order.

    Args:
        root: folder that holds `train` and `test`.
        download: not used; every loader takes it.

    Raises:
        DataError: if a folder is missing or empty, an image is unreadable, or sizes or classes differ.
    """
    return _load(root, lambda path: np.round(to_grey(read_image(path)) * 255).astype(np.uint8))


@DATASETS.register("folder-normalised")
def load_normalised_folder(root: Path, download: bool = False) -> Dataset:  # noqa: ARG001
    """Your own images as `folder`, but of any size, light on dark or dark on light: brought to MNIST's convention.

    This is what `siamese-mnist predict` does with the images that it is asked about, see `normalisation.normalise`.

    Args:
        root: folder that holds `train` and `test`.
        download: not used; every loader takes it.

    Raises:
        DataError: if a folder is missing or empty, an image is unreadable or has no ink, or classes differ.
    """
    return _load(root, lambda path: normalise(read_image(path)))


def _load(root: Path, read: Reader) -> Dataset:
    classes = _class_names(root / "train")
    unknown = sorted(set(_class_names(root / "test")) - set(classes))
    if unknown:
        raise DataError(f"{root / 'test'}: class {unknown[0]!r} has no folder in {root / 'train'}; add it or remove it")
    train, test = (_read_split(root / split, classes, read) for split in ("train", "test"))
    return Dataset(train, test, classes)


def _class_names(split: Path) -> tuple[str, ...]:
    if not split.is_dir():
        raise DataError(
            f"{split} is not a folder; put one folder of images per class there (--data-dir names its parent)"
        )
    names = tuple(sorted(path.name for path in split.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not names:
        raise DataError(f"{split} has no class folders; put one folder of images per class there")
    return names


def _read_split(split: Path, classes: tuple[str, ...], read: Reader) -> LabeledImages:
    images: list[NDArray[np.uint8]] = []
    labels = []
    for label, name in enumerate(classes):
        folder = split / name
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.name.startswith("."):
                continue
            try:
                pixels = read(path)
            except ImageError as error:
                raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
            if images and pixels.shape != images[0].shape:
                height, width = images[0].shape
                raise DataError(
                    f"{path} is {pixels.shape[1]} x {pixels.shape[0]}, the images before it {width} x {height}; "
                    "bring all to one size"
                )
            images.append(pixels)
            labels.append(label)
    if not images:
        raise DataError(f"{split} has no images; put image files into its class folders")
    return LabeledImages(torch.from_numpy(np.stack(images)), torch.tensor(labels))
