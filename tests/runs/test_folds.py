"""Folds joined in one comparison: what the rows say, and that classes or folds are the sample."""

import math

import numpy as np
import pytest
from scipy import stats

import siamese_mnist as sm
from siamese_mnist.evaluation import intervals
from siamese_mnist.runs.comparison import compare
from siamese_mnist.runs.folds import by_fold, entry_intervals
from siamese_mnist.runs.scored import scored_run
from siamese_mnist.runs.store import list_runs

TINY = {"train_pairs": 300, "test_pairs": 200, "pretrain_epochs": 0, "epochs": 1, "curve": False}
ENTRIES = ["siamese:head=distance", "siamese-agreement"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("folds")


@pytest.fixture(scope="module")
def rows(folder, short):
    return sm.compare(ENTRIES, split="classes", folds=2, seeds=2, runs_dir=folder, jobs=1, **{**short, **TINY})[1:]


def test_a_row_joins_all_folds_and_seeds(rows, folder):
    assert [row.entry for row in rows] == ["siamese", "siamese-agreement"]
    for row in rows:
        assert (row.seeds, row.folds, len(row.run_dirs)) == ((0, 1), (0, 1), 4)
        runs = [run for run in list_runs(folder) if run.run_dir in row.run_dirs]
        assert row["accuracy"] == pytest.approx(np.mean([run.test.accuracy for run in runs]))
        assert row["pairs"] == 400
        assert {tuple(run.split.test_classes) for run in runs} == {("4", "9"), ("0", "1")}
    assert len(list_runs(folder)) == 8


def test_intervals_and_verdicts_are_over_folds(rows, folder):
    by_dir = {run.run_dir: run for run in list_runs(folder)}

    def means(row):
        runs = [by_dir[each] for each in row.run_dirs]
        return [np.mean([run.test.accuracy for run in runs if run.split.fold == fold]) for fold in (0, 1)]

    differences = np.subtract(means(rows[1]), means(rows[0]))
    half = stats.t.ppf(0.975, 1) * differences.std(ddof=1) / math.sqrt(2)
    found = rows[1].versus_first
    assert found.mean == pytest.approx(differences.mean())
    expected = np.clip([found.mean - half, found.mean + half], -1, 1)
    assert found.interval == pytest.approx(tuple(expected))
    assert found.verdict == "no difference shown"


@pytest.mark.usefixtures("rows")
def test_of_one_fold_classes_are_the_sample(folder):
    """Two classes say next to nothing about new ones, however many pairs are drawn of them."""
    run = scored_run(next(run for run in list_runs(folder) if run.split.fold == 0))
    assert run.run.split.test_classes == ["4", "9"]
    low, high = entry_intervals([[run]], ["accuracy"])["accuracy"]
    over_images = intervals.accuracy_interval(run.correct, *run.clusters)
    assert high - low > 2 * (over_images[1] - over_images[0])


@pytest.mark.usefixtures("rows")
def test_folds_need_the_same_seeds(folder):
    runs = [scored_run(run) for run in list_runs(folder) if run.variant == "siamese"]
    with pytest.raises(sm.UsageError, match="fold 1 of 'siamese' lacks seed 1, which other folds have"):
        by_fold([run for run in runs if (run.run.split.fold, run.run.seed) != (1, 1)])


@pytest.mark.usefixtures("rows")
def test_entries_need_the_same_folds(folder):
    runs = [run for run in list_runs(folder) if run.variant == "siamese" or run.split.fold == 0]
    with pytest.raises(sm.UsageError, match="have different folds"):
        compare(runs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 6}, "split 'classes' has 5 folds; folds must be <= 5, got 6"),
        ({"folds": 2, "split": "images"}, "split 'images' has one fold only; folds must be <= 1, got 2"),
        ({"folds": 2, "fold": 1}, "names fold 1, and folds joins several; give one of them"),
        ({"folds": 0}, "folds must be a whole number >= 1, got 0"),
    ],
)
def test_mistakes(folder, short, changes, message):
    with pytest.raises(sm.UsageError, match=message):
        sm.compare(["siamese"], runs_dir=folder, **{"split": "classes", **short, **TINY, **changes})
