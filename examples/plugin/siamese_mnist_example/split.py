"""A split: which images train and which test."""

import torch

import siamese_mnist as sm


class CrossValidation(sm.Split):
    """All images of the source are pooled, and each is a test image in one fold."""

    def divide(self, dataset: sm.Dataset, fold: int) -> sm.SplitDataset:
        """Divides a data set; `fold` lies in 0 .. folds - 1."""
        images, labels = (torch.cat(both) for both in zip(dataset.train[:2], dataset.test[:2], strict=True))
        pool = sm.LabeledImages(images, labels)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        is_test = order % self.folds == fold
        return sm.SplitDataset(
            train=pool.select(~is_test),
            validation=None,
            test=pool.select(is_test),
            classes=dataset.classes,
            test_classes=dataset.classes,
        )
