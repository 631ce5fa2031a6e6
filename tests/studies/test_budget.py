"""The expected best of n trials."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamese_mnist.studies.budget import expected_best

rates = st.lists(st.floats(0, 1), min_size=1, max_size=7)


@given(rates)
def test_it_is_the_mean_over_all_choices(accuracies):
    found = expected_best(accuracies)
    for n, best in enumerate(found, start=1):
        choices = [max(each) for each in itertools.combinations(accuracies, n)]
        assert best.trials == n
        assert best.mean == pytest.approx(sum(choices) / len(choices), abs=1e-12)


@given(rates)
def test_more_trials_are_no_worse_and_intervals_are_in_order(accuracies):
    found = expected_best(accuracies)
    for one, more in itertools.pairwise(found):
        assert more.mean >= one.mean - 1e-12
    for each in found:
        low, high = each.interval
        assert min(accuracies) - 1e-12 <= low <= high <= max(accuracies) + 1e-12


def test_the_interval_holds_the_figure():
    for each in expected_best([0.9, 0.95, 0.5, 0.93, 0.97, 0.96, 0.94, 0.92]):
        assert each.interval[0] <= each.mean <= each.interval[1]
