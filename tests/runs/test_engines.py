"""Runs trained by the workers of Dask and Ray: the same figures, each setting once, whoever is lost on the way."""

import os
import signal
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import siamese_mnist as sm
from siamese_mnist.runs import clusters, jobs
from siamese_mnist.runs.claims import claim
from siamese_mnist.runs.clusters import Workers, check_engine
from siamese_mnist.runs.elsewhere import LostWorkerError
from siamese_mnist.runs.jobs import attempt_runs
from siamese_mnist.runs.provenance import run_name
from siamese_mnist.runs.result import Diverged
from siamese_mnist.runs.store import list_runs, read_scores
from siamese_mnist.settings.settings import Settings

TINY = {"train_pairs": 640, "test_pairs": 300, "pretrain_epochs": 0, "epochs": 1, "curve": False}
WANTED = [
    Settings.resolve(variant, seed=seed, **TINY) for variant, seed in (("baseline", 0), ("siamese", 0), ("siamese", 1))
]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same runs, trained in this process."""
    return list(attempt_runs(WANTED, runs_dir=tmp_path_factory.mktemp("local")))


def check_equal(runs, local, folder):
    assert [run.settings for run in runs] == WANTED
    for run, other in zip(runs, local, strict=True):
        for name in ("test", "decision", "train"):
            assert run[name] == other[name]
        np.testing.assert_array_equal(read_scores(run.run_dir)["score"], read_scores(other.run_dir)["score"])
        files = [{path.name for path in Path(each.run_dir).iterdir()} for each in (run, other)]
        assert files[0] == files[1]
    assert sorted(path.name for path in folder.iterdir()) == sorted(map(run_name, WANTED)), "each once, nothing else"
    assert {run.run_dir for run in list_runs(folder)} == {run.run_dir for run in runs}


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs the extra dask")
def test_dask_bears_a_killed_worker(tmp_path, local):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        killed = []

        def kill_one(_stage, done, _total):
            if done == 1 and not killed:
                address = next(name for name, tasks in client.processing().items() if tasks)
                killed.append(client.run(os.getpid, workers=[address])[address])
                os.kill(killed[0], signal.SIGKILL)

        address = cluster.scheduler_address
        runs = list(
            attempt_runs(WANTED, runs_dir=tmp_path, engine="dask", address=address, jobs=None, overall=kill_one)
        )
    assert killed
    check_equal(runs, local, tmp_path)


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
def test_ray(tmp_path, local):
    check_equal(list(attempt_runs(WANTED, runs_dir=tmp_path, engine="ray", jobs=2)), local, tmp_path)


@contextmanager
def in_this_process(*_):
    """A cluster whose jobs end before it hears of them."""

    def submit(function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except OSError as error:
            future.set_exception(error)
        return future

    yield Workers(at_once=lambda: 2, send=lambda data: data, submit=submit, losses=(OSError,))


@pytest.fixture
def cluster(monkeypatch):
    """Puts a cluster within this process in Dask's place."""
    monkeypatch.setattr(clusters, "ENGINES", {**clusters.ENGINES, "dask": in_this_process})


@pytest.mark.usefixtures("cluster")
def test_what_others_train_is_left_to_them_and_no_claim_stays(tmp_path, finished, short, monkeypatch):
    wanted = [Settings.resolve("siamese", seed=seed, **short) for seed in (0, 1)]
    names = [run_name(each) for each in wanted]
    theirs = claim(tmp_path, names[0])
    theirs.__enter__()
    waited = []

    def wait(name, *_, **__):
        waited.append(name)
        theirs.__exit__(None, None, None)
        return finished["siamese"]

    monkeypatch.setattr(jobs, "_wait_or_train", wait)
    runs = list(attempt_runs(wanted, runs_dir=tmp_path, engine="dask", jobs=1))
    assert waited == names[:1]
    assert runs[1].seed == 1
    assert [path.name for path in tmp_path.iterdir()] == names[1:]


@pytest.mark.usefixtures("cluster")
def test_a_diverged_training_is_told_and_the_others_go_on(tmp_path, short):
    wanted = [Settings.resolve("siamese", learning_rate=rate, **short) for rate in (1e30, 1e-3)]
    lost, run = attempt_runs(wanted, runs_dir=tmp_path, engine="dask")
    assert isinstance(lost, Diverged)
    assert "diverged" in lost.reason
    assert run.settings == wanted[1]
    assert [path.name for path in tmp_path.iterdir()] == [run_name(wanted[1])]


@pytest.mark.usefixtures("cluster")
def test_a_mistake_on_a_worker_is_the_users(tmp_path, short):
    with pytest.raises(sm.UsageError, match="device 'nowhere' cannot be used"):
        sm.compare(["siamese"], seeds=1, runs_dir=tmp_path, engine="dask", device="nowhere", **short)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("cluster")
def test_a_job_without_workers_is_one_line(tmp_path, short, monkeypatch):
    def lose(*_, **__):
        raise OSError("killed\nthree times")

    monkeypatch.setattr("siamese_mnist.runs.elsewhere.run_settings", lose)
    with pytest.raises(LostWorkerError, match=r"was lost with its workers \(killed three times\); finished runs are"):
        sm.compare(["siamese"], seeds=1, runs_dir=tmp_path, engine="dask", **short)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("cluster")
def test_another_version_is_refused(tmp_path, short, monkeypatch):
    found = iter(["0.2.0", "0.1.0"])
    monkeypatch.setattr("siamese_mnist.runs.elsewhere.version", lambda _: next(found))
    with pytest.raises(sm.UsageError, match=r"a worker has siamese-mnist 0\.1\.0, this program 0\.2\.0"):
        sm.compare(["siamese"], seeds=1, runs_dir=tmp_path, engine="dask", **short)


@pytest.mark.parametrize(
    ("engine", "address", "message"),
    [
        ("slurm", None, "engine must be one of local, dask, ray, got 'slurm'"),
        ("local", "tcp://there:1", "the engine local has no address, got 'tcp://there:1'"),
    ],
)
def test_engines_are_checked(engine, address, message):
    with pytest.raises(sm.UsageError, match=message):
        check_engine(engine, address)


@pytest.mark.parametrize(("engine", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_extra_is_one_line(mistake, monkeypatch, tmp_path, engine, package):
    monkeypatch.setattr(clusters, "find_spec", lambda _: None)
    message = mistake("compare", "siamese", "--engine", engine, "--runs-dir", tmp_path)
    assert message == f"the engine {engine} needs {package}; pip install 'siamese-mnist[{engine}]'"
    assert list(tmp_path.iterdir()) == []


def test_a_ray_cluster_that_is_not_there(mistake, tmp_path):
    pytest.importorskip("ray")
    message = mistake("compare", "siamese", "--engine", "ray", "--address", "127.0.0.1:9", "--runs-dir", tmp_path)
    assert message.startswith("no Ray cluster at '127.0.0.1:9' (")
    assert message.endswith("); start one with `ray start --head` and give its --address")
