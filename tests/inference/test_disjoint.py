"""Folds of pairs that share no image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score

from siamese_mnist import UsageError
from siamese_mnist.inference.disjoint import ImageDisjointKFold

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=80)


@given(pairs=PAIRS, folds=st.integers(2, 5), seed=st.integers(0, 3), named=st.booleans())
def test_no_image_trains_and_tests(pairs, folds, seed, named):
    sides = np.array(pairs)
    groups = sides.astype(str) if named else None
    splitter = ImageDisjointKFold(folds, random_state=seed)
    try:
        found = list(splitter.split(sides, groups=groups))
    except UsageError:  # as in test_mistakes
        return
    assert len(found) == folds
    tested = np.concatenate([test for _, test in found])
    assert np.unique(tested).size == tested.size  # no pair is tested twice
    for train, test in found:
        assert train.size
        assert test.size
        assert not set(sides[train].ravel()) & set(sides[test].ravel())


def test_pairs_that_share_no_image_are_all_tested():
    sides = np.arange(40).reshape(20, 2)
    found = list(ImageDisjointKFold(5).split(sides))
    assert sorted(np.concatenate([test for _, test in found])) == list(range(20))
    assert all(train.size == 16 for train, _ in found)


def test_all_pairs_of_many_images_give_the_shares_that_are_stated():
    sides = np.stack(np.triu_indices(100, 1), axis=1)
    for train, test in ImageDisjointKFold(5).split(sides):
        assert (train.size, test.size) == (80 * 79 // 2, 20 * 19 // 2)


def test_images_are_told_apart_by_their_pixels():
    images = np.eye(6)[::-1]  # in the order of their numbers
    sides = np.array([[0, 1], [1, 2], [3, 4], [4, 5]])
    table = images[sides].reshape(4, -1)
    assert [(train.tolist(), test.tolist()) for train, test in ImageDisjointKFold(2).split(table)] == [
        (train.tolist(), test.tolist()) for train, test in ImageDisjointKFold(2).split(table, groups=sides)
    ]


def test_the_seed_decides():
    sides = np.stack(np.triu_indices(20, 1), axis=1)
    first, again, other = (
        [test.tolist() for _, test in ImageDisjointKFold(4, random_state=seed).split(sides)] for seed in (0, 0, 1)
    )
    assert first == again != other


def test_scikit_learn_takes_it():
    sides = np.stack(np.triu_indices(20, 1), axis=1)
    same = sides.sum(axis=1) % 2 == 0
    splitter = ImageDisjointKFold(4)
    assert cross_val_score(DummyClassifier(), sides, same, cv=splitter, groups=sides).shape == (4,)
    search = GridSearchCV(DummyClassifier(), {"strategy": ["prior", "uniform"]}, cv=splitter).fit(sides, same)
    assert search.n_splits_ == splitter.get_n_splits() == 4
    assert repr(clone(splitter, safe=False)) == "ImageDisjointKFold(n_splits=4, random_state=0)"


@pytest.mark.parametrize(
    ("splits", "table", "groups", "message"),
    [
        (1, [[0, 1]], None, "n_splits must be an integer >= 2, got 1"),
        (2, [[0, 1, 2]], None, r"X must be \(P, 2 F\)"),
        (2, [[0, 1]], [[0], [1]], r"groups must be \(1, 2\)"),
        (2, [[0, 1]], None, "fold 1 of 2 has 0 training and 0 test pairs"),
    ],
)
def test_mistakes(splits, table, groups, message):
    with pytest.raises(UsageError, match=message):
        list(ImageDisjointKFold(splits).split(table, groups=groups))
