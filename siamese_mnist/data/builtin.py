"""The images that ship with the package: a tenth of MNIST, and letters and digits in forty fonts."""

import hashlib
import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data.images import DATASETS, DataError, Dataset, LabeledImages
from siamese_mnist.data.preprocessing import Preprocessing

SHA256 = {
    "mnist-tenth.npz": "18c9b695305efafd33c7c538f6438582dada91986c65f4e078b8868bce0d18bb",
    "glyphs.npz": "cec0e62fa0321da572f89377a8ec7ecb8458ddff7e918951ad4772dac40756f2",
}
_DISTORTIONS = 4  # images of one glyph by one writer


@DATASETS.register("mnist-tenth")
def load_mnist_tenth(root: Path | None = None, download: bool = False) -> Dataset:  # noqa: ARG001
    """First 6,000 training and 1,000 test images of MNIST, shipped with the package.

    Args:
        root: not used; every loader takes it.
        download: not used; every loader takes it.

    Raises:
        DataError: if the file in the installed package is damaged.
    """
    import torch

    arrays = _read("mnist-tenth.npz")
    train, test = (
        LabeledImages(
            torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1),
            torch.from_numpy(arrays[f"{split}_labels"].astype(np.int64)),
        )
        for split in ("train", "test")
    )
    return Dataset(train, test, tuple("0123456789"), Preprocessing.MNIST)


@DATASETS.register("glyphs")
def load_glyphs(root: Path | None = None, download: bool = False) -> Dataset:  # noqa: ARG001
    """45 letters and digits in 40 handwriting-like fonts, 5,400 / 1,800, shipped; groups are the fonts.

    A stand-in for handwriting, made from fonts: one font repeats its shapes, which no writer does. Each glyph of each
    font is there in four distortions; the first three train, the last one tests. For new letters or new writers take
    the split `classes`, `groups` or `classes+groups`.

    Args:
        root: not used; every loader takes it.
        download: not used; every loader takes it.

    Raises:
        DataError: if the file in the installed package is damaged.
    """
    import torch

    arrays = _read("glyphs.npz")
    images, labels, groups = (torch.from_numpy(arrays[name]) for name in ("images", "labels", "writers"))
    glyphs = LabeledImages(images.unsqueeze(1), labels, groups)
    last = torch.arange(len(labels)) % _DISTORTIONS == _DISTORTIONS - 1
    classes = tuple(arrays["classes"].tolist())
    return Dataset(glyphs.select(~last), glyphs.select(last), classes, Preprocessing.MNIST)


def _read(name: str) -> Mapping[str, NDArray[Any]]:
    """Arrays of a file in the package, its checksum found right."""
    content = (files("siamese_mnist.data") / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise DataError(f"the built-in {name} is damaged (checksum differs); install siamese-mnist again")
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)
