"""A data set of one's own: folders of image files, one folder a class."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from siamese_mnist.data.images import DATASETS, DataError, Dataset, LabeledImages
from siamese_mnist.data.normalisation import ImageError, read_image
from siamese_mnist.data.picture import pixels, read_size
from siamese_mnist.data.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]  # (C, H, W)
Reader = Callable[[Path], Pixels]

_BYTES_PER_PIXEL = 5  # one as it is kept, four as the training takes it


@DATASETS.register("folder")
def load_folder(
    root: Path,
    download: bool = False,  # noqa: ARG001
    *,
    channels: int | str = "auto",
    size: int | str | None = None,
) -> Dataset:
    """Your own images: DATA_DIR/train/CLASS/*.png and DATA_DIR/test/CLASS/*.png, in grey or colour.

    Any format that Pillow reads, 8 bits a channel. Classes are the folder names of `train`, in sorted order.

    Args:
        root: folder that holds `train` and `test`.
        download: not used; every loader takes it.
        channels: 1 turns all to grey, 3 to colour; "auto" is 3 where any image has a colour, else 1.
        size: HEIGHTxWIDTH, or one number for both, to resize all images to; without, they must have one size.

    Raises:
        UsageError: if an option has another value.
        DataError: if a folder is missing or empty, an image is unreadable, sizes or classes differ, or the images do
            not fit into memory.
    """
    if str(channels) not in ("auto", "1", "3"):
        raise DataError(f"channels must be auto, 1 or 3, got {channels!r}")
    wanted = None if size is None else read_size(size)
    colour = None if channels == "auto" else int(channels) == 3
    return _load(root, lambda path: pixels(read_image(path), colour=colour, size=wanted), Preprocessing.PLAIN)


@DATASETS.register("folder-normalised")
def load_normalised_folder(
    root: Path,
    download: bool = False,  # noqa: ARG001
    *,
    size: int | str = 28,
) -> Dataset:
    """Your own images as `folder`, but of any size, light on dark or dark on light: brought to MNIST's convention.

    `siamese-mnist predict` does the same with what a model trained on them is asked about, see
    `normalisation.normalise`.

    Args:
        root: folder that holds `train` and `test`.
        download: not used; every loader takes it.
        size: HEIGHTxWIDTH of the field, or one number for both.

    Raises:
        UsageError: if `size` has another value.
        DataError: if a folder is missing or empty, an image is unreadable or has no ink, or classes differ.
    """
    field = read_size(size)
    return _load(root, lambda path: Preprocessing.MNIST.read(path, size=field), Preprocessing.MNIST)


def _load(root: Path, read: Reader, preprocessing: Preprocessing) -> Dataset:
    classes = _class_names(root / "train")
    unknown = sorted(set(_class_names(root / "test")) - set(classes))
    if unknown:
        raise DataError(f"{root / 'test'}: class {unknown[0]!r} has no folder in {root / 'train'}; add it or remove it")
    train, test = (_read_split(root / split, classes, read) for split in ("train", "test"))
    if train.images.shape[1] != test.images.shape[1]:  # one picture in colour gives all of them three channels
        train, test = (part._replace(images=part.images.expand(-1, 3, -1, -1).contiguous()) for part in (train, test))
    return Dataset(train, test, classes, preprocessing)


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
    files = [(path, label) for label, name in enumerate(classes) for path in _files(split / name)]
    if not files:
        raise DataError(f"{split} has no images; put image files into its class folders")
    images = np.empty((0, 1, 0, 0), np.uint8)
    for row, (path, _) in enumerate(files):
        try:
            image = read(path)
        except ImageError as error:
            raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
        if row == 0:
            _check_memory(split, len(files), image.shape)
            images = np.empty((len(files), *image.shape), np.uint8)
        if image.shape[1:] != images.shape[2:]:
            height, width = images.shape[2:]
            raise DataError(
                f"{path} is {image.shape[2]} x {image.shape[1]}, the images before it {width} x {height}; bring all to "
                f"one size, or have them resized with the option size={height}x{width}"
            )
        if image.shape[0] > images.shape[1]:
            _check_memory(split, len(files), image.shape)
            images = images.repeat(3, 1)
        images[row] = image
    return LabeledImages(torch.from_numpy(images), torch.tensor([label for _, label in files]))


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _check_memory(split: Path, count: int, shape: tuple[int, ...]) -> None:
    """Refuses images that would not fit, as an operating system kills without a word."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # no such question here
        return
    needed = _BYTES_PER_PIXEL * count * int(np.prod(shape))
    if needed > memory:
        channels, height, width = shape
        raise DataError(
            f"{split}: {count} images of {width} x {height} in {channels} channel(s) need {needed / 2**30:.1f} GiB of "
            f"memory, this machine has {memory / 2**30:.1f}; set the option size to less, or take fewer"
        )
