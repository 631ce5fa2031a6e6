"""METRICS: the built-in figures are what they were, and a metric of one's own gets an interval that covers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import siamese_mnist as sm
from siamese_mnist.evaluation import METRICS, Decision, JudgedPairs, bootstrap, evaluate
from siamese_mnist.evaluation.metrics import compute
from siamese_mnist.evaluation.scored import evaluate_file
from tests.evaluation.test_bootstrap import gaussian_scores


@pytest.fixture
def registered(monkeypatch):
    """Registers metrics until the test ends."""
    METRICS.parts()
    parts = dict(METRICS._parts)
    monkeypatch.setattr(METRICS, "_parts", parts)
    return METRICS.add


def auc_of_ranks(pairs):
    """Area under the ROC curve, from ranks."""
    ranks = stats.rankdata(pairs.scores)
    count = np.count_nonzero(pairs.same)
    return (ranks[pairs.same].sum() - count * (count + 1) / 2) / (count * (pairs.same.size - count))


def test_built_in_figures_are_what_they_were(tmp_path):
    """The figures that siamese-mnist gave before there was a registry of metrics; bootstrap intervals as since then."""
    rng = np.random.default_rng(0)
    left, right = np.divmod(rng.permutation(300**2)[:2000], 300)
    same = rng.random(2000) < 0.4
    score = (rng.normal(size=2000) + 1.5 * same).round(2)
    rows = (f"{a},{b},{int(c)},{d}\n" for a, b, c, d in zip(left, right, same, score, strict=True))
    (tmp_path / "scores.csv").write_text("left,right,same,score\n" + "".join(rows))
    found = evaluate_file(tmp_path / "scores.csv", fit_on_test=True)
    expected = json.loads((Path(__file__).parent / "fixed_figures.json").read_text())
    assert found.keys() == expected.keys() | {
        "file",
        "groups",
        "calibration_overlap",
        "cllr",
        "cllr_interval",
        "min_cllr",
    }
    for name, value in expected.items():
        assert flat(found[name]) == pytest.approx(flat(value), abs=1e-12), name


def flat(value):
    if isinstance(value, dict):
        return [each for name in sorted(value) for each in flat(value[name])]
    return [each for item in value for each in flat(item)] if isinstance(value, list) else [value]


@pytest.mark.parametrize("image_effect", [0.0, 1.0])
def test_intervals_from_repeated_rows_cover(registered, image_effect):
    """As for the weighted forms: nominal 0.95, 150 simulated experiments of known truth."""
    registered("auc_of_ranks", sm.Metric(function=auc_of_ranks, title="AUC of ranks", higher_is_better=True))
    rng = np.random.default_rng(41)
    truth, experiments, hits = stats.norm.cdf(math.sqrt(2)), 150, 0
    for _ in range(experiments):
        case = gaussian_scores(rng, 300, 1000, image_effect)
        options = {"rng": rng, "statistics": ("auc_of_ranks",), "replicates": 40}
        low, high = bootstrap.bootstrap_intervals(*case, Decision(1.0, 1.0), **options)["auc_of_ranks"]
        hits += low <= truth <= high
    assert 0.9 <= hits / experiments <= 0.99


def test_repeated_rows_and_weights_agree(registered):
    registered("auc_of_ranks", sm.Metric(function=auc_of_ranks, title="AUC of ranks", higher_is_better=True))
    case = gaussian_scores(np.random.default_rng(42), 300, 1000, 0.5)
    options = {"statistics": ("roc_auc", "auc_of_ranks"), "replicates": 300}
    found = bootstrap.bootstrap_intervals(*case, Decision(1.0, 1.0), rng=np.random.default_rng(0), **options)
    (low, high), (other_low, other_high) = found["roc_auc"], found["auc_of_ranks"]
    assert other_high - other_low == pytest.approx(high - low, rel=0.15)


def test_metrics_of_ones_own_leave_the_other_intervals_alone(registered):
    case = gaussian_scores(np.random.default_rng(43), 100, 300, 0.5)
    before = bootstrap.bootstrap_intervals(*case, Decision(1.0, 1.0), rng=np.random.default_rng(0), replicates=10)
    registered("auc_of_ranks", sm.Metric(function=auc_of_ranks, title="AUC of ranks", higher_is_better=True))
    after = bootstrap.bootstrap_intervals(*case, Decision(1.0, 1.0), rng=np.random.default_rng(0), replicates=10)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"auc_of_ranks"}


def test_an_unlimited_metric_has_a_symmetric_interval_and_a_limited_one_stays_within(registered):
    def d_prime(pairs):
        """Distance of the two means in standard deviations."""
        one, other = pairs.scores[pairs.same], pairs.scores[~pairs.same]
        return (one.mean() - other.mean()) / math.sqrt((one.var() + other.var()) / 2)

    for name, limits in (("free", (-math.inf, math.inf)), ("limited", (0.0, 8.0))):
        registered(name, sm.Metric(function=d_prime, title=name, higher_is_better=True, limits=limits))
    scores, same, left, right = gaussian_scores(np.random.default_rng(44), 200, 800, 0.5)
    found = bootstrap.bootstrap_intervals(
        scores, same, left, right, Decision(1.0, 1.0), rng=np.random.default_rng(0), statistics=("free", "limited")
    )
    value = evaluate(scores, same, Decision(1.0, 1.0))["free"]
    assert sum(found["free"]) / 2 == pytest.approx(value)
    assert found["limited"] == pytest.approx(found["free"], abs=0.05)
    assert 0 < found["limited"][0] < value < found["limited"][1] < 8


def test_no_figure_is_none_and_has_no_interval(registered):
    registered("nothing", sm.Metric(function=lambda pairs: math.nan, title="nothing", higher_is_better=True))  # noqa: ARG005
    scores, same, left, right = gaussian_scores(np.random.default_rng(45), 50, 200, 0.5)
    assert evaluate(scores, same, Decision(1.0, 1.0))["nothing"] is None
    found = bootstrap.bootstrap_intervals(
        scores, same, left, right, Decision(1.0, 1.0), rng=np.random.default_rng(0), replicates=4
    )
    assert "nothing" not in found


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda pairs: 3.0, r"metric 'odd' \(built in\) is 3.0, outside its limits 0 to 1"),  # noqa: ARG005
        (lambda pairs: pairs.nothing, "metric 'odd' .* fails: AttributeError"),
    ],
)
def test_a_metric_that_breaks_its_promise_is_named(registered, function, message):
    registered("odd", sm.Metric(function=function, title="odd", higher_is_better=True))
    pairs = JudgedPairs(scores=np.array([0.0, 1.0]), same=np.array([False, True]), decision=Decision(0.5, 1.0))
    with pytest.raises(sm.UsageError, match=message):
        compute("odd", pairs)


@pytest.mark.parametrize("name", ["pairs", "threshold", "Accuracy", "accuracy_sd", "a-b", "others"])
def test_names_that_would_hide_something_else_are_refused(name):
    with pytest.raises(ValueError, match=r"is taken by|is named in small letters"):
        METRICS.add(name, sm.Metric(function=auc_of_ranks, title="x", higher_is_better=True))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"needs": "labels"}, "needs must be one of scores, "),
        ({"interval": "t"}, "interval must be 'bootstrap', 'wilson' or None"),
        ({"limits": (1.0, 0.0)}, "limits must be a lower and a higher number"),
    ],
)
def test_wrong_attributes_are_refused(about, message):
    with pytest.raises(ValueError, match=message):
        sm.Metric(function=auc_of_ranks, title="x", higher_is_better=True, **about)
