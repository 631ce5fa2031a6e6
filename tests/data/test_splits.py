"""Splits: no image, class or group is where it must not be, and folds cover everything."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import siamese_mnist as sm
from siamese_mnist.data import SPLITS, Dataset, LabeledImages, load_dataset, split_dataset
from siamese_mnist.testing import check_split


def numbered(labels, groups=None, start=0):
    """Images that hold their own number, so that they can be found again."""
    numbers = torch.arange(start, start + len(labels), dtype=torch.int32)
    images = numbers.view(torch.uint8).reshape(-1, 1, 2, 2)
    groups = None if groups is None else torch.tensor(groups)
    return LabeledImages(images, torch.tensor(labels), groups)


def numbers(part):
    return set(part.images.flatten().contiguous().view(torch.int32).tolist())


@st.composite
def datasets(draw):
    classes, writers = draw(st.integers(6, 12)), draw(st.integers(4, 9))
    each = draw(st.integers(1, 3))
    rows = [(label, writer) for label in range(classes) for writer in range(writers) for _ in range(each)]
    rows = draw(st.permutations(rows))
    cut = draw(st.integers(classes * 2, len(rows) - 2))
    parts = [numbered(*zip(*some, strict=True), start=start) for some, start in ((rows[:cut], 0), (rows[cut:], cut))]
    return Dataset(*parts, tuple(f"class {label}" for label in range(classes)))


def truth(dataset):
    """Class name and group of every image, by its number."""
    both = [*zip(dataset.train.labels.tolist(), dataset.train.groups.tolist(), strict=True)]
    both += [*zip(dataset.test.labels.tolist(), dataset.test.groups.tolist(), strict=True)]
    return {number: (dataset.classes[label], group) for number, (label, group) in enumerate(both)}


@settings(max_examples=25, deadline=None)
@given(datasets(), st.sampled_from(sorted(set(SPLITS) - {"within"})), st.integers(2, 3))
def test_folds(dataset, name, folds):
    known = truth(dataset)
    tested = []
    for fold in range(folds):
        split = split_dataset(dataset, name, fold, folds=folds)
        again = split_dataset(dataset, name, fold, folds=folds)
        train, validation, test = (numbers(part) for part in (split.train, split.validation, split.test))
        assert len(train | validation | test) == len(train) + len(validation) + len(test)
        assert train
        assert validation
        assert test
        assert all(
            torch.equal(one.images, two.images) for one, two in ((split.train, again.train), (split.test, again.test))
        )
        for part, names in (
            (split.train, split.classes),
            (split.validation, split.validation_classes or split.classes),
            (split.test, split.test_classes),
        ):
            rows = part.images.flatten().contiguous().view(torch.int32).tolist()
            assert [names[label] for label in part.labels.tolist()] == [known[row][0] for row in rows]
            assert part.groups.tolist() == [known[row][1] for row in rows]
        seen = {known[row] for row in train | validation}
        if "classes" in name:
            parts = [split.classes, split.validation_classes or (), split.test_classes]
            assert sorted(name for part in parts for name in part) == sorted(dataset.classes), "each in one part"
            assert len(split.validation_classes or "two") >= 2
        if "groups" in name:
            assert not {group for _, group in seen} & {known[row][1] for row in test}
            if not split.validation_classes:
                assert not {known[row][1] for row in train} & {known[row][1] for row in validation}
        tested.append({known[row] for row in test})
    if name == "images":
        assert all(each == tested[0] for each in tested)
    for place, what in enumerate(("classes", "groups")):
        if what in name:
            values = [{each[place] for each in fold} for fold in tested]
            assert len(set.union(*values)) == sum(map(len, values)), "each is tested in one fold only"
            assert set.union(*values) == {each[place] for each in known.values()}


def test_the_sources_own_images_stay(tenth):
    split = split_dataset(tenth)
    assert split.train is tenth.train
    assert split.test is tenth.test
    assert split.validation is None
    assert split.classes == split.test_classes == tenth.classes
    assert split.image_size == (28, 28)
    assert split.channels == 1


def test_validation_folds_have_every_class_alike(tenth):
    held = [split_dataset(tenth, "images", fold, folds=5).validation for fold in range(5)]
    assert [len(each.labels) for each in held] == [1200] * 5
    counts = torch.stack([each.labels.bincount(minlength=10) for each in held])
    assert (counts.amax(0) - counts.amin(0)).max() <= 1


def test_folds_stay_as_they_are():
    """The same on every machine and in every version, or results of two could not be compared."""
    names = [split_dataset(load_dataset("mnist-tenth"), "classes", fold).test_classes for fold in range(5)]
    assert names == [("4", "9"), ("0", "1"), ("7", "8"), ("5", "6"), ("2", "3")]


@pytest.mark.parametrize(("options", "classes"), [({}, [20, 5, 20]), ({"test_classes": 9}, [29, 7, 9])])
def test_glyphs_by_new_writers(options, classes):
    split = split_dataset(load_dataset("glyphs"), "classes+groups", **options)
    assert [len(names) for names in (split.classes, split.validation_classes, split.test_classes)] == classes
    for part, count, writers in zip((split.train, split.validation, split.test), classes, (32, 32, 8), strict=True):
        assert len(part.groups.unique()) == writers
        assert len(part.labels) == count * writers * 4


def test_folds_share_test_classes_only_where_one_has_fewer_than_one_shot_episodes_have():
    glyphs = load_dataset("glyphs")
    tested = [set(split_dataset(glyphs, "classes", fold).test_classes) for fold in range(5)]
    assert [len(each) for each in tested] == [20] * 5
    assert set.union(*tested) == set(glyphs.classes)
    apart = [split_dataset(glyphs, "classes", fold, test_classes=9).test_classes for fold in range(5)]
    assert sorted(name for each in apart for name in each) == sorted(glyphs.classes)


def test_a_source_of_new_classes_keeps_its_own_images():
    """As Omniglot's: training and test images have no class in common, so validation takes training classes."""
    train, test = numbered([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]), numbered([5, 5, 6, 6], start=10)
    source = Dataset(train, test, tuple("abcdefg"))
    split = split_dataset(source)
    assert split.test_classes == ("f", "g")
    assert numbers(split.test) == numbers(test)
    assert split.test.labels.tolist() == [0, 0, 1, 1]
    assert len(split.classes) == 3
    assert len(split.validation_classes) == 2
    assert numbers(split.train) | numbers(split.validation) == numbers(train)


@pytest.mark.parametrize("name", SPLITS)
def test_contract(name):
    check_split(name)
    check_split(name, folds=4)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("images", {"fold": 1}, r"fold must lie in 0\.\.0, got 1"),
        ("classes", {"fold": 5}, r"fold must lie in 0\.\.4, got 5"),
        ("classes", {"fold": -1}, r"fold must lie in 0\.\.4, got -1"),
        ("classes", {"folds": 1}, "folds must be >= 2, got 1"),
        ("images", {"folds": 0}, "folds must be >= 1, got 0"),
        ("images", {"fols": 3}, "split 'images' has no option 'fols'; did you mean 'folds'"),
        ("image", {}, "unknown split 'image'; did you mean 'images'"),
        ("classes", {"test_classes": 9}, "9 test classes of 10 leave none to train on; set test_classes to less"),
        ("classes", {"test_classes": 1}, "test_classes must be 0 or >= 2, got 1"),
        ("classes", {"folds": 6}, "10 classes do not give 6 folds of two or more test classes; set folds to at most 5"),
        ("groups", {}, "does not say who wrote which image; take one that does, such as glyphs"),
        ("classes+groups", {}, "does not say who wrote which image"),
    ],
)
def test_mistakes(tenth, name, arguments, message):
    with pytest.raises(sm.UsageError, match=message):
        sm.split_dataset(tenth, name, **arguments)


def test_too_few_groups():
    data = numbered([0, 1, 0, 1], [0, 0, 1, 1])
    with pytest.raises(sm.UsageError, match="2 groups do not give 2 folds"):
        split_dataset(Dataset(data, data, ("a", "b")), "groups", folds=2)
