"""Verdicts and paired differences against closed forms, scipy, and simulated experiments of known truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from siamese_mnist.evaluation.intervals import pair_variance, seed_interval, wilson_interval
from siamese_mnist.evaluation.verdicts import Comparison, judge_family, paired_difference
from tests.evaluation.test_intervals import EXACT, brute_pair_variance, difficult_images, random_pairs, small_graphs


def test_paired_difference_of_disjoint_pairs_is_close_to_the_paired_t_test():
    rng = np.random.default_rng(27)
    a, b = rng.random(500) < 0.9, rng.random(500) < 0.8
    found = paired_difference(a, b, np.arange(500), np.arange(500, 1000))
    difference = a.astype(float) - b
    test = stats.ttest_1samp(difference, 0)
    low, high = test.confidence_interval()
    assert found.difference == pytest.approx(difference.mean(), abs=EXACT)
    assert found == pytest.approx((difference.mean(), low, high, test.pvalue), abs=5e-4)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(small_graphs(), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_exchanging_a_and_b_turns_the_paired_difference_round(case, seed, seeds):
    _, left, right = case
    a, b = np.random.default_rng(seed).integers(0, 2, (2, *((seeds,) if seeds > 1 else ()), left.size))
    found = paired_difference(a, b, left, right)
    turned = paired_difference(b, a, left, right)
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert 0 <= found.p_value <= 1
    expected = (-turned.difference, -turned.high, -turned.low, turned.p_value)
    assert found == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("shape", [(300,), (3, 300)])
def test_models_that_never_differ_are_not_proven_equal(shape):
    answers = np.ones(shape, dtype=bool)
    found = paired_difference(answers, answers, np.arange(300), np.arange(300, 600))
    assert (found.difference, found.p_value) == (0, 1)
    assert found.high == -found.low
    assert found.high == pytest.approx(wilson_interval(0, 300)[1], abs=1e-3)


def test_paired_difference_covers_and_keeps_its_error_rate():
    rng = np.random.default_rng(28)
    covered = rejected = naive = 0
    for _ in range(1000):
        left, right = random_pairs(rng, 300, 1000)
        a, b = (
            rng.random(1000) < (1 - spoiled[left]) * (1 - spoiled[right])
            for spoiled in (difficult_images(rng, 300, 0.4), difficult_images(rng, 300, 0.4))
        )
        found = paired_difference(a, b, left, right)
        covered += found.low <= 0 <= found.high
        rejected += found.p_value <= 0.05
        difference = a.astype(float) - b
        naive += abs(difference.mean()) <= 1.96 * difference.std() / math.sqrt(1000)
    assert 930 <= covered <= 970
    assert rejected == 1000 - covered
    assert naive < 900


def test_paired_difference_over_seeds_covers_where_one_source_alone_does_not():
    rng = np.random.default_rng(29)
    pairs, seeds = 600, 5
    truth = 0.94 * ((1 - 0.2 * 0.4) ** 2 - (1 - 0.2 * 0.3) ** 2)
    both = images_only = seeds_only = 0
    for _ in range(1000):
        left, right = random_pairs(rng, 200, pairs)
        correct = []
        for mean in (0.4, 0.3):
            spoiled = difficult_images(rng, 200, mean)
            luck = 0.94 + rng.uniform(-0.06, 0.06, (seeds, 1))
            correct.append(rng.random((seeds, pairs)) < (1 - spoiled[left]) * (1 - spoiled[right]) * luck)
        found = paired_difference(*correct, left, right)
        both += found.low <= truth <= found.high
        difference = correct[0].astype(float) - correct[1]
        error = math.sqrt(max(pair_variance(difference.mean(axis=0), left, right), 0))
        images_only += abs(difference.mean() - truth) <= 1.96 * error
        low, high = seed_interval(difference.mean(axis=1))
        seeds_only += low <= truth <= high
    assert 930 <= both <= 995
    assert images_only < 920
    assert seeds_only < 900


def test_images_and_seeds_have_a_quantile_each():
    rng = np.random.default_rng(30)
    left, right = random_pairs(rng, 100, 400)
    a, b = rng.random((2, 4, 400)) < 0.8
    found = paired_difference(a, b, left, right)
    difference = a.astype(float) - b
    images = brute_pair_variance(difference.mean(axis=0), left, right)
    between = difference.mean(axis=1).var(ddof=1) / 4
    count = np.unique([left, right]).size
    half = math.sqrt(stats.t.ppf(0.975, count - 1) ** 2 * images + stats.t.ppf(0.975, 3) ** 2 * between)
    assert found.high - found.low == pytest.approx(2 * half, abs=EXACT)
    edge = paired_difference(a, b, left, right, confidence=1 - found.p_value)
    assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-7)


def of_seeds(rng, seeds, left, spread):
    """Answers of runs of one design, whose accuracy differs from seed to seed."""
    return rng.random((seeds, left.size)) < 0.9 - rng.uniform(0, spread, (seeds, 1))


@pytest.mark.parametrize(("seeds", "compared"), [(3, 1), (3, 10), (5, 5)])
def test_a_family_of_equal_designs_seldom_gets_a_side(seeds, compared):
    rng = np.random.default_rng(33)
    sides = 0
    for _ in range(300):
        left, right = random_pairs(rng, 100, 300)
        first, *others = (of_seeds(rng, seeds, left, 0.2) for _ in range(compared + 1))
        judged = judge_family([Comparison(other, first) for other in others], left, right)
        sides += any(each.verdict != "no difference shown" for each in judged)
    assert sides <= 24  # of 300 at 5 %, this many come with a chance of 1 %


def test_a_side_is_taken_exactly_where_the_interval_leaves_out_0():
    rng = np.random.default_rng(34)
    left, right = random_pairs(rng, 300, 1000)
    seen = set()
    for gap in (-0.3, -0.1, -0.05, 0, 0.05, 0.1, 0.3):
        a, b = (rng.random((3, 1000)) < chance for chance in (0.65 + gap, 0.65))
        for each in judge_family([Comparison(a, b), Comparison(a, b), Comparison(a[0], b[0])], left, right):
            seen.add(each.verdict)
            side = each.verdict in ("better", "worse", "one seed: models differ")
            assert side == (not each.low <= 0 <= each.high)
            assert side == (each.p_adjusted < 0.05)
    assert len(seen) == 5


def test_the_interval_of_a_family_is_that_of_its_share():
    rng = np.random.default_rng(35)
    left, right = random_pairs(rng, 100, 300)
    a, b = rng.random((2, 3, 300)) < 0.8
    alone = paired_difference(a, b, left, right, confidence=1 - 0.05 / 4)
    judged = judge_family([Comparison(a, b)] * 4, left, right)
    assert [each[:3] for each in judged] == [alone[:3]] * 4
    assert judged[0].p_adjusted == pytest.approx(min(1, 4 * alone.p_value))
    assert judge_family([], left, right) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_difference([0, 1], [1], [0, 1], [2, 3]), r"got \(2,\) and \(1,\)"),
        (lambda: paired_difference([[0, 1]], [[1, 1]], [0, 1], [2, 3]), "pass 1-D arrays for one seed"),
        (lambda: paired_difference([0, 1], [1, 1], [0, 1], [2, 3], 95), "between 0 and 1, got 95"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
