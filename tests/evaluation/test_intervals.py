"""Intervals against brute force, closed forms, scipy, and simulated experiments of known truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from siamese_mnist.evaluation import intervals

EXACT = 1e-9
properties = settings(deadline=None, derandomize=True, max_examples=60)


def random_pairs(rng, images, pairs):
    """Distinct unordered pairs of different images."""
    left, right = rng.integers(0, images, 3 * pairs), rng.integers(1, images, 3 * pairs)
    right = (left + right) % images
    key = rng.permutation(np.unique(np.minimum(left, right) * images + np.maximum(left, right)))[:pairs]
    assert key.size == pairs
    return np.divmod(key, images)


def brute_pair_variance(values, left, right):
    residuals = np.asarray(values, dtype=float) - np.mean(values)
    ends = [{int(a), int(b)} for a, b in zip(left, right, strict=True)]
    total = sum(residuals[i] * residuals[j] for i in range(len(ends)) for j in range(len(ends)) if ends[i] & ends[j])
    return total / residuals.size**2


@st.composite
def small_graphs(draw):
    """Few images, so that pairs repeat, are mirrored, and meet themselves."""
    size = draw(st.integers(1, 25))
    image = st.lists(st.integers(0, draw(st.integers(1, 8))), min_size=size, max_size=size)
    values = draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
    return np.array(values), np.array(draw(image)), np.array(draw(image))


@properties
@given(small_graphs())
def test_pair_variance_by_brute_force(case):
    assert intervals.pair_variance(*case) == pytest.approx(brute_pair_variance(*case), abs=EXACT)


@properties
@given(small_graphs(), st.integers(0, 2**32 - 1))
def test_pair_variance_ignores_names_order_and_sides(case, seed):
    values, left, right = case
    rng = np.random.default_rng(seed)
    names = rng.choice([-(2**62), -7, 3, 2**40, 2**40 + 1, 2**62, 10**6, 11, 12], 9, replace=False)
    flip, order = rng.random(values.size) < 0.5, rng.permutation(values.size)
    left, right = np.where(flip, right, left), np.where(flip, left, right)
    renamed = intervals.pair_variance(values[order] + 5, names[left][order], names[right][order])
    assert renamed == pytest.approx(intervals.pair_variance(*case), abs=EXACT)


@properties
@given(small_graphs())
def test_repeating_every_pair_the_other_way_round_adds_no_information(case):
    values, left, right = case
    twice = intervals.pair_variance(np.tile(values, 2), np.append(left, right), np.append(right, left))
    assert twice == pytest.approx(intervals.pair_variance(*case), abs=EXACT)


def test_pair_variance_of_disjoint_pairs_is_that_of_independent_values():
    values = np.random.default_rng(0).normal(size=50)
    expected = values.var() / 50
    assert intervals.pair_variance(values, np.arange(50), np.arange(50, 100)) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 10), (99, 100), (100, 100)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_interval_is_that_of_scipy(hits, trials, confidence):
    expected = stats.binomtest(hits, trials).proportion_ci(confidence, method="wilson")
    assert intervals.wilson_interval(hits / trials, trials, confidence) == pytest.approx(tuple(expected), abs=EXACT)


def test_accuracy_interval_of_disjoint_pairs_is_the_wilson_interval_with_student_quantiles():
    correct = np.arange(400) % 10 > 0
    quantile = stats.t.ppf(0.975, 799)
    normal_level = stats.norm.cdf(quantile) * 2 - 1
    expected = intervals.wilson_interval(0.9, 400, normal_level)
    found = intervals.accuracy_interval(correct, np.arange(400), np.arange(400, 800))
    assert found == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("answer", [True, False])
def test_accuracy_at_its_limit_counts_fully_correlated_pairs(answer):
    hub, others = np.zeros(30, dtype=int), np.arange(1, 31)
    low, high = intervals.accuracy_interval(np.full(30, answer), hub, others)
    assert (high if answer else low) == float(answer)
    assert high - low > 0.75  # one hub image in every pair is worth a single pair
    low, high = intervals.accuracy_interval(np.full(30, answer), others, others + 30)
    assert high - low < 0.2


def test_accuracy_interval_is_conservative_when_the_variance_is_not_positive():
    correct, left, right = np.array([1, 0, 1, 0]), np.array([0, 1, 2, 3]), np.array([1, 2, 3, 0])
    assert intervals.pair_variance(correct, left, right) < 0
    low, high = intervals.accuracy_interval(correct, left, right)
    assert 0 <= low < 0.1
    assert 0.9 < high <= 1


def difficult_images(rng, images, mean):
    """Chance that an image spoils its pair: a fifth of the images are difficult, `mean` among those."""
    return np.where(rng.random(images) < 0.2, 2 * mean * rng.random(images), 0.0)


def test_accuracy_interval_covers_where_the_binomial_one_fails():
    rng = np.random.default_rng(20)
    truth = (1 - 0.2 * 0.5) ** 2
    robust = binomial = 0
    for _ in range(1000):
        left, right = random_pairs(rng, 200, 1000)
        spoiled = difficult_images(rng, 200, 0.5)
        correct = rng.random(1000) < (1 - spoiled[left]) * (1 - spoiled[right])
        low, high = intervals.accuracy_interval(correct, left, right)
        robust += low <= truth <= high
        low, high = intervals.wilson_interval(correct.mean(), 1000)
        binomial += low <= truth <= high
    assert 930 <= robust <= 970
    assert binomial < 800


def test_accuracy_interval_over_seeds_covers_where_one_source_alone_does_not():
    rng = np.random.default_rng(31)
    pairs, seeds = 600, 5
    truth = 0.94 * (1 - 0.2 * 0.4) ** 2
    both = images_only = seeds_only = 0
    for _ in range(1000):
        left, right = random_pairs(rng, 200, pairs)
        spoiled = difficult_images(rng, 200, 0.4)
        luck = 0.94 + rng.uniform(-0.06, 0.06, (seeds, 1))
        correct = rng.random((seeds, pairs)) < (1 - spoiled[left]) * (1 - spoiled[right]) * luck
        low, high = intervals.accuracy_interval(correct, left, right)
        both += low <= truth <= high
        error = math.sqrt(max(intervals.pair_variance(correct.mean(axis=0), left, right), 0))
        images_only += abs(correct.mean() - truth) <= 1.96 * error
        low, high = intervals.seed_interval(correct.mean(axis=1))
        seeds_only += low <= truth <= high
    assert 930 <= both <= 975
    assert images_only < 920
    assert seeds_only < 900


def test_accuracy_interval_of_equal_seeds_is_that_of_one():
    rng = np.random.default_rng(32)
    left, right = random_pairs(rng, 100, 400)
    correct = rng.random(400) < 0.8
    expected = intervals.accuracy_interval(correct, left, right)
    assert intervals.accuracy_interval([correct] * 3, left, right) == pytest.approx(expected, abs=EXACT)
    perfect = intervals.accuracy_interval(correct | True, left, right)
    assert intervals.accuracy_interval([correct | True] * 3, left, right) == pytest.approx(perfect, abs=EXACT)


def test_seed_interval_is_that_of_scipy():
    values = [0.91, 0.93, 0.92, 0.95]
    expected = stats.t.interval(0.9, 3, np.mean(values), stats.sem(values))
    assert intervals.seed_interval(values, 0.9) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: intervals.pair_variance([], [], []), "not empty"),
        (lambda: intervals.pair_variance([np.nan], [0], [1]), "finite"),
        (lambda: intervals.pair_variance([1, 2], [0], [1, 2]), r"left .* \(2,\), got \(1,\)"),
        (lambda: intervals.pair_variance([1, 2], [0, 1], [1.0, 2.0]), "right must hold integer .* float64"),
        (lambda: intervals.accuracy_interval([0, 2], [0, 1], [2, 3]), "correct must be boolean or 0/1"),
        (lambda: intervals.accuracy_interval([], [], []), "not empty"),
        (lambda: intervals.accuracy_interval([[0, 1]], [0, 1], [2, 3]), r"with two or more seeds, got \(1, 2\)"),
        (lambda: intervals.accuracy_interval([0, 1], [0, 1], [2, 3], 95), "confidence must be between 0 and 1, got 95"),
        (lambda: intervals.wilson_interval(3, 10), "rate must be in .* got 3"),
        (lambda: intervals.wilson_interval(0.3, 0), "n must be > 0, got 0"),
        (lambda: intervals.seed_interval([0.9]), "two or more seeds"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
