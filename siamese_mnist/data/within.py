"""The training images of a split divided once more: choices are made on them, and its test images stay unseen."""

import re

from siamese_mnist.data.folds import pooled
from siamese_mnist.data.images import Dataset
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
        name = "classes" if self.name == "images" and outer.new_classes else self.name
        inner: Split = SPLITS.make(name, {"folds": self.folds})
        divided = inner.within(_training(outer), fold)
        if len(divided.test.labels.unique()) < 2:
            raise UsageError(f"split {self.name!r} leaves no two classes of its training images to choose on")
        return divided


def _training(outer: SplitDataset) -> Dataset:
    """All images that are no test images, as a data set without any."""
    train, validation, classes = outer.train, outer.validation, outer.classes
    nothing = train.select(slice(0))
    if validation is not None and outer.validation_classes:
        validation = validation._replace(labels=validation.labels + len(classes))
        classes = (*classes, *outer.validation_classes)
    pool = pooled(Dataset(train, validation or nothing, classes))
    return Dataset(pool, nothing, classes, outer.preprocessing)
