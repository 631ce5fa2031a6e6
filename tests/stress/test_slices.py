"""Slices of test pairs."""

import numpy as np

from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.stress import slices


def pairs(seed, bad=None):
    rng = np.random.default_rng(seed)
    labels = np.arange(200) % 4
    left, right = rng.integers(0, 200, (2, 3000))
    involved = (labels[left] == bad) | (labels[right] == bad)
    return labels, left, right, rng.random(3000) > np.where(involved, 0.3, 0.05)


def test_the_bad_class_is_named():
    labels, left, right, correct = pairs(0, bad=2)
    found = slices(correct, left, right, labels=labels, classes="abcd")
    (worst,) = [each for each in found if each.kind == "class" and each.name == "c"]
    assert worst.accuracy == correct[(labels[left] == 2) | (labels[right] == 2)].mean()
    assert found[0] == worst
    assert worst.interval[1] < correct.mean()
    assert len(found) == 4 + 10


def test_intervals_are_wider_than_those_of_one_slice():
    labels, left, right, correct = pairs(0)
    for each in slices(correct, left, right, labels=labels, classes="abcd"):
        if each.kind == "class":
            label = "abcd".index(each.name)
            rows = (labels[left] == label) | (labels[right] == label)
            alone = accuracy_interval(correct[rows], left[rows], right[rows])
            assert each.interval[0] < alone[0] < alone[1] < each.interval[1]


def test_no_slice_is_accused_where_all_are_alike():
    accused = 0
    for seed in range(40):
        labels, left, right, correct = pairs(seed)
        found = slices(correct, left, right, labels=labels, classes="abcd", groups=np.arange(200) // 20)
        assert {each.kind for each in found} == {"class", "classes", "group"}
        accused += any(each.interval[1] < correct.mean() for each in found)
    assert accused <= 4
