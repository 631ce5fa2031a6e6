"""Operating points on simulated images, where the true rates are known, and on scores of real ones."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import norm

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, bayes_cost, fit_logistic, operating_point, roc
from siamese_mnist.evaluation.costs import minimum_bayes_cost
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.evaluation.operating import cheapest_threshold, measured, threshold_at
from siamese_mnist.evaluation.tail import collect_tail, joined_tails


def simulated(rng, images=150, classes=6, spread=0.9):
    """Scores of all pairs of images that are more or less typical of their class."""
    labels = rng.integers(classes, size=images)
    places = (
        rng.normal(size=(images, classes)) * spread * rng.gamma(4, 0.25, size=(images, 1)) + 2 * np.eye(classes)[labels]
    )
    matrix = -np.linalg.norm(places[:, None] - places, axis=2)
    left, right = np.triu_indices(images, 1)
    return (
        Calibration(scores=matrix[left, right], same=labels[left] == labels[right], left=left, right=right),
        labels,
        matrix,
    )


def tiles(matrix, height=40, width=64):
    for top in range(0, len(matrix), height):
        for start in range(0, len(matrix), width):
            tile = matrix[top : top + height, start : start + width]
            yield np.arange(top, top + len(tile)), np.arange(start, start + tile.shape[1]), tile


@pytest.fixture(scope="module")
def calibration():
    return simulated(np.random.default_rng(0))[0]


@pytest.mark.parametrize("grouped", [False, True])
def test_a_tail_says_what_all_pairs_say(grouped):
    rng = np.random.default_rng(3)
    everything, labels, matrix = simulated(rng)
    groups = 7 * rng.integers(20, size=labels.size) if grouped else None
    tail = collect_tail(tiles(matrix), labels, groups, kept=4000)
    impostor = ~everything.same
    assert tail.pairs == impostor.sum()
    np.testing.assert_array_equal(tail.scores, -np.sort(-everything.scores[impostor])[:4000])
    left, right = (np.arange(labels.size) if groups is None else groups)[[everything.left, everything.right]]
    for threshold in (*tail.scores[[2, 200, 3999]], np.inf):
        accepted = everything.scores[impostor] >= threshold
        assert tail.accepted(threshold) == accepted.sum()
        expected = accuracy_interval(accepted, left[impostor], right[impostor])
        assert tail.interval(threshold) == pytest.approx(expected, rel=1e-9)
    assert threshold_at(dataclasses.replace(everything, tail=tail), 0.01) == threshold_at(everything, 0.01)
    wish = {"prior": 0.05, "cost_false_match": 2.0}
    decision = fit_logistic(everything.scores, everything.same)
    points = [
        operating_point(decision, each, **wish) for each in (everything, dataclasses.replace(everything, tail=tail))
    ]
    assert points[0].threshold == points[1].threshold
    assert points[0].false_match_rate == points[1].false_match_rate


@pytest.mark.parametrize("grouped", [False, True])
def test_joined_tails_say_what_all_pairs_within_the_sets_say(grouped):
    """Classes of one name are in two sets, and so are groups; the second set's scores are lower."""
    rng, sizes = np.random.default_rng(4), (150, 90)
    whole = [simulated(rng, size, spread=spread) for size, spread in zip(sizes, (0.9, 1.3), strict=True)]
    starts = (0, 150)
    groups = [
        7 * rng.integers(20, size=size) if grouped else np.arange(start, start + size)
        for start, size in zip(starts, sizes, strict=True)
    ]
    single = [
        collect_tail(tiles(matrix), labels, own, kept=3000)
        for (_, labels, matrix), own in zip(whole, groups, strict=True)
    ]
    tail = joined_tails(single, groups)
    scores, same, left, right = (
        np.concatenate(
            [
                getattr(each, name) if name in ("scores", "same") else own[getattr(each, name)]
                for (each, *_), own in zip(whole, groups, strict=True)
            ]
        )
        for name in ("scores", "same", "left", "right")
    )
    assert tail.pairs == np.count_nonzero(~same)
    cut = max(each.scores[-1] for each in single)
    np.testing.assert_array_equal(tail.scores, -np.sort(-scores[~same & (scores >= cut)]))
    for threshold in (*tail.scores[[2, 200, -1]], np.inf):
        assert tail.reaches(threshold)
        expected = accuracy_interval(scores[~same] >= threshold, left[~same], right[~same])
        assert tail.interval(threshold) == pytest.approx(expected, rel=1e-9)
    assert not tail.reaches(np.nextafter(cut, -np.inf))


@pytest.mark.parametrize("limit", [0.3, 0.01, 0.001])
def test_the_threshold_is_the_lowest_that_keeps_the_rate(calibration, limit):
    threshold, impostors = threshold_at(calibration, limit), calibration.scores[~calibration.same]
    assert np.mean(impostors >= threshold) <= limit
    next_lower = impostors[impostors < threshold].max()
    assert np.mean(impostors >= next_lower) > limit
    assert impostors[impostors >= threshold].min() - threshold == pytest.approx(threshold - next_lower)


def test_equal_scores_are_accepted_together_or_not():
    scores = np.repeat([3.0, 2.0, 1.0], 100)
    calibration = Calibration(
        scores=scores, same=np.arange(300) % 2 == 0, left=np.arange(300), right=np.arange(300, 600)
    )
    assert threshold_at(calibration, 0.4) == 2.5
    assert threshold_at(calibration, 0.3) == np.nextafter(3, 4)


def test_what_the_pairs_cannot_tell_is_refused(calibration):
    impostors = np.count_nonzero(~calibration.same)
    with pytest.raises(
        UsageError, match=rf"{impostors:,} impostor pairs cannot tell a false match rate of 1e-05; at least 300,000"
    ):
        threshold_at(calibration, 1e-5)
    with pytest.raises(UsageError, match="max_fmr must be between 0 and 1, got 1"):
        threshold_at(calibration, 1)


@pytest.mark.parametrize("prior", [0.5, 0.05, 0.9])
def test_the_cheapest_threshold_is_that_of_smoothed_rates(calibration, prior):
    genuine, impostors = calibration.scores[calibration.same], calibration.scores[~calibration.same]
    spread = 0.3 * genuine.std()

    def cost(threshold):
        rates = [norm.sf((threshold - each) / spread).mean() for each in (impostors, genuine)]
        return bayes_cost(rates[0], 1 - rates[1], prior)

    found = cost(cheapest_threshold(calibration, prior))
    assert found == pytest.approx(min(map(cost, np.linspace(*np.quantile(calibration.scores, [0, 1]), 400))), abs=1e-3)


def test_the_cheapest_threshold_costs_less_on_other_images_than_that_of_the_pairs_themselves():
    """The least cost of few images' own pairs is chance in part."""
    rng, prior = np.random.default_rng(4), 0.01
    costs = {"smoothed": 0.0, "own": 0.0, "least": 0.0}
    for _ in range(12):
        known, other = (simulated(rng, images=120)[0] for _ in range(2))
        curve = roc(known.scores, known.same)
        own = curve.thresholds[np.argmin(bayes_cost(curve.false_match_rate, 1 - curve.true_match_rate, prior))]
        for name, threshold in (("smoothed", cheapest_threshold(known, prior)), ("own", own)):
            accepted = other.scores >= threshold
            costs[name] += bayes_cost(accepted[~other.same].mean(), np.mean(~accepted[other.same]), prior)
        costs["least"] += minimum_bayes_cost(roc(other.scores, other.same), prior)
    assert costs["least"] < costs["smoothed"] < costs["own"]


def test_a_threshold_of_equal_genuine_scores():
    scores = np.array([1.0, 1.0, 0.0, 0.5])
    pairs = np.arange(4)
    found = Calibration(scores=scores, same=scores == 1, left=pairs, right=pairs + 4)
    assert cheapest_threshold(found, 0.1) == 0.75


def test_a_point_says_what_it_is(calibration):
    decision = fit_logistic(calibration.scores, calibration.same)
    plain = operating_point(decision, calibration)
    assert (plain.threshold, plain.decision) == (decision.threshold, decision)
    point = operating_point(decision, calibration, max_fmr=0.05, prior=0.1)
    assert point.false_match_rate <= 0.05
    assert point.false_match_rate_interval[0] < point.false_match_rate < point.false_match_rate_interval[1]
    assert point.probability([point.decision.threshold]) == 0.5
    assert point.prior == 0.1
    assert point.predict([point.threshold, np.nextafter(point.threshold, -np.inf)]).tolist() == [True, False]
    values = point.as_dict()
    assert values["remarks"] == list(point.remarks)
    assert {"prior", "threshold", "max_fmr", "true_match_rate_interval", "impostor_pairs", "band"} <= values.keys()
    assert "worth" in operating_point(decision, calibration, max_fmr=0.001).remarks[0]
    trained_on = dataclasses.replace(calibration, unseen=False)
    assert "trained on" in operating_point(decision, trained_on).remarks[0]
    with pytest.raises(UsageError, match="both decide the threshold"):
        operating_point(decision, calibration, max_fmr=0.01, cost_false_match=2)


def test_expected_rates_hold_on_other_images():
    """Intervals of rates cover the rate of the population about as often as stated, thresholds being fitted."""
    rng = np.random.default_rng(5)
    other = simulated(np.random.default_rng(6), images=1500)[0]
    impostors = -np.sort(-other.scores[~other.same])
    covered = 0
    for _ in range(60):
        drawn = simulated(rng, images=90)[0]
        point = operating_point(fit_logistic(drawn.scores, drawn.same), drawn, max_fmr=0.02)
        true_rate = np.searchsorted(-impostors, -point.threshold) / impostors.size
        low, high = point.false_match_rate_interval
        covered += low <= true_rate <= high
    assert covered >= 52


def test_answers_are_wrong_at_most_as_often_as_stated():
    """The bound holds on the population in 95 of 100 calibrations, and pairs are left unsure only where they must."""
    rng = np.random.default_rng(8)
    other = simulated(np.random.default_rng(9), images=1200, spread=0.4)[0]
    kept, shares = 0, []
    for _ in range(40):
        drawn = simulated(rng, images=250, spread=0.4)[0]
        decision = fit_logistic(drawn.scores, drawn.same)
        point = operating_point(decision, drawn, max_error=0.04)
        found = measured(point, other.scores[::50], other.same[::50], other.left[::50], other.right[::50])
        kept += found["error_rate"] <= 0.04
        shares.append(found["unsure_share"])
        assert point.band.error_rate <= 0.04
    assert kept >= 37
    assert 0 < np.mean(shares) < 0.15


def test_a_bound_that_holds_anyway_leaves_nothing_unsure(calibration):
    point = operating_point(fit_logistic(calibration.scores, calibration.same), calibration, max_error=0.4)
    assert point.band.low == point.band.high == point.threshold
    assert not point.unsure(calibration.scores).any()


def test_bounds_that_cannot_be_shown(calibration):
    decision = fit_logistic(calibration.scores, calibration.same)
    with pytest.raises(
        UsageError, match=r"cannot show that at most 1e-06 of the answers .* least they can show is 0\.1"
    ):
        operating_point(decision, calibration, max_error=1e-6)
    with pytest.raises(UsageError, match=r"max_error must be between 0 and 0.5, got 0.5"):
        operating_point(decision, calibration, max_error=0.5)


def test_measured_figures(calibration):
    decision = fit_logistic(calibration.scores, calibration.same)
    point = operating_point(decision, calibration, prior=0.1, max_error=0.2)
    columns = calibration.scores, calibration.same, calibration.left, calibration.right
    found = measured(point, *columns)
    assert found["false_match_rate"] == pytest.approx(point.false_match_rate)
    missed = 1 - found["true_match_rate"]
    assert found["bayes_cost"] == pytest.approx((0.1 * missed + 0.9 * found["false_match_rate"]) / 0.1)
    costs = [
        bayes_cost(np.mean(accepted[~calibration.same]), np.mean(~accepted[calibration.same]), 0.1)
        for accepted in (calibration.scores >= each for each in [*np.unique(calibration.scores), np.inf])
    ]
    assert found["minimum_bayes_cost"] == pytest.approx(min(costs))
    assert found["minimum_bayes_cost"] <= found["bayes_cost"]
    assert found["unsure_share"] == pytest.approx(point.unsure(calibration.scores).mean())
    assert math.isfinite(found["error_rate"])
    assert "unsure_share" not in measured(operating_point(decision, calibration), *columns)
