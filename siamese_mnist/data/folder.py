"""A data set of one's own: folders of image files, one folder a class."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data.images import DATASETS, DataError, Dataset, LabeledImages
from siamese_mnist.data.normalisation import ImageError, read_image
from siamese_mnist.data.picture import pixels, read_size
from siamese_mnist.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]  # (C, H, W)
Reader = Callable[[Path], Pixels]
Files = Sequence[tuple[Path, int]]  # with their labels

_BYTES_PER_PIXEL = 5  # one as it is kept, four as the training takes it
_TESTED = 5  # of the images of a class one in so many tests, where no folder says which


@DATASETS.register("folder")
def load_folder(
    root: Path,
    download: bool = False,  # noqa: ARG001
    *,
    channels: int | str = "auto",
    size: int | str | None = None,
    groups: str | None = None,
) -> Dataset:
    """Your own images: DATA_DIR/train/CLASS/*.png and DATA_DIR/test/CLASS/*.png, or DATA_DIR/CLASS/*.png.

    Any format that Pillow reads, 8 bits a channel, in grey or colour. Classes are the folder names, in sorted order.
    Without the folders `train` and `test`, a fifth of every class's images tests, the same ones every time.

    Args:
        root: folder that holds `train` and `test`, or the classes.
        download: not used; every loader takes it.
        channels: 1 turns all to grey, 3 to colour; "auto" is 3 where any image has a colour, else 1.
        size: HEIGHTxWIDTH, or one number for both, to resize all images to; without, they must have one size.
        groups: CSV file in DATA_DIR with the columns file,group: which images are alike, such as who wrote them.

    Raises:
        UsageError: if an option has another value.
        DataError: if a folder is missing or empty, an image is unreadable or has no group, sizes or classes differ, or
            the images do not fit into memory.
    """
    if str(channels) not in ("auto", "1", "3"):
        raise DataError(f"channels must be auto, 1 or 3, got {channels!r}")
    wanted = None if size is None else read_size(size)
    colour = None if channels == "auto" else int(channels) == 3
    return _load(root, lambda path: pixels(read_image(path), colour=colour, size=wanted), Preprocessing.PLAIN, groups)


@DATASETS.register("folder-normalised")
def load_normalised_folder(
    root: Path,
    download: bool = False,  # noqa: ARG001
    *,
    size: int | str = 28,
    groups: str | None = None,
) -> Dataset:
    """Your own images as `folder`, but of any size, light on dark or dark on light: brought to MNIST's convention.

    `siamese-mnist predict` does the same with what a model trained on them is asked about, see
    `normalisation.normalise`.

    Args:
        root: folder that holds `train` and `test`, or the classes.
        download: not used; every loader takes it.
        size: HEIGHTxWIDTH of the field, or one number for both.
        groups: as of `folder`.

    Raises:
        UsageError: if `size` has another value.
        DataError: if a folder is missing or empty, an image is unreadable, has no ink or no group, or classes differ.
    """
    field = read_size(size)
    return _load(root, lambda path: Preprocessing.MNIST.read(path, size=field), Preprocessing.MNIST, groups)


def _load(root: Path, read: Reader, preprocessing: Preprocessing, groups: str | None) -> Dataset:
    if any((root / split).exists() for split in ("train", "test")):
        classes = _class_names(root / "train")
        unknown = sorted(set(_class_names(root / "test")) - set(classes))
        if unknown:
            raise DataError(
                f"{root / 'test'}: class {unknown[0]!r} has no folder in {root / 'train'}; add it or remove it"
            )
        listed = [(root / split, _labelled(root / split, classes)) for split in ("train", "test")]
    else:
        classes = _class_names(root)
        listed = [(root, files) for files in _divided(_labelled(root, classes))]
    train, test = (_read_part(place, files, read) for place, files in listed)
    if train.images.shape[1] != test.images.shape[1]:  # one picture in colour gives all of them three channels
        train, test = (part._replace(images=part.images.expand(-1, 3, -1, -1).contiguous()) for part in (train, test))
    if groups is not None:
        numbered = _group_numbers(root, root / groups, [[path for path, _ in files] for _, files in listed])
        train, test = (part._replace(groups=each) for part, each in zip((train, test), numbered, strict=True))
    return Dataset(train, test, classes, preprocessing)


def _class_names(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder; put one folder of images per class there, or name another place with --data-dir"
        )
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise DataError(f"{folder} has no class folders; put one folder of images per class there")
    return tuple(names)


def _labelled(folder: Path, classes: tuple[str, ...]) -> Files:
    return [(path, label) for label, name in enumerate(classes) for path in _files(folder / name)]


def _divided(files: Files) -> tuple[Files, Files]:
    """Files that train and files that test; of a class with fewer than three images, all train."""
    import torch

    from siamese_mnist.data.folds import by_label

    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    sizes = torch.bincount(labels, minlength=1)
    tested = (sizes / _TESTED).round().long().clamp(min=1).where(sizes > 2, 0)
    order = by_label(labels)
    chosen = torch.zeros(len(files), dtype=torch.bool)
    chosen[order] = torch.cat([torch.arange(size) < number for size, number in zip(sizes, tested, strict=True)])
    flags = chosen.tolist()
    train, test = ([each for each, flag in zip(files, flags, strict=True) if flag == kind] for kind in (False, True))
    return train, test


def _group_numbers(root: Path, table: Path, parts: Sequence[Sequence[Path]]) -> list[Tensor]:
    """The groups of every part's files, out of a CSV file, in one numbering."""
    import torch

    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = sorted({"file", "group"} - set(reader.fieldnames or ()))
            if missing:
                raise DataError(f"{table} has no column {missing[0]!r}; its first line must name file and group")
            named = {root / (row["file"] or ""): row["group"] for row in reader}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{table} cannot be read ({reason}); give a CSV file with the columns file,group") from error
    for path in (path for part in parts for path in part if not named.get(path)):
        raise DataError(f"{table} gives no group of {path}; add a row with {path.relative_to(root)} and its group")
    numbers = {name: number for number, name in enumerate(sorted({named[path] for part in parts for path in part}))}
    return [torch.tensor([numbers[named[path]] for path in part]) for part in parts]


def _read_part(place: Path, files: Files, read: Reader) -> LabeledImages:
    import torch

    if not files:
        raise DataError(
            f"{place} has no images to train or to test on; put image files into its class folders, at least three of "
            "a class where they are to be divided"
        )
    images = np.empty((0, 1, 0, 0), np.uint8)
    for row, (path, _) in enumerate(files):
        try:
            image = read(path)
        except ImageError as error:
            raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
        if row == 0:
            _check_memory(place, len(files), image.shape)
            images = np.empty((len(files), *image.shape), np.uint8)
        if image.shape[1:] != images.shape[2:]:
            height, width = images.shape[2:]
            raise DataError(
                f"{path} is {image.shape[2]} x {image.shape[1]}, the images before it {width} x {height}; bring all to "
                f"one size, or have them resized with the option size={height}x{width}"
            )
        if image.shape[0] > images.shape[1]:
            _check_memory(place, len(files), image.shape)
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
