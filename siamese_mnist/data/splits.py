"""Splits: which images train, which choose thresholds and settings, and which test.

Folds are drawn once and for all: the same data set gives the same folds on every machine, for every seed of a run.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from siamese_mnist import kinds
from siamese_mnist.data.folds import (
    LEFT_OUT,
    TEST,
    TRAIN,
    VALIDATION,
    VALIDATION_PARTS,
    by_groups,
    by_label,
    class_roles,
    folds_by_label,
    folds_of,
    held_back,
    pooled,
    put_together,
    shuffled,
)
from siamese_mnist.data.images import Dataset, LabeledImages
from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Registry

_WAYS = 20  # test classes at least, as in one-shot episodes, where there are twice as many classes


@dataclass(frozen=True, kw_only=True)
class SplitDataset:
    """A data set divided for an experiment; no image is in two parts.

    Attributes:
        train: images to train on; labels are 0 .. len(classes) - 1.
        validation: images that are not trained on, for thresholds and choices; None where the split holds none back.
        test: images that decide nothing; labels are 0 .. len(test_classes) - 1.
        classes: names of the training classes, by label.
        test_classes: names of the test classes, by label.
        validation_classes: names of the validation classes, by label, where they are not trained on; None where they
            are the training classes.
        preprocessing: how a picture file becomes an image like these; a split keeps its data set's.
    """

    train: LabeledImages
    validation: LabeledImages | None
    test: LabeledImages
    classes: tuple[str, ...]
    test_classes: tuple[str, ...]
    validation_classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing = Preprocessing.PLAIN

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of every image, in pixels."""
        height, width = self.train.images.shape[-2:]
        return height, width

    @property
    def new_classes(self) -> bool:
        """Whether no test class is trained on."""
        return set(self.classes).isdisjoint(self.test_classes)

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
    by_class = by_label(labels)
    sizes = labels.unique(return_counts=True)[1]
    rank = torch.cat([torch.arange(int(size)) for size in sizes])
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[by_class] = rank < (share * sizes).round().repeat_interleave(sizes)
    if not chosen.any():
        return dataset
    train, validation = held_back(dataset.train, chosen)
    return replace(dataset, train=train, validation=validation)


def joined(dataset: SplitDataset) -> SplitDataset:
    """The data set with its validation classes, which are not trained on, as further training classes."""
    validation, known = dataset.validation, dataset.validation_classes
    assert validation is not None
    assert known is not None
    further = validation._replace(labels=validation.labels + len(dataset.classes))
    return replace(
        dataset,
        train=put_together(dataset.train, further),
        validation=None,
        classes=(*dataset.classes, *known),
        validation_classes=None,
    )


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

    def within(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides training images alone, so that choices are made on images like those that will test.

        Args:
            dataset: training images; it has no test images.
            fold: 0 .. folds - 1.

        Returns:
            Parts of the training images; the one called test is the one to choose on.
        """
        return self(dataset, fold)


SPLITS: Registry[type[Split]] = kinds.SPLITS
"""Splits by name: `split(**options)` makes a `Split`."""


def split_dataset(dataset: Dataset, name: str = "images", fold: int = 0, **options: Any) -> SplitDataset:
    """Divides a data set with a registered split.

    Args:
        dataset: what to divide.
        name: a name in `SPLITS`, or `within:SPLIT@FOLD/FOLDS`.
        fold: which of the split's folds, from 0.
        **options: the split's own options.

    Raises:
        UnknownPartError: if no split has that name.
        UsageError: if an option or `fold` is refused, or the data set cannot be divided so.
    """
    return make_split(name, **options)(dataset, fold)


def make_split(name: str, **options: Any) -> Split:
    """A registered split by its name, or as `within:SPLIT@FOLD/FOLDS`.

    Raises:
        UsageError: if no split has that name, or an option is refused.
    """
    kind, colon, rest = name.partition(":")
    if colon:
        of, _, folds = rest.partition("/")
        options = {"of": of, "folds": int(folds) if folds.isdigit() else 0, **options}
    split: Split = SPLITS.make(kind, options)
    return split


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

    def within(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides training images alone: each fold's share is the part to choose on."""
        divided = self(dataset, fold)
        assert divided.validation is not None
        return replace(divided, validation=None, test=divided.validation)

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        train, validation = dataset.train, None
        if self.folds > 1:
            train, validation = held_back(train, folds_by_label(train.labels, self.folds) == fold)
        elif not torch.isin(dataset.test.labels, train.labels).any():
            return _source_of_new_classes(dataset)
        return SplitDataset(
            train=train,
            validation=validation,
            test=dataset.test,
            classes=dataset.classes,
            test_classes=dataset.classes,
        )


class NewClassSplit(Split):
    """A split whose test classes are unseen in training.

    Args:
        folds: number of folds.
        test_classes: classes tested in each fold; 0 is as many as test each class in one fold, but 20, as one-shot
            episodes have, where that is less and there are 40 or more. Folds then share test classes.

    Raises:
        UsageError: if an option is out of range.
    """

    def __init__(self, *, folds: int = 5, test_classes: int = 0) -> None:
        super().__init__(folds=folds)
        if test_classes < 0 or test_classes == 1:
            raise UsageError(f"test_classes must be 0 or >= 2, got {test_classes}")
        self.test_classes = test_classes

    def roles(self, dataset: Dataset, fold: int) -> Tensor:
        """What each class is for: (K,) int64, `TRAIN`, `VALIDATION` or `TEST`.

        A fifth of the classes that are left, at least two, validate; none does where fewer than four are left.

        Raises:
            UsageError: if there are too few classes.
        """
        classes = len(dataset.classes)
        if classes < 2 * self.folds:
            mend = f"set folds to at most {classes // 2}" if classes >= 4 else "take a data set of at least 4"
            raise UsageError(f"{classes} classes do not give {self.folds} folds of two or more test classes; {mend}")
        known = folds_of(classes, self.folds)
        order = ((known - fold) % self.folds).argsort(
            stable=True
        )  # from this fold's classes to those of the one before
        own = int((known == fold).sum())
        tested = self.test_classes or (max(own, _WAYS) if classes >= 2 * _WAYS else own)
        if classes - tested < 2:
            raise UsageError(f"{tested} test classes of {classes} leave none to train on; set test_classes to less")
        return class_roles(order, tested)


@SPLITS.register("classes")
class ClassSplit(NewClassSplit):
    """New classes: test classes are unseen in training, and so are the classes that thresholds come from.

    The source's training and test images are pooled. Each class is a test class in one fold, or in several with more
    than `test_classes` of a fold. A fifth of the other classes validate, or a tenth of the images of all where there
    are fewer than four.
    """

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        pool = pooled(dataset)
        roles = self.roles(dataset, fold)
        role = roles[pool.labels]
        if not (roles == VALIDATION).any():
            role[role == TRAIN] = (folds_by_label(pool.labels[role == TRAIN], VALIDATION_PARTS) == 0).long()
        return _by_role(dataset, roles, pool, role)


@SPLITS.register("groups")
class GroupSplit(Split):
    """New writers: the groups of test images are unseen in training; each group is a test group in one fold.

    The source's training and test images are pooled. A tenth of the other groups, at least one, validate.
    """

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        pool = pooled(dataset)
        is_test, is_validation = by_groups(pool, self.folds, fold)
        return SplitDataset(
            train=pool.select(~is_test & ~is_validation),
            validation=pool.select(is_validation),
            test=pool.select(is_test),
            classes=dataset.classes,
            test_classes=dataset.classes,
        )


@SPLITS.register("classes+groups")
class ClassGroupSplit(NewClassSplit):
    """New classes by new writers: neither the classes nor the groups of test images are seen in training.

    A fifth of the classes that are left validate, by the groups that train; where fewer than four are left, a tenth of
    these groups do, at least one. Images of test classes by other groups, and of other classes by test groups, are left
    out.
    """

    def divide(self, dataset: Dataset, fold: int) -> SplitDataset:
        """Divides a data set."""
        pool = pooled(dataset)
        roles = self.roles(dataset, fold)
        new_group, validating = by_groups(pool, self.folds, fold)
        role = roles[pool.labels]
        if not (roles == VALIDATION).any():
            role[(role == TRAIN) & validating] = VALIDATION
        role[(role == TEST) != new_group] = LEFT_OUT
        return _by_role(dataset, roles, pool, role)


def _source_of_new_classes(dataset: Dataset) -> SplitDataset:
    """The source's own training and test images where they have no class in common; training classes validate."""
    test, train = dataset.test.labels.unique(), dataset.train.labels.unique()
    order = torch.cat([test, shuffled(train)])
    roles = torch.full((len(dataset.classes),), LEFT_OUT)
    roles[order] = class_roles(torch.arange(len(order)), len(test))
    pool = pooled(dataset)
    return _by_role(dataset, roles, pool, roles[pool.labels])


def _by_role(dataset: Dataset, roles: Tensor, pool: LabeledImages, role: Tensor) -> SplitDataset:
    """Divides images by what each is for, (N,) int64, and gives the classes of each part, (K,) int64, labels from 0."""
    number = torch.zeros_like(roles)
    for kind in (TRAIN, VALIDATION, TEST):
        number[roles == kind] = torch.arange(int((roles == kind).sum()))
    train, validation, test = (
        pool.select(role == kind)._replace(labels=number[pool.labels[role == kind]])
        for kind in (TRAIN, VALIDATION, TEST)
    )
    classes, validating, tested = (
        tuple(name for name, each in zip(dataset.classes, roles.tolist(), strict=True) if each == kind)
        for kind in (TRAIN, VALIDATION, TEST)
    )
    return SplitDataset(
        train=train,
        validation=validation if len(validation.labels) else None,
        test=test,
        classes=classes,
        test_classes=tested,
        validation_classes=validating or None,
    )
