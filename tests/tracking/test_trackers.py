"""Every tracker keeps its contract; what TensorBoard and MLflow hold is read back by their own programs."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import siamese_mnist as sm
from siamese_mnist.runs.store import read_history, read_run
from siamese_mnist.testing import check_tracker
from siamese_mnist.visualisation import tracked
from siamese_mnist.visualisation.tracked import TrackingError, track_with

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}


def needs(name):
    return pytest.mark.skipif(find_spec(PACKAGES[name]) is None, reason=f"needs the extra {name}")


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    """A run in a folder of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    kept = Path(finished["siamese"].run_dir)
    folder = tmp_path / "runs" / kept.name
    folder.mkdir(parents=True)
    for file in kept.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return read_run(folder)


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in PACKAGES])
def test_contract(name, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    check_tracker(name)


def test_every_built_in_tracker_is_checked():
    assert list(sm.TRACKERS) == list(PACKAGES)


@needs("tensorboard")
def test_event_file_is_read_back(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sm.track(run, "tensorboard")
    folder = Path(run.run_dir)
    events = EventAccumulator(str(folder.parent / "tensorboard" / folder.name), size_guidance={"scalars": 0})
    events.Reload()
    history = read_history(folder)
    for name in ("loss", "accuracy", "validation_loss"):
        points = events.Scalars(f"curve/{name}")
        assert [each.step for each in points] == list(range(1, len(history["loss"]) + 1))
        np.testing.assert_allclose([each.value for each in points], history[name], rtol=1e-6)
    (accuracy,) = events.Scalars("figures/accuracy")
    assert accuracy.value == pytest.approx(run.test.accuracy)
    (picture,) = events.Images("scores")
    assert picture.encoded_image_string.startswith(b"\x89PNG")
    assert events.Tensors("run_dir/text_summary")[0].tensor_proto.string_val == [str(folder).encode()]
    settings = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"contrastive" in settings


@needs("mlflow")
def test_mlflow_run_is_read_back(run):
    from mlflow import MlflowClient

    sm.track(run.run_dir, "mlflow")
    folder = Path(run.run_dir)
    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("siamese-mnist")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == (folder.name, "FINISHED")
    assert found.data.params["loss"] == "contrastive"
    assert found.data.params["batch_size"] == "64"
    assert found.data.metrics["accuracy"] == run.test.accuracy
    assert found.data.metrics["same/recall"] == run.test.same.recall
    history = read_history(folder)
    points = client.get_metric_history(found.info.run_id, "curve/loss")
    assert [each.step for each in points] == list(range(1, len(history["loss"]) + 1))
    np.testing.assert_allclose([each.value for each in points], history["loss"], rtol=1e-6)
    kept = Path(client.download_artifacts(found.info.run_id, ""))
    assert (kept / "scores.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((kept / "run" / "result.json").read_text())["variant"] == "siamese"
    assert {each.name for each in (kept / "run").iterdir()} == {each.name for each in folder.iterdir()}
    assert kept.is_relative_to(folder.parent / "mlflow")


class Broken(sm.Tracker):
    """Fails at the first point."""

    def __init__(self, folder):
        super().__init__(folder)
        self.ended = []

    def start(self, name, settings):
        pass

    def point(self, update, values):
        raise ConnectionError("no such\nserver")

    def figures(self, values):
        raise AssertionError("unreachable")

    def picture(self, name, png):
        raise AssertionError("unreachable")

    def artifact(self, folder):
        raise AssertionError("unreachable")

    def end(self, *, failed=False):
        self.ended.append(failed)


class Heard(Broken):
    """Takes everything."""

    def point(self, update, values):
        assert all(np.isfinite(value) for value in values.values())

    def figures(self, values):
        assert all(type(value) is float for value in values.values())

    def picture(self, name, png):
        pass

    def artifact(self, folder):
        pass


def test_a_tracker_that_fails_keeps_no_other_from_the_run(run, tmp_path):
    trackers = {"broken": Broken(tmp_path), "heard": Heard(tmp_path)}
    with pytest.raises(TrackingError, match=r"is complete, but was not tracked by broken \(ConnectionError: no such s"):
        track_with(trackers, run)
    assert (trackers["broken"].ended, trackers["heard"].ended) == ([True], [False])


def test_a_tracker_that_fails_costs_a_command_one_line(command, short, tmp_path, monkeypatch):
    monkeypatch.setattr(tracked, "make_trackers", lambda *_: {"broken": Broken(tmp_path)})
    given = ["--dataset", short["dataset"], "--recipe", short["recipe"], "--runs-dir", tmp_path / "runs"]
    done = command("run", "siamese", "--epochs", 1, *given, "--track", "broken", "--json")
    assert done.status == 0
    assert Path(json.loads(done.out)["run_dir"]).is_dir()
    (line,) = [line for line in done.err.splitlines() if line.startswith("siamese-mnist: ")]
    assert "was not tracked by broken" in line
    again = command("compare", "siamese:epochs=1", "--seeds", 1, *given, "--track", "broken", "--json")
    assert (again.status, again.err) == (0, ""), "a run of before is not tracked again"


def test_a_study_tracks_what_it_measures(command, tmp_path, monkeypatch):
    heard = Heard(tmp_path)
    monkeypatch.setattr(tracked, "make_trackers", lambda *_: {"heard": heard})
    monkeypatch.chdir(tmp_path)
    given = ("--dataset", "mnist-small", "--recipe", "short", "--train-pairs", 200, "--test-pairs", 100, "--jobs", 1)
    study = ("study", "siamese", *given, "--backbone-arg", "width=4", "--trials", 1, "--seeds", 2, "--track", "heard")
    assert command(*study).status == 0
    assert heard.ended == [False, False]
    assert command(*study).status == 0
    assert heard.ended == [False, False], "a run of before is not tracked again"


@pytest.mark.parametrize("name", ["run", "compare", "study"])
def test_mistakes_are_told_before_any_training(mistake, tmp_path, monkeypatch, name):
    line = mistake(name, "siamese", "--track", "tensorbord", "--runs-dir", tmp_path)
    assert "unknown tracker 'tensorbord'; did you mean 'tensorboard'" in line
    monkeypatch.setattr("siamese_mnist.tracking.base.find_spec", lambda _: None)
    line = mistake(name, "siamese", "--track", "mlflow", "--runs-dir", tmp_path)
    assert line == "the tracker mlflow needs mlflow; pip install 'siamese-mnist[mlflow]'"
    assert list(tmp_path.iterdir()) == []
