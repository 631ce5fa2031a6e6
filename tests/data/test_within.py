"""The split within another: choices are made on training images alone, divided as the test is."""

import pytest
import torch
from hypothesis import assume, given, settings

import siamese_mnist as sm
from siamese_mnist.data import SPLITS, load_dataset, split_dataset
from siamese_mnist.data.within import within
from siamese_mnist.testing import check_split
from tests.data.test_splits import datasets, numbers


@settings(max_examples=25, deadline=None)
@given(datasets())
def test_no_test_image_is_chosen_on(dataset):
    outer = split_dataset(dataset, "images", 0)
    assume(not outer.new_classes)
    assume(int((torch.bincount(outer.train.labels) >= 3).sum()) >= 2)  # one image of two classes in every part
    tested = numbers(outer.test)
    chosen_on = [split_dataset(dataset, within("images", 0, 3), each) for each in range(3)]
    for each in chosen_on:
        parts = [numbers(part) for part in (each.train, each.validation, each.test) if part is not None]
        assert not tested & set().union(*parts)
        assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*(numbers(each.test) for each in chosen_on)) >= numbers(outer.train)


def test_classes_that_are_chosen_on_are_new_too(tenth):
    outer = split_dataset(tenth, "classes", 2)
    chosen_on = []
    for fold in range(4):
        inner = split_dataset(tenth, within("classes", 2), fold)
        assert not {*inner.classes, *inner.validation_classes} & set(inner.test_classes)
        assert not set(outer.test_classes) & {*inner.classes, *inner.validation_classes, *inner.test_classes}
        chosen_on += inner.test_classes
    assert sorted(chosen_on) == sorted([*outer.classes, *outer.validation_classes])


def test_writers_that_are_chosen_on_are_new_too():
    dataset = load_dataset("glyphs")
    outer, inner = split_dataset(dataset, "groups"), split_dataset(dataset, within("groups", 0))
    groups = [set(part.groups.tolist()) for part in (inner.train, inner.validation, inner.test, outer.test)]
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_a_run_can_be_within(tmp_path):
    run = sm.run(
        "siamese:recipe=short", split="within:images@0/4", fold=1, runs_dir=tmp_path, train_pairs=64, test_pairs=40
    )
    assert (run.split.name, run.split.fold) == ("within:images@0/4", 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("within:images/4", "written within:SPLIT@FOLD/FOLDS, got 'images'"),
        ("within:images@0/1", "folds must be >= 2, got 1"),
        ("within:within:images@0/4", "not divided once more"),
        ("within:nowhere@0/4", "unknown split 'nowhere'"),
    ],
)
def test_mistakes(tenth, name, message):
    with pytest.raises(sm.UsageError) as raised:
        split_dataset(tenth, name)
    assert message in str(raised.value)


class Peeking(sm.Split):
    """A split whose `within` shows test images."""

    def divide(self, dataset, fold):
        return SPLITS["images"]().divide(dataset, fold)

    def within(self, dataset, fold):
        return SPLITS["images"]().divide(load_dataset("glyphs"), fold)


def test_the_contract_sees_a_split_that_shows_test_images(monkeypatch):
    monkeypatch.setitem(SPLITS._parts, "peeking", type(SPLITS.part("images"))("peeking", Peeking, "", ""))
    with pytest.raises(AssertionError, match="test images to a study"):
        check_split("peeking", folds=2)
