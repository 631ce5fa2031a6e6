"""Splits: which images train, which choose thresholds and settings, and which test.

Folds are drawn once and for all: the same data set gives the same folds on every machine, for every seed of a run.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from siamese_mnist.data.images import Dataset, LabeledImages
from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Registry

_VALIDATION_PARTS = 10  # of the images or groups that may train, one such part is held back for validation
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class SplitDataset:
    """A data set divided for an experiment; no image is in two parts.

    Attributes:
        train: images to train on; labels are 0 .. len(classes) - 1.
        validation: images of the same classes that are not trained on, for thresholds and choices; None where the
            split holds none back.
        test: images that decide nothing; labels are 0 .. len(test_classes) - 1.
        classes: names of the training and validation classes, by label.
        test_classes: names of the test classes, by label.
        preprocessing: how a picture file becomes an image like these; a split keeps its data set's.
    """

    train: LabeledImages
    validation: LabeledImages | None
    test: LabeledImages
    classes: tuple[str, ...]
    test_classes: tuple[str, ...]
    preprocessing: Preprocessing = Preprocessing.PLAIN

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        height, width = self.train.images.shape[-2:]
        return height, width

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for red, green and blue."""
        return self.train.images.shape[1]


def hold_back(dataset: SplitDataset, share: float) -> SplitDataset:
    """The data set with a share of each class's training images for validation; the same ones in every run.

    Args:
        dataset: a data set; one that has validation images is left as it is.
        share: in [0, 1); with too few images of a class, none of it are held back.
    """
    labels = dataset.train.labels
    if dataset.validation is not None or not labels.numel():
        return dataset
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_SEED))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    sizes = labels.unique(return_counts=True)[1]
    rank = torch.cat([torch.arange(int(size)) for size in sizes])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[by_class] = rank < (share * sizes).round().repeat_interleave(sizes)
    if not chosen.any():
        return dataset
    train, validation = _held_back(dataset.train, chosen)
    return replace(dataset, train=train, validation=validation)


class Split(ABC):
    """A way to divide a data set.

    Args:
        folds: number of folds.

    Raises:
        UsageError: if `folds` is less than `fewest`.
    """

    fewest = 2  # folds that the split can have

    def __init__(self, *, folds: int = 5) -> None:
        if folds < self.fewest:
            raise UsageError(f"folds must be >= {self.fewest}, got {folds}")
        self.folds = folds

    def __call__(self, dataset: Dataset, fold: int = 0) -> SplitDataset:
        """Divides a data set.

        Args:
            dataset: what to divide.
            fold: 0 .. folds - 1.

        Raises:
            UsageError: if `fold` is out of range, or the data set cannot be divided so.
        """
        if not 0 <= fold < self.folds:
            raise UsageError(f"fold must lie in 0..{self.folds - 1}, got {fold}")
        return replace(self.divide(dataset, fold), preprocessing=dataset.preprocessing)

    @abstractmethod
    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set; `fold` is in range."""


SPLITS: Registry[type[Split]] = Registry("split", "siamese_mnist.splits", Split)
"""Splits by name: `split(**options)` makes a `Split`."""


def split_dataset(dataset: Dataset, name: str = "images", fold: int = 0, **options: Any) -> SplitDataset:
    """Divides a data set with a registered split.

    Args:
        dataset: what to divide.
        name: a name in `SPLITS`.
        fold: which of the split's folds, from 0.
        **options: the split's own options.

    Raises:
        UnknownPartError: if no split has that name.
        UsageError: if an option or `fold` is refused, or the data set cannot be divided so.
    """
    split: Split = SPLITS.make(name, options)
    return split(dataset, fold)


@SPLITS.register("images")
class ImageSplit(Split):
    """The source's own training and test images; with folds, each holds back a share of the training images.

    Test images are the same in every fold.

    Args:
        folds: 1 trains on all training images; with more, each fold validates on its share of every training class.
    """

    fewest = 1

    def __init__(self, *, folds: int = 1) -> None:
        super().__init__(folds=folds)

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        train, validation = dataset.train, None
        if self.folds > 1:
            train, validation = _held_back(train, _folds_by_label(train.labels, self.folds) == fold)
        return SplitDataset(
            train=train,
            validation=validation,
            test=dataset.test,
            classes=dataset.classes,
            test_classes=dataset.classes,
        )


@SPLITS.register("classes")
class ClassSplit(Split):
    """New classes: test classes are unseen in training; each class is a test class in one fold.

    The source's training and test images are pooled. A tenth of the images of the training classes validate.
    """

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        pool = _pooled(dataset)
        tested = _test_classes(dataset, self.folds, fold)
        is_test = tested[pool.labels]
        training = pool.select(~is_test)
        train, validation = _held_back(training, _folds_by_label(training.labels, _VALIDATION_PARTS) == 0)
        return _relabelled(dataset, tested, train, validation, pool.select(is_test))


@SPLITS.register("groups")
class GroupSplit(Split):
    """New writers: the groups of test images are unseen in training; each group is a test group in one fold.

    The source's training and test images are pooled. A tenth of the other groups, at least one, validate.
    """

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        pool = _pooled(dataset)
        is_test, is_validation = _by_groups(pool, self.folds, fold)
        return SplitDataset(
            train=pool.select(~is_test & ~is_validation),
            validation=pool.select(is_validation),
            test=pool.select(is_test),
            classes=dataset.classes,
            test_classes=dataset.classes,
        )


@SPLITS.register("classes+groups")
class ClassGroupSplit(Split):
    """New classes by new writers: neither the classes nor the groups of test images are seen in training.

    Images of test classes by training groups, and of training classes by test groups, are left out. A tenth of the
    training groups, at least one, validate.
    """

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        pool = _pooled(dataset)
        tested = _test_classes(dataset, self.folds, fold)
        new_class = tested[pool.labels]
        new_group, held_back = _by_groups(pool, self.folds, fold)
        train, validation, test = (
            pool.select(rows)
            for rows in (~new_class & ~new_group & ~held_back, ~new_class & held_back, new_class & new_group)
        )
        return _relabelled(dataset, tested, train, validation, test)


def _pooled(dataset: Dataset) -> LabeledImages:
    """Training and test images as one set, the training images first."""
    train, test = dataset.train, dataset.test
    groups = None if train.groups is None or test.groups is None else torch.cat([train.groups, test.groups])
    return LabeledImages(torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels]), groups)


def _held_back(data: LabeledImages, chosen: Tensor) -> tuple[LabeledImages, LabeledImages]:
    """The images that are not chosen, and those that are."""
    return data.select(~chosen), data.select(chosen)


def _folds_of(count: int, folds: int) -> Tensor:
    """A fold for each of `count` things, as many in each as can be: (count,) int64."""
    fold = torch.empty(count, dtype=torch.int64)
    fold[torch.randperm(count, generator=torch.Generator().manual_seed(_SEED))] = torch.arange(count) % folds
    return fold


def _folds_by_label(labels: Tensor, folds: int) -> Tensor:
    """A fold for each image, as many of every class in each as can be: (N,) int64."""
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_SEED))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    fold = torch.empty_like(labels)
    fold[by_class] = torch.arange(len(labels)) % folds
    return fold


def _test_classes(dataset: Dataset, folds: int, fold: int) -> Tensor:
    """Whether each class is a test class: (K,) bool."""
    classes = len(dataset.classes)
    if classes < 2 * folds:
        mend = f"set folds to at most {classes // 2}" if classes >= 4 else "take a data set of at least 4"
        raise UsageError(f"{classes} classes do not give {folds} folds of two or more test classes; {mend}")
    return _folds_of(classes, folds) == fold


def _by_groups(pool: LabeledImages, folds: int, fold: int) -> tuple[Tensor, Tensor]:
    """Whether each image is of a test group, and of a validation group: (N,) bool, (N,) bool."""
    if pool.groups is None:
        raise UsageError(
            "this data set does not say who wrote which image; take one that does, such as glyphs, or a split without "
            "groups"
        )
    known, index = pool.groups.unique(return_inverse=True)
    if len(known) < max(folds, 3):
        raise UsageError(
            f"{len(known)} groups do not give {folds} folds; set folds to less, or take a data set of more groups"
        )
    tested = _folds_of(len(known), folds) == fold
    others = (~tested).nonzero().flatten()
    held_back = torch.zeros_like(tested)
    held_back[others[_folds_of(len(others), _VALIDATION_PARTS) == 0]] = True
    return tested[index], held_back[index]


def _relabelled(
    dataset: Dataset, tested: Tensor, train: LabeledImages, validation: LabeledImages, test: LabeledImages
) -> SplitDataset:
    """Gives training and test classes, `tested` (K,) bool, their own labels from 0."""
    number = torch.where(tested, tested.cumsum(0), (~tested).cumsum(0)) - 1
    train, validation, test = (part._replace(labels=number[part.labels]) for part in (train, validation, test))
    names = [(name, bool(new)) for name, new in zip(dataset.classes, tested, strict=True)]
    return SplitDataset(
        train=train,
        validation=validation,
        test=test,
        classes=tuple(name for name, new in names if not new),
        test_classes=tuple(name for name, new in names if new),
    )
