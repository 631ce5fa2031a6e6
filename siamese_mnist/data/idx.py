"""Data sets in the IDX files of MNIST and its relatives; downloaded by torchvision when asked.

torchvision's own readers want one fixed folder layout and unpacked files; this one also takes a flat folder and
gzip files, such as the ones that Linux distributions package.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from siamese_mnist.data.images import DATASETS, DataError, Dataset, LabeledImages
from siamese_mnist.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_DIGITS = tuple("0123456789")
_GARMENTS = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")  # the hiragana, romanised


@dataclass(frozen=True, kw_only=True)
class IdxSource:
    """Where one data set's four IDX files are and how to read them.

    Attributes:
        name: the data set's registered name.
        torchvision_class: class of `torchvision.datasets` that downloads it; also its folder below the data folder.
        stems: file names without ".gz": training images, training labels, test images, test labels.
        classes: class names, by label.
        torchvision_options: further arguments of the torchvision class.
        transposed: whether the file stores images with rows and columns exchanged.
        first_label: label of the first class in the file.
        writer_column: column of the labels that numbers the writers, or None.
        preprocessing: how a picture file becomes an image like these.
    """

    name: str
    torchvision_class: str
    stems: tuple[str, str, str, str]
    classes: tuple[str, ...] = _DIGITS
    torchvision_options: tuple[tuple[str, str], ...] = ()
    transposed: bool = False
    first_label: int = 0
    writer_column: int | None = None
    preprocessing: Preprocessing = Preprocessing.MNIST

    def __call__(self, root: Path, download: bool) -> Dataset:
        """Reads the four files below `root`, downloading them first if asked and missing.

        Raises:
            DataError: if a file is missing, truncated or not of the expected shape, or the download fails.
        """
        if download and any(self._find(root, stem) is None for stem in self.stems):
            self._download(root)
        train_images, train_labels, test_images, test_labels = (self._read(root, stem) for stem in self.stems)
        return Dataset(
            self._pack(train_images, train_labels),
            self._pack(test_images, test_labels),
            classes=self.classes,
            preprocessing=self.preprocessing,
        )

    def _find(self, root: Path, stem: str) -> Path | None:
        folders = (root, root / self.torchvision_class / "raw")
        candidates = (folder / f"{stem}{suffix}" for folder in folders for suffix in ("", ".gz"))
        return next((path for path in candidates if path.is_file()), None)

    def _read(self, root: Path, stem: str) -> Tensor:
        path = self._find(root, stem)
        if path is None:
            raise DataError(
                f"{self.name}: no file {stem} or {stem}.gz in {root} or {root / self.torchvision_class / 'raw'}; "
                "name the folder that has it (--data-dir) or ask for a download (--download)"
            )
        return read_idx(path)

    def _pack(self, images: Tensor, labels: Tensor) -> LabeledImages:
        if images.ndim == 3:
            images = (images.transpose(1, 2).contiguous() if self.transposed else images).unsqueeze(1)
        groups = None
        if labels.ndim == 2:  # QMNIST stores eight numbers an image; the first is the digit
            groups = None if self.writer_column is None else labels[:, self.writer_column].long()
            labels = labels[:, 0]
        return LabeledImages(images, labels.long() - self.first_label, groups)

    def _download(self, root: Path) -> None:
        from torchvision import datasets

        maker = getattr(datasets, self.torchvision_class)
        try:
            for train in (True, False):
                maker(str(root), train=train, download=True, **dict(self.torchvision_options))
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{self.name}: the download to {root} failed ({str(error).partition(chr(10))[0]}); check the network, "
                "or put the IDX files there yourself"
            ) from error


def read_idx(path: Path) -> Tensor:
    """Reads one IDX file, plain or gzip.

    Returns:
        Tensor of the shape and type that the file's header states.

    Raises:
        DataError: if the file is unreadable, truncated, too long or not IDX.
    """
    import torch

    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise DataError(f"{path} is not an IDX file; fetch it again")
    dtype, header = np.dtype(_TYPES[content[2]]), 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[start : start + 4], "big") for start in range(4, header, 4))
    expected = header + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise DataError(f"{path} has {len(content)} bytes where its header says {expected}; fetch it again")
    array = np.frombuffer(content, dtype, offset=header).reshape(shape)
    return torch.from_numpy(array.astype(dtype.newbyteorder("=")))


_MNIST_STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CAPITALS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BALANCED = (*_DIGITS, *_CAPITALS, *"abdefghnqrt")  # small letters that look like their capitals are merged with them
_QMNIST_STEMS = (
    "qmnist-train-images-idx3-ubyte",
    "qmnist-train-labels-idx2-int",
    "qmnist-test-images-idx3-ubyte",
    "qmnist-test-labels-idx2-int",
)


def _emnist(split: str, classes: tuple[str, ...], first_label: int = 0) -> IdxSource:
    train_images, train_labels, test_images, test_labels = (
        f"emnist-{split}-{part}-{what}-ubyte" for part in ("train", "test") for what in ("images-idx3", "labels-idx1")
    )
    return IdxSource(
        name=f"emnist-{split}",
        torchvision_class="EMNIST",
        stems=(train_images, train_labels, test_images, test_labels),
        classes=classes,
        torchvision_options=(("split", split),),
        transposed=True,
        first_label=first_label,
    )


_SOURCES = {
    "All of MNIST: 60,000 training and 10,000 test images.": IdxSource(
        name="mnist", torchvision_class="MNIST", stems=_MNIST_STEMS
    ),
    "Fashion-MNIST: ten kinds of garment, 60,000 / 10,000.": IdxSource(
        name="fashion-mnist",
        torchvision_class="FashionMNIST",
        stems=_MNIST_STEMS,
        classes=_GARMENTS,
        preprocessing=Preprocessing.PLAIN,
    ),
    "Kuzushiji-MNIST: ten hiragana, 60,000 / 10,000.": IdxSource(
        name="kmnist", torchvision_class="KMNIST", stems=_MNIST_STEMS, classes=_KANA
    ),
    "QMNIST: MNIST with the 60,000 reconstructed test images; groups are the writers.": IdxSource(
        name="qmnist", torchvision_class="QMNIST", stems=_QMNIST_STEMS, writer_column=2
    ),
    "EMNIST digits: 240,000 / 40,000, turned upright.": _emnist("digits", _DIGITS),
    "EMNIST letters, large and small as one class: 26 classes, 124,800 / 20,800.": _emnist("letters", _CAPITALS, 1),
    "EMNIST balanced: 47 digits and letters, 112,800 / 18,800.": _emnist("balanced", _BALANCED),
}
for _summary, _source in _SOURCES.items():
    DATASETS.add(_source.name, _source, summary=_summary)
