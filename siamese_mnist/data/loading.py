"""Data sets by name: the built-in images, IDX files of the MNIST family, Omniglot, and folders of images."""

import os
from pathlib import Path
from typing import Any

from siamese_mnist.data import builtin, folder, idx, omniglot  # noqa: F401
from siamese_mnist.data.images import DATASETS, Dataset, checked


def default_root() -> Path:
    """Folder that data sets are read from and downloaded to unless another is named."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "siamese-mnist"


def load_dataset(name: str, root: str | Path | None = None, download: bool = False, **options: Any) -> Dataset:
    """Loads a registered data set into memory.

    Args:
        name: a name in `DATASETS`; "mnist-tenth" and "glyphs" need no file and no network.
        root: folder with the files, by default `~/.cache/siamese-mnist`.
        download: fetch missing files of the MNIST family with torchvision.
        **options: the data set's own options, as `siamese-mnist list datasets` shows them.

    Returns:
        Training and test set: see `LabeledImages`.

    Raises:
        UnknownPartError: if no data set has that name.
        UsageError: if it has no such option, or refuses its value.
        DataError: if files are missing or damaged, or a download fails.
    """
    loader = DATASETS[name]
    DATASETS.check_options(name, options)
    return checked(loader(Path(root) if root else default_root(), download, **options), name)
