"""Images of other data sets that are at hand, as a verifier takes them."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from siamese_mnist.data import LabeledImages, load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.verifier import Verifier

_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
_TENTH = 1000  # test images of MNIST that the built-in tenth has


def other_images(
    verifier: Verifier, trained_on: str, data_dir: str | Path | None
) -> tuple[dict[str, LabeledImages], dict[str, str]]:
    """Images by data set, and why the others are left out.

    Args:
        verifier: what takes them.
        trained_on: the data set of its run.
        data_dir: folder of data sets' files.
    """
    found, skipped = {"scikit-learn digits": scikit_learn_digits(verifier)}, {}
    for name in ("fashion-mnist", "mnist"):
        if trained_on == name:
            continue
        try:
            data = load_dataset(name, _DEBIAN if name == "fashion-mnist" and _DEBIAN.is_dir() else data_dir).test
        except UsageError as error:
            skipped[name] = str(error)
            continue
        if name == "mnist" and trained_on == "mnist-tenth":
            name, data = "rest of MNIST", data.select(slice(_TENTH, None))
        if tuple(data.images.shape[1:]) == (verifier.channels, *verifier.image_size):
            found[name] = data
        else:
            skipped[name] = "its images have another size or other channels"
    return found, skipped


def scikit_learn_digits(verifier: Verifier) -> LabeledImages:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, prepared as the verifier prepares picture files."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = []
    for pixels in digits.images:
        picture = Image.fromarray(np.rint(pixels * 255 / 16).astype(np.uint8))
        images.append(verifier.preprocessing.apply(picture, size=verifier.image_size, channels=verifier.channels))
    return LabeledImages(torch.from_numpy(np.stack(images)), torch.from_numpy(digits.target.astype(np.int64)))
