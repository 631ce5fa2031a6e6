"""The images that ship with the package: the first 6,000 training and 1,000 test images of MNIST."""

import hashlib
import io
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from siamese_mnist.data.images import DATASETS, DataError, Dataset, LabeledImages

SHA256 = "18c9b695305efafd33c7c538f6438582dada91986c65f4e078b8868bce0d18bb"


@DATASETS.register("mnist-tenth")
def load_mnist_tenth(root: Path | None = None, download: bool = False) -> Dataset:  # noqa: ARG001
    """First 6,000 training and 1,000 test images of MNIST, shipped with the package.

    Args:
        root: not used; every loader takes it.
        download: not used; every loader takes it.

    Raises:
        DataError: if the file in the installed package is damaged.
    """
    content = (files("siamese_mnist.data") / "mnist-tenth.npz").read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise DataError("the built-in mnist-tenth.npz is damaged (checksum differs); install siamese-mnist again")
    with np.load(io.BytesIO(content)) as arrays:
        train, test = (
            LabeledImages(
                torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1),
                torch.from_numpy(arrays[f"{split}_labels"].astype(np.int64)),
            )
            for split in ("train", "test")
        )
    return Dataset(train, test, tuple("0123456789"))
