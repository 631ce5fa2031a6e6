"""Rows with intervals and verdicts, and runs trained side by side."""

import json
import shutil
from pathlib import Path
from statistics import stdev

import numpy as np
import pytest
import torch
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ThreadingBackend

from siamese_mnist import UsageError, comparison, intervals
from siamese_mnist.comparison import compare, ensure_runs, missing_runs, possible_jobs, sort_rows
from siamese_mnist.evaluation import Decision, evaluate
from siamese_mnist.recipes import Settings
from siamese_mnist.runs import RunResult, list_runs, read_scores
from siamese_mnist.training import silent

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
        values = json.loads(json.dumps(template)) | {"variant": variant, "seed": seed}
        values["config"] |= {"variant": variant, "seed": seed, "recipe": "report", "parts": {}, "protocol": {}}
        values["run_dir"] = str(tmp_path / f"{variant}-{seed}")
        values["decision"] |= {"threshold": 0.0, "slope": 1.0}
        values["test"] |= evaluate(score, pairs["same"], decision, swapped_scores=score)
        Path(values["run_dir"]).mkdir()
        np.savez(Path(values["run_dir"]) / "test_scores.npz", **pairs | {"score": score})
        return RunResult(values | changes)

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
    runs = [made(name, seed, chance) for name, chance in chances.items() for seed in range(3)]
    published, first, *others = compare(runs)
    assert [row["verdict"] for row in others] == ["better", "no difference shown", "worse"]
    assert {row["compared_with"] for row in others} == {"first"}
    for row in (published, first):
        assert row["verdict"] is row["difference"] is row["p_adjusted"] is row["compared_with"] is None
    pairs = read_scores(runs[0].run_dir)
    answers = [[correct(run) for run in runs[start : start + 3]] for start in (0, 3, 6, 9)]
    found = [intervals.paired_difference(each, answers[0], pairs["left"], pairs["right"]) for each in answers[1:]]
    adjusted = intervals.holm([each.p_value for each in found])
    for row, each, p_adjusted in zip(others, found, adjusted, strict=True):
        assert row["difference"] == pytest.approx(row["accuracy"] - first["accuracy"], abs=EXACT)
        assert [row["difference"], *row["difference_interval"]] == pytest.approx(each[:3], abs=EXACT)
        assert row["p_adjusted"] == pytest.approx(p_adjusted, abs=EXACT)


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
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert [list(each) for each in map(dict.keys, rows)] == [list(rows[0])] * 3


TINY = {"train_pairs": 640, "test_pairs": 300, "pretrain_epochs": 0, "epochs": 1, "curve": False}


def figures(run):
    return {name: value for name, value in run.items() if name in ("test", "decision", "seed", "variant", "train")}


def test_the_number_of_jobs_changes_no_figure(tmp_path):
    wanted = [Settings.resolve(variant, seed=seed, **TINY) for variant in ("baseline", "siamese") for seed in (0, 1)]
    told = []
    threads = torch.get_num_threads()
    torch.set_num_threads(2)  # whatever the program around it has
    try:
        one, two = (
            list(
                ensure_runs(
                    wanted,
                    runs_dir=tmp_path / str(jobs),
                    progress=lambda _: silent,
                    jobs=jobs,
                    overall=lambda *state: told.append(state),
                )
            )
            for jobs in (1, 2)
        )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for run, other, each in zip(one, two, wanted, strict=True):
        assert (run.variant, run.seed) == (each.variant, each.seed)
        assert figures(run) == figures(other)
        np.testing.assert_array_equal(read_scores(run.run_dir)["score"], read_scores(other.run_dir)["score"])
    assert [done for _, done, _ in told] == [0, 1, 2, 3, 4]
    assert {total for *_, total in told} == {4}


class ListOnly(ThreadingBackend):
    """A registered backend that gives its results all at once; counts what it gets."""

    supports_return_generator = False
    submitted = 0

    def submit(self, *arguments, **options):
        type(self).submitted += 1
        return super().submit(*arguments, **options)


@pytest.mark.parametrize("generator", [True, False])
def test_a_registered_backend_trains_the_runs(tmp_path, finished, monkeypatch, generator):
    def train(settings, *, runs_dir, **_):
        folder = Path(runs_dir) / f"seed{settings.seed}"
        shutil.copytree(finished["siamese"].run_dir, folder)
        return RunResult(finished["siamese"] | {"seed": settings.seed, "run_dir": str(folder)})

    monkeypatch.setattr(comparison, "run_settings", train)
    monkeypatch.setattr(ListOnly, "supports_return_generator", generator)
    monkeypatch.setattr(ListOnly, "submitted", 0)
    register_parallel_backend("list-only", ListOnly)
    wanted = [Settings.resolve("siamese", seed=seed, **TINY) for seed in (0, 1, 2, 1)]
    with parallel_config(backend="list-only"):
        runs = list(ensure_runs(wanted, runs_dir=tmp_path, progress=lambda _: silent, jobs=2))
    assert ListOnly.submitted == 3, "each missing run once"
    assert [run.seed for run in runs] == [0, 1, 2, 1]


def test_missing_runs(runs_dir, short):
    wanted = [Settings.resolve("siamese", seed=seed, **short) for seed in (0, 1, 1)]
    assert list(missing_runs(wanted, runs_dir).values()) == [wanted[1]]
    assert len(list_runs(runs_dir)) == 2


@pytest.mark.parametrize(("gibibytes", "cores", "jobs"), [(64, 4, 4), (5, 4, 2), (0, 4, 1)])
def test_jobs_fit_processors_and_memory(monkeypatch, gibibytes, cores, jobs):
    monkeypatch.setattr(comparison, "_available_memory_bytes", lambda: gibibytes << 30)
    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    assert possible_jobs() == jobs


def test_jobs_must_be_positive(tmp_path):
    with pytest.raises(UsageError, match="jobs must be >= 1, got 0"):
        list(ensure_runs([], runs_dir=tmp_path, progress=lambda _: silent, jobs=0))
