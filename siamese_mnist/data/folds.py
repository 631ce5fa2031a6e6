"""Folds of classes, groups and images: drawn once and for all, so that every machine and seed has the same ones."""

import torch
from torch import Tensor

from siamese_mnist.data.images import Dataset, LabeledImages
from siamese_mnist.errors import UsageError

VALIDATION_PARTS = 10  # of the images or groups that may train, one such part is held back for validation
_VALIDATION_CLASSES = 5  # of the classes that may train, one in so many is held back, where four or more are left
_SEED = 0

TRAIN, VALIDATION, TEST, LEFT_OUT = range(4)
"""What a class or an image is for."""


def pooled(dataset: Dataset) -> LabeledImages:
    """Training and test images as one set, the training images first."""
    return put_together(dataset.train, dataset.test)


def put_together(one: LabeledImages, other: LabeledImages) -> LabeledImages:
    """The images of both, those of the first one first."""
    groups = None if one.groups is None or other.groups is None else torch.cat([one.groups, other.groups])
    return LabeledImages(torch.cat([one.images, other.images]), torch.cat([one.labels, other.labels]), groups)


def shuffled(values: Tensor) -> Tensor:
    """Values (N,) in a random order that is the same every time."""
    return values[torch.randperm(len(values), generator=torch.Generator().manual_seed(_SEED))]


def held_back(data: LabeledImages, chosen: Tensor) -> tuple[LabeledImages, LabeledImages]:
    """The images that are not chosen, and those that are."""
    return data.select(~chosen), data.select(chosen)


def folds_of(count: int, folds: int) -> Tensor:
    """A fold for each of `count` things, as many in each as can be: (count,) int64."""
    fold = torch.empty(count, dtype=torch.int64)
    fold[shuffled(torch.arange(count))] = torch.arange(count) % folds
    return fold


def by_label(labels: Tensor) -> Tensor:
    """Rows of labels (N,), class by class, in each in a random order that is the same every time: (N,) int64."""
    rows = shuffled(torch.arange(len(labels)))
    return rows[labels[rows].argsort(stable=True)]


def folds_by_label(labels: Tensor, folds: int) -> Tensor:
    """A fold for each image, as many of every class in each as can be: (N,) int64."""
    by_class = by_label(labels)
    fold = torch.empty_like(labels)
    fold[by_class] = torch.arange(len(labels)) % folds
    return fold


def by_groups(pool: LabeledImages, folds: int, fold: int) -> tuple[Tensor, Tensor]:
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
    tested = folds_of(len(known), folds) == fold
    others = (~tested).nonzero().flatten()
    validating = torch.zeros_like(tested)
    validating[others[folds_of(len(others), VALIDATION_PARTS) == 0]] = True
    return tested[index], validating[index]


def class_roles(order: Tensor, tested: int) -> Tensor:
    """What each class is for, the test classes first in `order` (K,), then those that validate: (K,) int64."""
    left = len(order) - tested
    validating = max(2, left // _VALIDATION_CLASSES) if left >= 4 else 0
    roles = torch.full_like(order, TRAIN)
    roles[order[tested : tested + validating]] = VALIDATION
    roles[order[:tested]] = TEST
    return roles
