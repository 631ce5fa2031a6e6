"""Costs against implementations of their own: naive pool-adjacent-violators, scikit-learn's isotonic regression."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import (
    METRICS,
    Decision,
    JudgedPairs,
    bayes_cost,
    cllr,
    cost_curve,
    effective_prior,
    fit_decision,
    fit_logistic,
    min_cllr,
    minimum_bayes_cost,
    roc,
)


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(1)
    same = rng.random(2000) < 0.3
    return np.round(rng.normal(size=2000) + 1.7 * same, 1), same


def naive_cllr(llr, same):
    total = {True: [], False: []}
    for each, truth in zip(llr.tolist(), same.tolist(), strict=True):
        total[truth].append(math.log2(1 + math.exp(-each if truth else each)))
    return (math.fsum(total[True]) / len(total[True]) + math.fsum(total[False]) / len(total[False])) / 2


def naive_pav(scores, same):
    """Blocks [score of the last member, hits, count], pooled while their shares fall."""
    blocks = []
    for value in sorted(set(scores.tolist())):
        there = scores == value
        blocks.append([[value], int(same[there].sum()), int(there.sum())])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            values, hits, count = blocks.pop()
            blocks[-1] = [blocks[-1][0] + values, blocks[-1][1] + hits, blocks[-1][2] + count]
    share = {value: hits / count for values, hits, count in blocks for value in values}
    return np.array([share[value] for value in scores.tolist()])


def cllr_of_posterior(posterior, same):
    odds = same.sum() / (~same).sum()
    with np.errstate(divide="ignore"):
        ratio = np.log(posterior) - np.log1p(-posterior) - math.log(odds)
    return (np.log2(1 + np.exp(-ratio[same])).mean() + np.log2(1 + np.exp(ratio[~same])).mean()) / 2


def test_cllr(scored):
    scores, same = scored
    llr = fit_logistic(scores, same).log_likelihood_ratio(scores)
    assert cllr(llr, same) == pytest.approx(naive_cllr(llr, same), abs=1e-12)
    assert cllr(np.zeros(2000), same) == pytest.approx(1)
    assert cllr(np.where(same, 40.0, -40.0), same) == pytest.approx(0, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(arrays(np.int8, st.integers(2, 30), elements=st.integers(0, 6)), st.data())
def test_minimum_cllr_is_that_of_pool_adjacent_violators(levels, data):
    same = data.draw(arrays(np.bool_, levels.size))
    same[0], same[1] = True, False
    scores = levels.astype(float)
    expected = cllr_of_posterior(naive_pav(scores, same), same)
    isotonic = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, same)
    assert min_cllr(scores, same) == pytest.approx(expected, abs=1e-9)
    assert min_cllr(scores, same) == pytest.approx(cllr_of_posterior(isotonic, same), abs=1e-9)


def test_no_rising_map_does_better_than_the_minimum(scored):
    scores, same = scored
    assert min_cllr(scores, same) < min(
        cllr(fit(scores, same).log_likelihood_ratio(scores), same) for fit in (fit_logistic, fit_decision)
    )


def test_costs_at_every_prior(scored):
    scores, same = scored
    llr = fit_decision(scores, same).log_likelihood_ratio(scores)
    log_odds = np.array([-3.0, -1.0, 0.0, 2.0])
    curve = cost_curve(llr, same, log_odds)
    for number, each in enumerate(log_odds):
        prior = 1 / (1 + math.exp(-each))
        costs = []
        for threshold in [-each, *sorted(set(llr)), np.inf]:
            accepted = llr >= threshold
            missed, matched = np.mean(~accepted[same]), np.mean(accepted[~same])
            costs.append((prior * missed + (1 - prior) * matched) / min(prior, 1 - prior))
        assert curve.actual[number] == pytest.approx(costs[0], abs=1e-12)
        assert curve.minimum[number] == pytest.approx(min(costs), abs=1e-12)
        assert minimum_bayes_cost(roc(scores, same), prior) == pytest.approx(min(costs), abs=1e-12)
    everywhere = cost_curve(llr, same)
    assert np.all(everywhere.minimum <= np.minimum(1, everywhere.actual) + 1e-12)


def test_prior_and_costs_are_one_number():
    assert effective_prior(0.2) == pytest.approx(0.2)
    assert effective_prior(0.01, 1, 99) == pytest.approx(0.5)
    assert effective_prior(0.5, 9, 1) == pytest.approx(0.1)
    assert bayes_cost([1.0, 0.0], [0.0, 1.0], 0.2).tolist() == pytest.approx([4, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "prior must be between 0 and 1, got 0"),
        ((0.5, 0), "cost_false_match must be finite and > 0, got 0"),
        ((0.5, 1, math.inf), "cost_false_non_match must be finite and > 0, got inf"),
    ],
)
def test_what_is_no_cost(arguments, message):
    with pytest.raises(UsageError, match=message):
        effective_prior(*arguments)


def test_probabilities_move_to_another_prior():
    decision = Decision(0.4, 3.0, 0.25)
    moved = decision.moved_to(0.01)
    scores = np.linspace(-1, 3, 9)
    odds = decision.probability(scores) / (1 - decision.probability(scores)) * (0.01 / 0.99) / (0.25 / 0.75)
    np.testing.assert_allclose(moved.probability(scores), odds / (1 + odds), rtol=1e-12)
    np.testing.assert_allclose(moved.log_likelihood_ratio(scores), decision.log_likelihood_ratio(scores), atol=1e-12)
    assert decision.moved_to(0.25) == decision
    with pytest.raises(UsageError, match="prior must be between 0 and 1, got 1"):
        decision.moved_to(1)


@pytest.mark.parametrize("fit", [fit_decision, fit_logistic])
def test_a_decision_knows_the_prior_of_its_pairs(fit, scored):
    assert fit(*scored).prior == pytest.approx(scored[1].mean())


def test_metrics(scored):
    scores, same = scored
    pairs = JudgedPairs(scores=scores, same=same, decision=fit_decision(scores, same))
    assert METRICS["cllr"].function(pairs) == cllr(pairs.decision.log_likelihood_ratio(scores), same)
    assert METRICS["min_cllr"].function(pairs) == min_cllr(scores, same)
