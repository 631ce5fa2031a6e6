"""The training images of a split divided once more: choices are made on them, and its test images stay unseen."""

import re

import torch

from siamese_mnist.data.images import Dataset, LabeledImages
from siamese_mnist.data.splits import SPLITS, Split, SplitDataset, split_dataset
from siamese_mnist.errors import UsageError

FOLDS = 4
"""Parts that training images are divided into; ten classes less a fifth for the test give four parts of two."""

_OF = re.compile(r"(?P<name>.+)@(?P<fold>\d+)")


def within(name: str, fold: int, folds: int = FOLDS) -> str:
    """Name of the split of a split's training images, as settings have it: `within:classes@2/4`."""
    return f"within:{name}@{fold}/{folds}"


@SPLITS.register("within")
class WithinSplit(Split):
    """Training and validation images of another split divided alike, as `within:SPLIT@FOLD/FOLDS`; no test image of it.

    Under `classes` the classes that are tested here are new, too, and with `groups` the writers are.

    Args:
        of: the other split and its fold.
        folds: parts that its training images are divided into.
    """

    def __init__(self, *, of: str = "images@0", folds: int = FOLDS) -> None:
        super().__init__(folds=folds)
        found = _OF.fullmatch(of)
        if not found:
            raise UsageError(f"a split within another is written within:SPLIT@FOLD/FOLDS, got {of!r}")
        self.name, self.fold = found["name"], int(found["fold"])
        if self.name.partition(":")[0] == "within":
            raise UsageError("a split within another is not divided once more; name the other split")

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        outer = split_dataset(dataset, self.name, self.fold)
        training = outer.train if outer.validation is None else _joined(outer.train, outer.validation)
        inner: Split = SPLITS.make(self.name, {"folds": self.folds})
        nothing = training.select(slice(0))
        divided = inner.within(Dataset(training, nothing, outer.classes, outer.preprocessing), fold)
        if len(divided.test.labels.unique()) < 2:
            raise UsageError(f"split {self.name!r} leaves no two classes of its training images to choose on")
        return divided


def _joined(one: LabeledImages, other: LabeledImages) -> LabeledImages:
    columns = (None if a is None or b is None else torch.cat([a, b]) for a, b in zip(one, other, strict=True))
    return LabeledImages(*columns)  # type: ignore[arg-type]
