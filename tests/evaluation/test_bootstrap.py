"""The image bootstrap against scikit-learn and simulated experiments of known truth."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit
from sklearn import metrics

from siamese_mnist import evaluation
from siamese_mnist.evaluation import bootstrap, intervals
from tests.evaluation.test_intervals import random_pairs

EXACT = 1e-9


def gaussian_scores(rng, images, pairs, image_effect):
    """Scores two standard deviations apart, whose accuracy, AUC and equal error rate are Gaussian integrals."""
    left, right = random_pairs(rng, images, pairs)
    effect = rng.normal(size=images) * image_effect
    spread = math.sqrt(2 * image_effect**2 + 1)
    same = rng.random(pairs) < 0.5
    scores = (effect[left] + effect[right] + rng.normal(size=pairs)) / spread + 2 * same
    return scores, same, left, right


@pytest.mark.parametrize("image_effect", [0.0, 1.0])
def test_bootstrap_interval_covers(image_effect):
    rng = np.random.default_rng(21)
    truth = {
        "accuracy": stats.norm.cdf(1),
        "roc_auc": stats.norm.cdf(math.sqrt(2)),
        "equal_error_rate": stats.norm.cdf(-1),
    }
    experiments, hits, estimates, widths = 200, dict.fromkeys(truth, 0), [], []
    for _ in range(experiments):
        case = gaussian_scores(rng, 300, 1000, image_effect)
        found = bootstrap.bootstrap_intervals(
            *case, evaluation.Decision(1.0, 1.0), rng=rng, statistics=tuple(truth), replicates=100
        )
        for name, (low, high) in found.items():
            hits[name] += low <= truth[name] <= high
        estimates.append(evaluation.roc_auc(*case[:2]))
        widths.append(found["roc_auc"][1] - found["roc_auc"][0])
    for name, count in hits.items():
        assert 0.91 <= count / experiments <= 0.985, name
    # Product weights without their correction are about 1.6 times too wide here.
    assert np.mean(widths) / (2 * 1.96 * np.std(estimates)) == pytest.approx(1, abs=0.15)


def test_bootstrap_interval_over_seeds_covers_where_images_alone_do_not():
    """Seeds differ in how far they set the classes apart, so in their AUC; its mean over seeds is integrated."""
    rng = np.random.default_rng(33)
    seeds, pairs, experiments = 4, 600, 200
    truth = np.mean(stats.norm.cdf(np.linspace(1.4, 2.6, 1001) / math.sqrt(2)))
    both = images_only = 0
    decision = evaluation.Decision(1.0, 1.0)
    for _ in range(experiments):
        left, right = random_pairs(rng, 200, pairs)
        effect = rng.normal(size=200)
        same = rng.random(pairs) < 0.5
        noise = (effect[left] + effect[right] + rng.normal(size=(seeds, pairs))) / math.sqrt(3)
        scores = noise + same * rng.uniform(1.4, 2.6, (seeds, 1))
        options = {"rng": rng, "statistics": ("roc_auc",), "replicates": 100}
        low, high = bootstrap.bootstrap_intervals(scores, same, left, right, [decision] * seeds, **options)["roc_auc"]
        both += low <= truth <= high
        low, high = bootstrap.bootstrap_intervals(scores[0], same, left, right, decision, **options)["roc_auc"]
        images_only += low <= truth <= high
    assert 0.91 <= both / experiments <= 0.985
    assert images_only / experiments < 0.9


def test_equal_seeds_have_the_interval_of_one():
    scores, same, left, right = gaussian_scores(np.random.default_rng(34), 100, 400, 0.5)
    decision = evaluation.Decision(1.0, 1.0)
    one = bootstrap.bootstrap_intervals(
        scores, same, left, right, decision, rng=np.random.default_rng(0), replicates=50
    )
    three = bootstrap.bootstrap_intervals(
        [scores] * 3, same, left, right, [decision] * 3, rng=np.random.default_rng(0), replicates=50
    )
    for name, interval in one.items():
        assert three[name] == pytest.approx(interval, abs=EXACT), name


def test_seeds_are_averaged_pair_by_pair():
    """Two seeds with opposite mistakes: their mean accuracy hardly moves with the images, either one's does."""
    rng = np.random.default_rng(35)
    left, right = np.arange(400) % 20, 20 + np.arange(400) // 20
    same = rng.random(400) < 0.5
    right_answers = (left < 10)[None] == np.array([[True], [False]])
    right_answers[:, rng.choice(400, 20, replace=False)] = True
    scores = np.where(right_answers == same, 1.0, -1.0) * (1 + rng.random((2, 400)))
    decision = evaluation.Decision(0.0, 1.0)
    options = {"statistics": ("accuracy",), "replicates": 200}
    (low, high), (one_low, one_high) = (
        bootstrap.bootstrap_intervals(*case, rng=np.random.default_rng(0), **options)["accuracy"]
        for case in (
            (scores, same, left, right, [decision] * 2),
            (scores[0], same, left, right, decision),
        )
    )
    assert high - low < 0.4 * (one_high - one_low)


def balanced(weights, same):
    return np.where(same, weights / weights[same].sum(), weights / weights[~same].sum())


def weighted_figures(scores, same, decision, weights):
    """scikit-learn's view of one replicate."""
    predicted, probability = decision.predict(scores), decision.probability(scores)
    different, alike = zip(
        *metrics.precision_recall_fscore_support(same, predicted, sample_weight=weights, zero_division=0.0)[:3],
        strict=True,
    )
    false_match, true_match, _ = metrics.roc_curve(same, scores, sample_weight=weights, drop_intermediate=False)
    place = np.arange(false_match.size)
    fine = np.linspace(0, place[-1], 200 * place.size)
    excess = np.abs(np.interp(fine, place, false_match) + np.interp(fine, place, true_match) - 1)
    names = ("precision", "recall", "f1")
    return {
        "accuracy": metrics.accuracy_score(same, predicted, sample_weight=weights),
        **{f"same/{name}": value for name, value in zip(names, alike, strict=True)},
        **{f"different/{name}": value for name, value in zip(names, different, strict=True)},
        "roc_auc": metrics.roc_auc_score(same, scores, sample_weight=weights),
        "average_precision": metrics.average_precision_score(same, scores, sample_weight=weights),
        "equal_error_rate": np.interp(fine[excess.argmin()], place, false_match),
        "true_match_rate/0.01": true_match[false_match <= 0.01].max(),
        "true_match_rate/0.001": true_match[false_match <= 0.001].max(),
        "log_loss": metrics.log_loss(same, probability, sample_weight=weights),
        "brier_score": metrics.brier_score_loss(same, probability, sample_weight=weights),
        # Balanced classes: the log loss of odds that leave the prior out.
        "cllr": metrics.log_loss(
            same, expit(decision.log_likelihood_ratio(scores)), sample_weight=balanced(weights, same)
        )
        / np.log(2),
    }


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_weighted_statistics_agree_with_scikit_learn(decimals):
    rng = np.random.default_rng(22)
    scores, same, _, _ = gaussian_scores(rng, 100, 300, 0.5)
    order = np.argsort(-scores.round(decimals))
    scores, same = scores.round(decimals)[order], same[order]
    decision = evaluation.Decision(1.0, 2.0)
    weights = rng.exponential(size=(3, scores.size))
    compute = weighted_form(scores, same, decision, bootstrap.resampled_metrics())
    for column, row in zip(compute(weights).T, weights, strict=True):
        expected = weighted_figures(scores, same, decision, row)
        for name, value in zip(bootstrap.resampled_metrics(), column, strict=True):
            tolerance = 1e-3 if name == "equal_error_rate" else EXACT
            assert value == pytest.approx(expected[name], abs=tolerance), name


def weighted_form(scores, same, decision, names):
    return bootstrap._weighted_form(evaluation.JudgedPairs(scores=scores, same=same, decision=decision), names)


def figure_at(result, path):
    for part in path.split("/"):
        result = result[part]
    return result


@pytest.mark.parametrize("decimals", [8, 1])
def test_bootstrap_names_are_paths_into_evaluate_and_intervals_hold_its_figures(decimals):
    rng = np.random.default_rng(23)
    scores, same, left, right = gaussian_scores(rng, 200, 800, 0.5)
    scores, decision = scores.round(decimals), evaluation.Decision(1.0, 2.0)
    found = bootstrap.bootstrap_intervals(scores, same, left, right, decision, rng=rng, replicates=50)
    result = evaluation.evaluate(scores, same, decision)
    assert tuple(found) == bootstrap.resampled_metrics()
    order = np.argsort(-scores)
    compute = weighted_form(scores[order], same[order], decision, bootstrap.resampled_metrics())
    for name, value in zip(bootstrap.resampled_metrics(), compute(np.ones((1, 800)))[:, 0], strict=True):
        assert value == pytest.approx(figure_at(result, name), abs=EXACT)
        low, high = found[name]
        assert low < value < high


def test_bootstrap_depends_on_the_generator_alone(monkeypatch):
    scores, same, left, right = gaussian_scores(np.random.default_rng(24), 50, 200, 0.5)

    def found(seed):
        return bootstrap.bootstrap_intervals(
            scores, same, left, right, evaluation.Decision(1.0, 1.0), rng=np.random.default_rng(seed), replicates=20
        )

    whole = found(1)
    assert found(2) != whole
    monkeypatch.setattr(bootstrap, "CHUNK_WEIGHTS", 600)
    for name, interval in found(1).items():
        assert interval == pytest.approx(whole[name], abs=EXACT)


def test_image_weights_multiply_and_a_self_pair_weighs_its_image_once():
    graph = intervals.pair_graph([0, 0, 1, 2], [1, 0, 0, 2], 4)
    weights = np.concatenate(
        list(bootstrap._image_weights(graph, 20_000, np.random.default_rng(25).standard_exponential))
    )
    np.testing.assert_allclose(weights[:, 0], weights[:, 2])
    np.testing.assert_allclose(weights.var(axis=0), [3, 1, 3, 1], rtol=0.15)
    own = np.concatenate(list(bootstrap._pair_weights(graph, 20_000, np.random.default_rng(25).standard_exponential)))
    np.testing.assert_allclose(own[:, 0], own[:, 2])
    np.testing.assert_allclose(own.var(axis=0), [1, 0, 1, 0], rtol=0.15)


def test_bootstrap_of_perfect_answers_has_width():
    same = np.arange(264) % 2 == 0  # of this many, the steps of the ROC curve do not add up to exactly 1
    found = bootstrap.bootstrap_intervals(
        same * 2.0 - 1 + np.linspace(0, 0.1, 264),
        same,
        np.arange(264),
        np.arange(264, 528),
        evaluation.Decision(0.0, 1.0),
        rng=np.random.default_rng(26),
        replicates=20,
    )
    expected = intervals.wilson_interval(1.0, 132)[0]
    for name in ("accuracy", "same/precision", "roc_auc", "true_match_rate/0.001"):
        assert found[name] == pytest.approx((expected, 1.0), abs=2e-3)
    assert found["equal_error_rate"] == pytest.approx((0.0, 1 - expected), abs=2e-3)


def test_weighted_true_match_rate_allows_exactly_the_limit():
    same = np.arange(200) % 2 == 0
    compute = weighted_form(-np.arange(200.0), same, evaluation.Decision(0.0, 1.0), ["true_match_rate/0.01"])
    assert compute(np.ones((1, 200)))[0, 0] == 0.02


def bad(**changes):
    arguments = {"rng": np.random.default_rng(0), "replicates": 2} | changes
    return bootstrap.bootstrap_intervals([0, 1], [0, 1], [0, 1], [2, 3], evaluation.Decision(0.5, 1.0), **arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bad(statistics=["auc"]), "unknown metric 'auc'; known: accuracy"),
        (lambda: bootstrap.bootstrap_intervals([[0, 1]] * 2, [0, 1], [0, 1], [2, 3], [], rng=None), "need S decisions"),
        (lambda: bad(replicates=1), "replicates must be >= 2, got 1"),
        (lambda: bad(confidence=1.0), "confidence must be between 0 and 1, got 1.0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
