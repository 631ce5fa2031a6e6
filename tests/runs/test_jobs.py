"""Many runs: found again, trained where missing, the same however many at once."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ThreadingBackend
from joblib.externals.loky.process_executor import TerminatedWorkerError

from siamese_mnist import UsageError
from siamese_mnist.runs import jobs
from siamese_mnist.runs.experiment import run_settings
from siamese_mnist.runs.jobs import ensure_runs, possible_jobs
from siamese_mnist.runs.store import read_scores
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training import begun
from siamese_mnist.training.phases import pretrain, silent


def test_nothing_is_trained_twice(runs_dir, finished, short, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(jobs, "run_settings", refuse)
    wanted = [Settings.resolve(variant, **short) for variant in ("siamese", "baseline")]
    runs = list(ensure_runs(wanted, runs_dir=runs_dir, progress=refuse))
    assert [run.run_dir for run in runs] == [finished[run.variant].run_dir for run in runs]
    assert [run.variant for run in runs] == ["siamese", "baseline"]


def test_what_is_missing_is_trained(runs_dir, short, monkeypatch):
    trained = []

    def train(settings, *, progress, begun, **places):
        assert begun.is_dir()
        trained.append((settings, places, progress))
        return "new"

    monkeypatch.setattr(jobs, "run_settings", train)
    wanted = [Settings.resolve("siamese", seed=seed, **short) for seed in (0, 1)]
    runs = list(ensure_runs(wanted, runs_dir=runs_dir, data_dir="data", download=True, progress=lambda each: each.seed))
    assert runs[1] == "new"
    assert trained == [(wanted[1], {"runs_dir": runs_dir, "data_dir": "data", "download": True, "device": "cpu"}, 1)]


def test_what_begins_alike_is_begun_once(small, short, tmp_path, monkeypatch):
    """Runs that share a backbone, design and seed share phase 1, and have the figures that each has alone."""
    began = []

    def counted(*given, **named):
        began.append(given)
        return pretrain(*given, **named)

    monkeypatch.setattr(begun, "pretrain", counted)
    entries = ["siamese", "siamese:loss=triplet", "siamese:backbone.activation=true"]
    wanted = [Settings.resolve(entry, **short) for entry in entries]
    together = list(ensure_runs(wanted, runs_dir=tmp_path / "together"))
    assert len(began) == 2
    assert len([*(tmp_path / "together").iterdir()]) == len(wanted)
    for run, each in zip(together, wanted, strict=True):
        alone = run_settings(each, runs_dir=tmp_path / "alone", dataset=small)
        assert figures(run) == figures(alone)
        assert run.phase1.accuracy == alone.phase1.accuracy
        assert run.phase1.train_seconds > 0
        np.testing.assert_array_equal(read_scores(run.run_dir)["score"], read_scores(alone.run_dir)["score"])


TINY = {"train_pairs": 640, "test_pairs": 300, "pretrain_epochs": 0, "epochs": 1, "curve": False}


def figures(run):
    return {name: run[name] for name in ("test", "decision", "seed", "variant", "train")}


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
                    runs_dir=tmp_path / str(count),
                    progress=lambda _: silent,
                    jobs=count,
                    overall=lambda *state: told.append(state),
                )
            )
            for count in (1, 2)
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
        return dataclasses.replace(finished["siamese"], seed=settings.seed, run_dir=str(folder))

    monkeypatch.setattr(jobs, "run_settings", train)
    monkeypatch.setattr(ListOnly, "supports_return_generator", generator)
    monkeypatch.setattr(ListOnly, "submitted", 0)
    register_parallel_backend("list-only", ListOnly)
    wanted = [Settings.resolve("siamese", seed=seed, **TINY) for seed in (0, 1, 2, 1)]
    with parallel_config(backend="list-only"):
        runs = list(ensure_runs(wanted, runs_dir=tmp_path, progress=lambda _: silent, jobs=2))
    assert ListOnly.submitted == 3, "each missing run once"
    assert [run.seed for run in runs] == [0, 1, 2, 1]


@pytest.mark.parametrize(("gibibytes", "cores", "count"), [(64, 4, 4), (5, 4, 2), (0, 4, 1)])
def test_jobs_fit_processors_and_memory(monkeypatch, gibibytes, cores, count):
    monkeypatch.setattr(jobs, "_available_memory_bytes", lambda: gibibytes << 30)
    monkeypatch.setattr("joblib.cpu_count", lambda: cores)
    assert possible_jobs() == count


def test_jobs_must_be_positive(tmp_path):
    with pytest.raises(UsageError, match="jobs must be >= 1, got 0"):
        list(ensure_runs([], runs_dir=tmp_path, progress=lambda _: silent, jobs=0))


def test_a_killed_worker_is_one_line(tmp_path, monkeypatch):
    def broken(*_):
        raise TerminatedWorkerError

    monkeypatch.setattr(jobs, "_outcomes", broken)
    wanted = [Settings.resolve("siamese", seed=seed, **TINY) for seed in range(4)]
    with pytest.raises(UsageError, match=r"ended from outside.*try --jobs 2; finished runs are kept") as raised:
        list(ensure_runs(wanted, runs_dir=tmp_path, progress=lambda _: silent, jobs=4))
    assert raised.value.status == 1
