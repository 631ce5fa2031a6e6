"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people, in torchvision's folder layout."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from siamese_mnist.data.images import DATASETS, DataError, Dataset, LabeledImages
from siamese_mnist.data.picture import read_size
from siamese_mnist.data.preprocessing import Preprocessing

_FOLDER = "omniglot-py"
_HALVES = ("images_background", "images_evaluation")


class _Drawing(NamedTuple):
    path: Path
    character: str  # "Greek/character01"
    drawer: str  # "Greek/07": drawers are numbered anew in every alphabet


@DATASETS.register("omniglot")
def load_omniglot(root: Path, download: bool = False, *, size: int | str = 28) -> Dataset:
    """Omniglot: 1,623 characters of 50 alphabets, 20 drawings each; groups are the people who drew.

    The background half (30 alphabets) trains and the evaluation half (20) tests, so test characters and the people who
    drew them are new. A class is named ALPHABET/CHARACTER. Drawings are turned to light on dark.

    Args:
        root: folder that holds `omniglot-py/images_background` and `omniglot-py/images_evaluation`, or those two.
        download: fetch missing files with torchvision.
        size: HEIGHTxWIDTH to resize the drawings of 105 x 105 to, or one number for both.

    Raises:
        UsageError: if `size` has another value.
        DataError: if a folder is missing or empty, or a file is damaged, or the download fails.
    """
    import torch

    field = read_size(size)
    if download and not all((root / _FOLDER / half).is_dir() for half in _HALVES):
        _download(root)
    halves = [list(_drawings(_folder(root, half))) for half in _HALVES]
    both = halves[0] + halves[1]
    classes = {name: label for label, name in enumerate(dict.fromkeys(each.character for each in both))}
    drawers = {name: number for number, name in enumerate(dict.fromkeys(each.drawer for each in both))}
    train, test = (
        LabeledImages(
            torch.from_numpy(np.stack([Preprocessing.INVERTED.read(each.path, size=field) for each in half])),
            torch.tensor([classes[each.character] for each in half]),
            torch.tensor([drawers[each.drawer] for each in half]),
        )
        for half in halves
    )
    return Dataset(train, test, tuple(classes), Preprocessing.INVERTED)


def _folder(root: Path, half: str) -> Path:
    for folder in (root / _FOLDER / half, root / half):
        if folder.is_dir():
            return folder
    raise DataError(
        f"omniglot: no folder {half} in {root / _FOLDER} or {root}; name the folder that has it (--data-dir) or ask "
        "for a download (--download)"
    )


def _drawings(half: Path) -> Iterator[_Drawing]:
    files = sorted(half.glob("*/character*/*_*.png"))
    if not files:
        raise DataError(f"{half} has no drawings as ALPHABET/characterNN/NNNN_NN.png; fetch it again")
    for path in files:
        alphabet, character = path.parts[-3:-1]
        yield _Drawing(path, f"{alphabet}/{character}", f"{alphabet}/{path.stem.rpartition('_')[2]}")


def _download(root: Path) -> None:
    from torchvision.datasets import Omniglot

    try:
        for background in (True, False):
            Omniglot(str(root), background=background, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"omniglot: the download to {root} failed ({str(error).partition(chr(10))[0]}); check the network, or "
            "unpack the two folders there yourself"
        ) from error
