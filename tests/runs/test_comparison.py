"""Runs to rows."""

import json
import shutil
from pathlib import Path

import pytest

from siamese_mnist.runs.comparison import compare
from siamese_mnist.runs.store import RunResult


def changed(run, run_dir, seed, accuracy, recall, seconds):
    """A run's result with other figures, its scores in a folder of their own."""
    run_dir.mkdir()
    shutil.copy(Path(run.run_dir) / "test_scores.npz", run_dir)
    values = run.as_dict()
    values["seed"] = seed
    values["run_dir"] = str(run_dir)
    values["test"]["accuracy"] = accuracy
    values["test"]["same"]["recall"] = recall
    values["phase1"]["train_seconds"] = seconds
    values["phase2"]["train_seconds"] = 2 * seconds
    return RunResult.from_dict(values)


def test_published_row_comes_first(finished):
    rows = compare([finished["siamese"], finished["baseline"]])
    assert [row["published"] for row in rows] == [True, False, False]
    assert [row["variant"] for row in rows[1:]] == ["siamese", "baseline"]
    published = rows[0]
    assert published["accuracy"] == 0.89
    assert published["same"]["recall"] == 0.91
    assert published["same"]["f1"] == published["different"]["f1"] == 0.89
    assert published["parameters"] == 404_988
    assert published["roc_auc"] is None


def test_a_row_holds_the_runs_figures(finished):
    run = finished["baseline"]
    row = compare([run])[1]
    assert row["accuracy"] == run.test.accuracy
    assert row["same"] == run.test.same.as_dict()
    assert row["different"] == run.test.different.as_dict()
    assert row["roc_auc"] == run.test.roc_auc
    assert row["equal_error_rate"] == run.test.equal_error_rate
    assert row["swap_agreement"] == run.test.swap_agreement
    assert row["parameters"] == 404_988
    assert row["seeds"] == [0]
    assert row["run_dirs"] == [run.run_dir]


def test_rows_average_over_seeds(finished, tmp_path):
    run = finished["siamese"]
    rows = compare(
        [
            changed(run, tmp_path / "0", 0, accuracy=0.5, recall=0.4, seconds=1.0),
            finished["baseline"],
            changed(run, tmp_path / "1", 1, accuracy=0.8, recall=0.6, seconds=2.0),
            changed(run, tmp_path / "2", 2, accuracy=0.9, recall=0.8, seconds=6.0),
        ]
    )
    assert [row["variant"] for row in rows[1:]] == ["siamese", "baseline"]
    row = rows[1]
    assert row["seeds"] == [0, 1, 2]
    assert row["run_dirs"] == [str(tmp_path / name) for name in "012"]
    assert row["accuracy"] == pytest.approx(2.2 / 3)
    assert row["same"]["recall"] == pytest.approx(0.6)
    assert row["same"]["precision"] == pytest.approx(run.test.same.precision)
    assert row["train_seconds"] == pytest.approx(9.0)


def test_rows_have_one_form(finished):
    """The published row and every other have the same fields, so that one table takes both."""
    published, *others = (row.as_dict() for row in compare(list(finished.values())))
    for row in others:
        assert published.keys() <= row.keys()
        assert published["same"].keys() == row["same"].keys()
    json.dumps(others)


def test_comparing_nothing():
    assert [row["published"] for row in compare([])] == [True]
