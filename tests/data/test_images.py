"""Labelled images and what is checked of them."""

import pytest
import torch

from siamese_mnist.data import DataError, Dataset, LabeledImages
from siamese_mnist.data.images import checked


def part(*shape, groups=None):
    return LabeledImages(torch.zeros(shape, dtype=torch.uint8), torch.arange(shape[0]) % 2, groups)


def made(train, test):
    return checked(Dataset(train, test, ("a", "b")), "mine")


def test_grey_and_colour():
    for channels in (1, 3):
        dataset = made(part(4, channels, 6, 5), part(2, channels, 6, 5))
        assert dataset.image_size == (6, 5)
        assert dataset.channels == channels
        assert dataset.train.groups is None


def test_grey_images_without_an_axis_for_channels_get_one():
    loaded = made(part(4, 6, 5), part(2, 6, 5))
    assert loaded.train.images.shape == (4, 1, 6, 5)
    assert loaded.channels == 1


def test_a_loader_may_give_two_columns():
    dataset = made(tuple(part(4, 1, 6, 5))[:2], tuple(part(2, 1, 6, 5))[:2])
    assert dataset.train.groups is None


def test_groups_go_along():
    groups = torch.tensor([5, 5, 0, 2])
    dataset = made(part(4, 1, 6, 5, groups=groups), part(2, 1, 6, 5, groups=torch.tensor([1, 1])))
    assert dataset.train.groups.tolist() == [5, 5, 0, 2]
    assert dataset.train.select(torch.tensor([3, 0])).groups.tolist() == [2, 5]
    assert dataset.train.select(dataset.train.labels == 1).groups.tolist() == [5, 2]
    assert dataset.train.select(slice(1)).images.shape == (1, 1, 6, 5)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (part(4, 2, 6, 5), part(2, 2, 6, 5), r"training images must be uint8 \(N, C, H, W\) .* got uint8 \(4, 2,"),
        (part(4, 1, 6, 5), part(2, 3, 6, 5), "one is grey, the other in colour"),
        (part(4, 1, 6, 5), part(2, 1, 6, 6), "differ in size"),
        (part(4, 1, 6, 5, groups=torch.zeros(4)), part(2, 1, 6, 5), r"groups must be int64 \(4,\), >= 0, got float32"),
        (part(4, 1, 6, 5), part(2, 1, 6, 5, groups=torch.zeros(3).long()), r"test groups must be int64 \(2,\)"),
        (part(4, 1, 6, 5, groups=-torch.ones(4).long()), part(2, 1, 6, 5), "training groups must be"),
    ],
)
def test_mistakes(train, test, message):
    with pytest.raises(DataError, match=f"^mine: .*{message}"):
        made(train, test)
