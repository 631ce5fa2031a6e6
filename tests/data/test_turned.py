"""Turned and mirrored images as classes of their own."""

import numpy as np
import pytest
import torch

import siamese_mnist as sm
from siamese_mnist.data import Dataset, LabeledImages, load_dataset, split_dataset
from siamese_mnist.data.turned import with_extra_classes


@pytest.fixture(scope="module")
def split():
    return split_dataset(load_dataset("glyphs"), "classes+groups")


@pytest.mark.parametrize(("extra", "times"), [(None, 1), ("rotated", 4), ("rotated+mirrored", 8)])
def test_every_image_is_there_once_in_each_view(split, extra, times):
    more = with_extra_classes(split, extra)
    count, classes = len(split.train.labels), len(split.classes)
    assert (len(more.train.labels), len(more.classes)) == (times * count, times * classes)
    assert len(set(more.classes)) == len(more.classes)
    assert more.train.labels.unique().tolist() == list(range(times * classes))
    assert more.train.groups.tolist() == split.train.groups.tolist() * times
    turns = [torch.from_numpy(each) for each in _views(split.train.images.numpy())][:times]
    for number, turned in enumerate(turns):
        rows = slice(number * count, (number + 1) * count)
        assert torch.equal(more.train.images[rows], turned)
        assert torch.equal(more.train.labels[rows], split.train.labels + number * classes)
    assert more.test is split.test
    assert more.validation is split.validation
    assert more.classes[: len(split.classes)] == split.classes


def _views(images):
    turned = [np.rot90(images, number, (2, 3)) for number in range(4)]
    return [each.copy() for each in (*turned, *(np.flip(each, 3) for each in turned))]


def test_images_have_to_be_square():
    images = torch.zeros(8, 1, 28, 20, dtype=torch.uint8)
    data = LabeledImages(images, torch.tensor([0, 1] * 4))
    with pytest.raises(sm.UsageError, match="have to be square; they are 28 x 20"):
        with_extra_classes(split_dataset(Dataset(data, data, ("a", "b"))), "rotated")


def test_a_run_on_known_classes_still_names_them(short, tmp_path):
    run = sm.run("baseline", extra_classes="rotated", runs_dir=tmp_path, **{**short, "train_pairs": 200, "epochs": 1})
    assert run.phase1.accuracy is not None
    assert run.parameters.pretraining_head > 4 * 10
    assert sm.load(run.run_dir).score(torch.zeros(1, 1, 28, 28).byte(), torch.zeros(1, 1, 28, 28).byte()).shape == (1,)
