"""Rows with intervals and verdicts."""

from pathlib import Path
from statistics import stdev

import numpy as np
import pytest

from siamese_mnist import UsageError
from siamese_mnist.evaluation import Decision, evaluate, intervals
from siamese_mnist.evaluation.verdicts import Comparison, judge_family
from siamese_mnist.runs.comparison import compare, sort_rows
from siamese_mnist.runs.result import Diverged, RunResult
from siamese_mnist.runs.store import read_scores
from siamese_mnist.settings.settings import Settings

EXACT = 1e-9


@pytest.fixture
def made(finished, tmp_path):
    """Makes a run on the pairs of the baseline's, whose answers are right with a given chance."""
    template = finished["baseline"]
    pairs = read_scores(template.run_dir)
    decision = Decision(0.0, 1.0)

    def make(variant, seed, accuracy, **changes):
        rng = np.random.default_rng([seed, *variant.encode()])
        right = rng.random(pairs["same"].size) < accuracy
        score = np.where(right == pairs["same"], 1, -1) * rng.exponential(size=right.size)
        values = template.as_dict() | {"variant": variant, "seed": seed}
        values["config"] = Settings.resolve("siamese", seed=seed).as_dict() | {"variant": variant}
        values["run_dir"] = str(tmp_path / f"{variant}-{seed}")
        values["decision"] |= {"threshold": 0.0, "slope": 1.0}
        values["test"] |= evaluate(score, pairs["same"], decision, swapped_scores=score)
        Path(values["run_dir"]).mkdir()
        np.savez(Path(values["run_dir"]) / "test_scores.npz", **pairs | {"score": score})
        return RunResult.from_dict({**values, **changes, "test": values["test"] | changes.get("test", {})})

    return make


def correct(run):
    scores = read_scores(run.run_dir)
    return (scores["score"] >= run.decision.threshold) == scores["same"]


def test_accuracy_interval_and_spread_over_seeds(made):
    runs = [made("siamese", seed, 0.8) for seed in range(3)]
    row = compare(runs)[1]
    pairs = read_scores(runs[0].run_dir)
    expected = intervals.accuracy_interval([correct(run) for run in runs], pairs["left"], pairs["right"])
    assert row["accuracy_interval"] == pytest.approx(list(expected), abs=EXACT)
    for name in ("accuracy", "roc_auc", "equal_error_rate"):
        assert row[f"{name}_sd"] == pytest.approx(stdev(run.test[name] for run in runs), abs=EXACT)
        low, high = row[f"{name}_interval"]
        assert low < row[name] < high


def test_one_seed_has_no_spread(made):
    run = made("siamese", 0, 0.8)
    row = compare([run])[1]
    pairs = read_scores(run.run_dir)
    expected = intervals.accuracy_interval(correct(run), pairs["left"], pairs["right"])
    assert row["accuracy_sd"] is row["roc_auc_sd"] is None
    assert row["accuracy_interval"] == pytest.approx(list(expected), abs=EXACT)
    low, high = row["roc_auc_interval"]
    assert low < run.test.roc_auc < high


def test_verdicts_against_the_first_variant(made):
    chances = {"first": 0.8, "better": 0.95, "alike": 0.8, "worse": 0.6}
    runs = [made(name, seed, chance) for name, chance in chances.items() for seed in range(5)]
    published, first, *others = compare(runs)
    assert [row["verdict"] for row in others] == ["better", "no difference shown", "worse"]
    assert {row["compared_with"] for row in others} == {"first"}
    for row in (published, first):
        assert row["verdict"] is row["difference"] is row["p_adjusted"] is row["compared_with"] is None
    pairs = read_scores(runs[0].run_dir)
    answers = [[correct(run) for run in runs[start : start + 5]] for start in (0, 5, 10, 15)]
    judged = judge_family([Comparison(each, answers[0]) for each in answers[1:]], pairs["left"], pairs["right"])
    for row, each in zip(others, judged, strict=True):
        assert row["difference"] == pytest.approx(row["accuracy"] - first["accuracy"], abs=EXACT)
        assert [row["difference"], *row["difference_interval"]] == pytest.approx(each[:3], abs=EXACT)
        assert row["p_adjusted"] == each.p_adjusted


def test_one_seed_gives_no_verdict_about_designs(made):
    runs = [made(name, 0, chance) for name, chance in {"first": 0.8, "other": 0.95, "alike": 0.8}.items()]
    verdicts = [row["verdict"] for row in compare(runs)[2:]]
    assert verdicts == ["one seed: models differ", "one seed: no difference shown"]


def test_only_common_seeds_are_paired(made):
    runs = [made("first", 1, 0.9), made("second", 0, 0.2), made("second", 1, 0.9)]
    row = compare(runs)[2]
    assert row["difference"] == pytest.approx(runs[2].test.accuracy - runs[0].test.accuracy, abs=EXACT)
    with pytest.raises(UsageError, match="'second' and 'first' have no seed in common"):
        compare(runs[:2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "kmnist"}, "different data sets; compare"),
        ({"test": {"pairs_digest": "0"}}, "different test pairs"),
    ],
)
def test_runs_on_other_pairs_are_refused(made, changes, message):
    runs = [made("first", 0, 0.9), made("second", 0, 0.9, **changes)]
    with pytest.raises(UsageError, match=message) as caught:
        compare(runs)
    assert all(run.run_dir in str(caught.value) for run in runs)


def test_costs(made):
    run = made("siamese", 0, 0.9)
    row = compare([run])[1]
    assert row["score_microseconds_per_pair"] == pytest.approx(1e6 / run.throughput.score_pairs_per_second)
    assert row["train_pairs_per_second"] == run.throughput.train_pairs_per_second


def test_sorting(made):
    rows = compare([made(name, 0, chance) for name, chance in (("a", 0.7), ("b", 0.9), ("c", 0.8))])

    def names(column):
        return [row["variant"] for row in sort_rows(rows, column)][1:]

    assert names("accuracy") == ["b", "c", "a"]
    assert names("equal_error_rate") == ["b", "c", "a"]
    assert names("difference") == ["b", "c", "a"]
    assert sort_rows(rows, "accuracy")[0]["published"]
    with pytest.raises(UsageError, match="cannot sort by 'acuracy'; use one of accuracy, "):
        sort_rows(rows, "acuracy")


def test_every_row_has_the_keys_of_the_published_one(made):
    rows = compare([made("a", 0, 0.7), made("b", 0, 0.9)])
    assert [list(row.as_dict()) for row in rows] == [list(rows[0].as_dict())] * 3


def test_a_diverged_seed_leaves_no_figures(made, short):
    settings = Settings.resolve("siamese", **short, seed=1)
    plain = Settings.resolve("siamese", **short).as_dict()
    runs = [made("first", 0, 0.8), made("siamese", 0, 0.8, config=plain), Diverged(settings=settings, reason="why")]
    rows = compare(runs)[1:]
    assert [(row.variant, row.diverged, row["accuracy"] is None) for row in rows] == [
        ("first", False, False),
        ("siamese", True, True),
    ]
    assert rows[1]["verdict"] == "diverged"
    assert [row.versus_first for row in compare([runs[2], runs[0]])[1:]] == [None, None]
    assert [row.entry for row in sort_rows(compare(runs), "accuracy")][1:] == [rows[0].entry, rows[1].entry]
