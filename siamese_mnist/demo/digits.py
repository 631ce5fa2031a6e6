"""The data set's own images on the page: some to draw with, some to find the nearest of."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from siamese_mnist.data import DataError, LabeledImages, load_dataset
from siamese_mnist.registry import UnknownPartError

_BUILTIN = "mnist-tenth"
_SEED = 0


class Digits(NamedTuple):
    """A data set as the page needs it."""

    dataset: str
    train: LabeledImages
    test: LabeledImages
    classes: tuple[str, ...]


def load_digits(config: Mapping[str, Any], data_dir: str | None = None) -> Digits | None:
    """The data set that a run was trained on, or the built-in digits where it is not at hand and they will do.

    Args:
        config: a run's or bundle's settings, with `dataset`, `image_size` and `classes`.
        data_dir: folder of the data set's files.

    Returns:
        None where neither will do: the files are missing, and the run is not about digits of 28 x 28 pixels.

    Raises:
        UsageError: if `data_dir` is named and does not hold the data set.
    """
    wanted, size = str(config.get("dataset", _BUILTIN)), tuple(config["image_size"])
    try:
        found = load_dataset(wanted, data_dir, **(config.get("dataset_options") or {}))
    except (DataError, UnknownPartError):
        if data_dir is not None:
            raise
        wanted, found = _BUILTIN, load_dataset(_BUILTIN)
    if (found.channels, found.image_size) != (1, size) or list(found.classes) != list(config["classes"]):
        return None
    return Digits(wanted, found.train, found.test, found.classes)


def balanced(data: LabeledImages, count: int) -> LabeledImages:
    """A fixed selection with about as many images of every class, in the order of the classes.

    Args:
        data: at least one image.
        count: images to select in all; fewer where a class has too few.
    """
    generator = torch.Generator().manual_seed(_SEED)
    order = torch.randperm(len(data.labels), generator=generator)
    present = data.labels.unique()
    each = max(1, count // len(present))
    rows: Tensor = torch.cat([order[data.labels[order] == label][:each] for label in present])
    return data.select(rows)
