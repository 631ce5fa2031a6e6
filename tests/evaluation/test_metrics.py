"""The metrics against scikit-learn, brute force, closed forms and hand-made examples."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from siamese_mnist import evaluation as ev

EXACT = 1e-9
properties = settings(deadline=None, derandomize=True, max_examples=60)


@st.composite
def scored_pairs(draw, max_size=40):
    """Scores with many ties, both classes present."""
    size = draw(st.integers(2, max_size))
    levels = st.one_of(
        st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_subnormal=False), st.sampled_from([0.1, 0.1 + 2e-17])
    )
    scores = np.array(draw(st.lists(levels, min_size=size, max_size=size)))
    same = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    same[draw(st.integers(0, size - 1))] ^= same.all() or not same.any()
    return scores, same


def gaussian_pairs(rng, pairs=2000, distance=2.0, decimals=None):
    same = rng.random(pairs) < 0.4
    scores = rng.normal(size=pairs) + distance * same
    return (scores if decimals is None else scores.round(decimals)), same


def brute_equal_error_rate(scores, same):
    """Root of FMR - FNMR along the polyline of scikit-learn's ROC points."""
    false_match, true_match, _ = metrics.roc_curve(same, scores, drop_intermediate=False)
    place = np.arange(false_match.size)
    at = brentq(lambda t: np.interp(t, place, false_match) + np.interp(t, place, true_match) - 1, 0, place[-1])
    return np.interp(at, place, false_match)


@properties
@given(scored_pairs())
def test_ranking_metrics_agree_with_their_oracles(case):
    scores, same = case
    assert ev.roc_auc(scores, same) == pytest.approx(metrics.roc_auc_score(same, scores), abs=EXACT)
    expected = metrics.average_precision_score(same, scores)
    assert ev.average_precision(scores, same) == pytest.approx(expected, abs=EXACT)
    assert ev.equal_error_rate(scores, same) == pytest.approx(brute_equal_error_rate(scores, same), abs=EXACT)


@properties
@given(scored_pairs(), st.sampled_from([0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 1.0]))
def test_true_match_rate_is_the_best_operating_point_within_the_limit(case, limit):
    scores, same = case
    thresholds = [*scores, np.inf]
    allowed = [np.mean(scores[same] >= t) for t in thresholds if np.mean(scores[~same] >= t) <= limit]
    assert ev.true_match_rate(scores, same, limit) == pytest.approx(max(allowed), abs=EXACT)


@properties
@given(scored_pairs())
def test_detection_error_tradeoff_points_are_real_operating_points(case):
    scores, same = case
    false_match, false_non_match, thresholds = ev.detection_error_tradeoff(scores, same)
    np.testing.assert_allclose(false_match, [np.mean(scores[~same] >= t) for t in thresholds], atol=EXACT)
    np.testing.assert_allclose(false_non_match, [np.mean(scores[same] < t) for t in thresholds], atol=EXACT)
    assert (np.diff(false_match) <= 0).all()


@pytest.mark.parametrize(
    ("same_scores", "different_scores", "expected"),
    [
        ([2, 1, 1], [1, 0], 2 / 7),  # a tied group with unequal steps: the nearest mean would say 1/3 or 1/4
        ([1, 1, 1], [1, 1], 0.5),
        ([3, 2], [1, 0], 0.0),
        ([0, 1], [2, 3], 1.0),
        ([3, 1], [2, 0], 0.5),
    ],
)
def test_equal_error_rate_by_hand(same_scores, different_scores, expected):
    scores = np.array(same_scores + different_scores, dtype=float)
    same = np.arange(scores.size) < len(same_scores)
    assert ev.equal_error_rate(scores, same) == pytest.approx(expected, abs=EXACT)


def test_equal_error_rate_of_two_gaussians():
    scores, same = gaussian_pairs(np.random.default_rng(0), 200_000)
    assert ev.equal_error_rate(scores, same) == pytest.approx(norm.cdf(-1), abs=0.003)


@properties
@given(scored_pairs())
def test_exchanging_classes_and_signs_keeps_error_rates(case):
    scores, same = case
    assert ev.equal_error_rate(-scores, ~same) == pytest.approx(ev.equal_error_rate(scores, same), abs=EXACT)
    assert ev.roc_auc(-scores, ~same) == pytest.approx(ev.roc_auc(scores, same), abs=EXACT)


@properties
@given(scored_pairs())
def test_fitted_threshold_has_the_highest_accuracy_and_lies_in_the_gap(case):
    scores, same = case
    threshold = ev.fit_threshold(scores, same)
    candidates = [*scores, np.inf]
    best = max(np.mean((scores >= t) == same) for t in candidates)
    assert np.isfinite(threshold)
    assert np.mean((scores >= threshold) == same) == best
    below, above = scores[scores < threshold], scores[scores >= threshold]
    if below.size and above.size:
        assert threshold == pytest.approx((below.max() + above.min()) / 2, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "same", "expected"),
    [
        ([0, 4], [0, 1], 2.0),
        ([0, 1, 2, 6], [0, 1, 0, 1], 4.0),  # gaps 0-1 and 2-6 are equally good, the second is wider
        ([0, 4, 5, 6], [0, 1, 0, 1], 2.0),  # and here the first
        ([0, 1, 2, 3, 4, 5], [0, 1, 0, 1, 0, 1], 2.5),  # three equal gaps: the middle one
        ([0, 1], [1, 0], 0.0),  # every gap is worse than one constant answer
        ([0, 1, 2], [1, 0, 0], np.nextafter(2.0, 3.0)),
        ([1.0, np.nextafter(1.0, 2.0)], [0, 1], np.nextafter(1.0, 2.0)),
        ([7, 7, 7], [1, 0, 1], 7.0),
    ],
)
def test_threshold_ties_by_hand(scores, same, expected):
    assert ev.fit_threshold(scores, same) == expected


@properties
@given(
    st.floats(-1e3, 1e3),
    st.floats(1e-6, 1e6),
    hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e3, 1e3)),
)
def test_probability_is_at_least_half_exactly_where_predicted_same(threshold, slope, scores):
    decision = ev.Decision(threshold, slope)
    scores = np.concatenate([scores, [threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)]])
    probability = decision.probability(scores)
    np.testing.assert_array_equal(probability >= 0.5, decision.predict(scores))
    np.testing.assert_array_equal(decision.predict(scores), scores >= threshold)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert (np.diff(probability[np.argsort(scores)]) >= 0).all()


def test_float32_scores_are_compared_with_the_unrounded_threshold():
    threshold = float(np.float32(0.1)) + 1e-12
    assert not ev.Decision(threshold, 1.0).predict(np.array([0.1], dtype=np.float32))[0]


@pytest.mark.parametrize("decimals", [None, 0])
def test_slope_is_the_maximum_likelihood_of_platts_targets(decimals):
    scores, same = gaussian_pairs(np.random.default_rng(1), decimals=decimals)
    decision = ev.fit_decision(scores, same)
    positive = (same.sum() + 1) / (same.sum() + 2)
    negative = 1 / ((~same).sum() + 2)
    target = np.where(same, positive, negative)
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    inputs = np.tile(scores - decision.threshold, 2)[:, None]
    model.fit(inputs, np.repeat([1, 0], same.size), sample_weight=np.concatenate([target, 1 - target]))
    assert decision.slope == pytest.approx(model.coef_[0, 0], rel=1e-5)
    assert decision.threshold == ev.fit_threshold(scores, same)
    assert ev.fit_decision(scores, same, 0.25).threshold == 0.25


@properties
@given(scored_pairs(), st.one_of(st.none(), st.floats(-5, 5)))
def test_fitted_decision_is_always_usable(case, threshold):
    decision = ev.fit_decision(*case, threshold)
    assert np.isfinite(decision.slope)
    assert decision.slope > 0


def test_slope_scales_with_the_scores_and_is_finite_on_separable_pairs():
    scores, same = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True])
    decision = ev.fit_decision(scores, same)
    assert ev.fit_decision(1000 * scores, same).slope == pytest.approx(decision.slope / 1000)
    assert 0.5 < decision.probability(1.0) < 0.95
    assert ev.fit_decision(-scores, same, 0.0).probability(scores) == pytest.approx([0.5] * 4, abs=1e-5)


@pytest.mark.parametrize("pairs", [7, 3000])
@pytest.mark.parametrize("decimals", [None, 1])
def test_evaluate_agrees_with_scikit_learn(pairs, decimals):
    rng = np.random.default_rng(pairs)
    scores, same = gaussian_pairs(rng, pairs, decimals=decimals)
    decision = ev.Decision(0.9, 1.7)
    swapped = scores + 0.1 * rng.normal(size=pairs)
    result = ev.evaluate(scores, same, decision, swapped_scores=swapped)
    predicted, probability = scores >= 0.9, 1 / (1 + np.exp(-1.7 * (scores - 0.9)))
    different, alike = zip(
        *metrics.precision_recall_fscore_support(same, predicted, zero_division=0.0)[:3], strict=True
    )
    figures = ("precision", "recall", "f1")
    expected = {
        "pairs": pairs,
        "accuracy": metrics.accuracy_score(same, predicted),
        "same": dict(zip(figures, alike, strict=True)),
        "different": dict(zip(figures, different, strict=True)),
        "roc_auc": metrics.roc_auc_score(same, scores),
        "average_precision": metrics.average_precision_score(same, scores),
        "equal_error_rate": brute_equal_error_rate(scores, same),
        "true_match_rate": {str(x): ev.true_match_rate(scores, same, x) for x in (0.01, 0.001)},
        "log_loss": metrics.log_loss(same, probability),
        "brier_score": metrics.brier_score_loss(same, probability),
        "expected_calibration_error": ev.expected_calibration_error(probability, same),
        "cllr": metrics.log_loss(
            same, probability, sample_weight=np.where(same, 1 / same.mean(), 1 / (1 - same.mean()))
        )
        / np.log(2),
        "min_cllr": ev.min_cllr(scores, same),
        "threshold": 0.9,
        "swap_agreement": np.mean((swapped >= 0.9) == predicted),
        "largest_swap_difference": np.abs(1 / (1 + np.exp(-1.7 * (swapped - 0.9))) - probability).max(),
    }
    assert result.pop("confusion_matrix") == metrics.confusion_matrix(same, predicted).tolist()
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        assert result[name] == pytest.approx(value, abs=EXACT), name


def test_evaluate_is_ready_for_json_and_leaves_its_inputs_alone():
    scores, same = gaussian_pairs(np.random.default_rng(2), 50)
    before = scores.copy()
    result = ev.evaluate(scores, same, ev.Decision(1.0, 1.0))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert "swap_agreement" not in result
    assert list(result["true_match_rate"]) == ["0.01", "0.001"]
    np.testing.assert_array_equal(scores, before)
    assert ev.evaluate(scores.tolist(), same.astype(int).tolist(), ev.Decision(1.0, 1.0)) == result


def test_constant_answers_score_zero_without_a_warning():
    confusion = ev.confusion_matrix([True, True, True], [True, False, True])
    assert confusion.tolist() == [[0, 1], [0, 2]]
    assert ev.precision_recall_f1(confusion, positive=0) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


@properties
@given(
    hnp.arrays(np.float64, 30, elements=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.2, 0.4, 1.0]))),
    hnp.arrays(np.bool_, 30),
    st.integers(1, 20),
)
def test_expected_calibration_error_by_brute_force(probability, same, bins):
    edges = np.linspace(0, 1, bins + 1)
    expected = 0.0
    for number in range(bins):
        low = probability > edges[number] if number else probability >= 0
        inside = low & (probability <= edges[number + 1])
        if inside.any():
            expected += inside.mean() * abs(probability[inside].mean() - same[inside].mean())
    assert ev.expected_calibration_error(probability, same, bins) == pytest.approx(expected, abs=EXACT)


def test_a_probability_on_an_edge_belongs_to_the_lower_bin():
    assert ev.expected_calibration_error([0.5, 0.1, 0.9], [1, 0, 1], bins=2) == pytest.approx(0.5 / 3, abs=EXACT)


def test_expected_calibration_error_has_the_bins_of_scikit_learn():
    probability = np.repeat([0.05, 0.2, 0.55, 0.95], 100)
    same = np.random.default_rng(3).random(400) < probability
    true, predicted = calibration_curve(same, probability, n_bins=4)
    expected = abs(true - predicted) @ [0.5, 0.25, 0.25]
    assert ev.expected_calibration_error(probability, same, 4) == pytest.approx(expected, abs=EXACT)


@properties
@given(st.integers(0, 2**32 - 1), st.integers(0, 60))
def test_digit_pair_accuracy_by_brute_force(seed, pairs):
    rng = np.random.default_rng(seed)
    left, right = rng.integers(0, 4, (2, pairs))
    correct = rng.random(pairs) < 0.7
    accuracy, counts = ev.digit_pair_accuracy(correct, left, right, 4)
    for i in range(4):
        for j in range(4):
            chosen = ((left == i) & (right == j)) | ((left == j) & (right == i))
            assert counts[i, j] == chosen.sum()
            if chosen.any():
                assert accuracy[i, j] == pytest.approx(correct[chosen].mean(), abs=EXACT)
            else:
                assert np.isnan(accuracy[i, j])


@pytest.mark.parametrize(
    ("scores", "same", "message"),
    [
        ([], [], "scores is empty"),
        ([1, 2, 3], [True, False], "got 3 and 2"),
        ([1, np.nan, 3], [1, 0, 1], "got nan in row 1"),
        ([1, 2, np.inf], [1, 0, 1], "got inf in row 2"),
        ([1, 2], [0, 2], "boolean or 0/1, got 2 in row 1"),
        ([1, 2], [0.0, np.nan], "boolean or 0/1, got nan in row 1"),
        ([1, 2], [True, True], r"one class only \(all True\)"),
        ([1, 2], [0, 0], r"one class only \(all False\)"),
        ([[1], [2]], [True, False], r"scores must be 1-D .* got shape \(2, 1\)"),
        ([1, 2], [[True, False]], r"same must be 1-D .* got shape \(1, 2\)"),
    ],
)
def test_bad_pairs_are_refused_in_one_line(scores, same, message):
    calls = [ev.roc_auc, ev.average_precision, ev.equal_error_rate, ev.detection_error_tradeoff]
    calls += [ev.fit_threshold, ev.fit_decision, lambda a, b: ev.true_match_rate(a, b, 0.1)]
    calls += [lambda a, b: ev.evaluate(a, b, ev.Decision(0.0, 1.0))]
    for call in calls:
        with pytest.raises(ValueError, match=message) as error:
            call(scores, same)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ev.Decision(np.inf, 1.0), "threshold must be finite, got inf"),
        (lambda: ev.Decision(0.0, 0.0), "slope must be finite and > 0, got 0"),
        (lambda: ev.Decision(0.0, np.nan), "slope must be finite and > 0, got nan"),
        (lambda: ev.fit_decision([0, 1], [0, 1], np.nan), "threshold must be finite, got nan"),
        (lambda: ev.true_match_rate([0, 1], [0, 1], 1.5), r"in \[0, 1\], got 1.5"),
        (lambda: ev.expected_calibration_error([0.5, 1.5], [0, 1]), "got 1.5 in row 1"),
        (lambda: ev.expected_calibration_error([0.5], [0], bins=0), "bins must be >= 1, got 0"),
        (lambda: ev.confusion_matrix([True], [True, False]), "got 1 and 2"),
        (lambda: ev.digit_pair_accuracy([True], [0], [10], 10), r"in \[0, 10\), got 0 to 10"),
        (lambda: ev.digit_pair_accuracy([True], [0.0], [1], 10), "left_labels must be 1-D integers"),
        (lambda: ev.digit_pair_accuracy([True, True], [0], [1], 10), "equal length, got 2 and 1"),
        (
            lambda: ev.evaluate([0, 1], [0, 1], ev.Decision(0.0, 1.0), swapped_scores=[1]),
            "swapped_scores and same .* got 1 and 2",
        ),
    ],
)
def test_bad_settings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_importing_the_module_costs_numpy_alone():
    code = (
        "import sys, types; package = types.ModuleType('siamese_mnist'); package.__path__ = [sys.argv[1]];"
        "sys.modules['siamese_mnist'] = package; import siamese_mnist.evaluation;"
        "sys.exit(any(name in sys.modules for name in ('scipy', 'sklearn', 'torch')))"
    )
    folder = Path(ev.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode == 0


def test_fit_logistic_is_scikit_learns_regression_and_answers_as_it_states():
    rng = np.random.default_rng(0)
    same = rng.random(20_000) < 0.5
    scores = rng.normal(size=same.size) + 2 * same - 7
    found = ev.fit_logistic(scores, same)
    assert found.threshold == pytest.approx(-6, abs=0.05)  # where the two densities cross
    assert found.slope == pytest.approx(2, abs=0.1)
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e9).fit(scores[:, None], same)
    assert found.slope == pytest.approx(fitted.coef_[0, 0], rel=1e-3)
    assert found.threshold == pytest.approx(-fitted.intercept_[0] / fitted.coef_[0, 0], rel=1e-3)
    for odd in (np.zeros(20_000), -scores, np.where(same, 1.0, -1.0)):
        decision = ev.fit_logistic(odd, same)
        assert decision.slope > 0
        assert np.isfinite(decision.slope)
