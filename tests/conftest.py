"""Fixtures that several test modules share: a small data set and one small run of each design."""

import os
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest
import torch
from safetensors.torch import load_file
from siamese_mnist_cli.main import main

import siamese_mnist as sm
from siamese_mnist.data import Dataset, load_dataset
from siamese_mnist.parts.designs import build_model
from siamese_mnist.runs.store import list_runs
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.recipes import Recipe

SMALL, SHORT = "mnist-small", "short-test"

sm.RECIPES.add(
    SHORT,
    Recipe(protocol=TrainingProtocol(train_pairs=2000, test_pairs=600), parts=sm.RECIPES["report"].parts),
    summary="The report's phases on few pairs; about a second on the small data set.",
)


@sm.DATASETS.register(SMALL)
def load_small(root=None, download=False):  # noqa: ARG001
    """First 600 training and 300 test images of MNIST."""
    train, test, classes = load_dataset("mnist-tenth")
    return Dataset(train.select(slice(600)), test.select(slice(300)), classes)


@pytest.fixture(scope="session")
def tenth():
    return load_dataset("mnist-tenth")


@pytest.fixture(scope="session")
def small():
    return load_dataset(SMALL)


@pytest.fixture(scope="session")
def short():
    """Settings under which a run takes about a second."""
    return {"dataset": SMALL, "recipe": SHORT}


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory, short):
    """A folder with one run of each design; tests only read it."""
    folder = tmp_path_factory.mktemp("runs")
    for variant in ("baseline", "siamese"):
        sm.run(variant, runs_dir=folder, **short)
    return folder


@pytest.fixture(scope="session")
def finished(runs_dir):
    """Results of the two runs by variant."""
    return {run.variant: run for run in list_runs(runs_dir)}


@pytest.fixture(scope="session")
def trained(finished):
    """Models of the two runs by variant, in evaluation mode."""
    return {variant: rebuild(run) for variant, run in finished.items()}


def rebuild(run):
    """The model that a run's settings and weights describe."""
    parts = run.config.parts
    model = build_model(design=run.config.design, **parts, image_size=(28, 28), classes=10)
    model.load_state_dict(load_file(Path(run.run_dir) / "model.safetensors"))
    return model.eval()


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def command(capsys):
    """Runs the command in this process: its exit status, stdout and stderr."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(each) for each in arguments])
        return SimpleNamespace(status=stopped.value.code, **capsys.readouterr()._asdict())

    return call


@pytest.fixture
def mistake(command):
    """Runs a command that has to fail: its one line on stderr."""

    def call(*arguments, status=2):
        done = command(*arguments)
        assert done.status == status
        assert done.out == ""
        assert done.err.startswith("siamese-mnist: ")
        assert done.err.endswith("\n")
        assert done.err.count("\n") == 1
        return done.err.removeprefix("siamese-mnist: ").strip()

    return call


@pytest.fixture
def terminal(monkeypatch):
    """Makes rich believe in a terminal of some width."""

    def set_width(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("TTY_INTERACTIVE", "0")
        monkeypatch.setenv("NO_COLOR", "1")

    return set_width


@pytest.fixture(scope="session")
def evidence(tmp_path_factory, short):
    """What an audit of two seeds on the small data set measures."""
    from siamese_mnist.audit import gather

    return gather(2, runs_dir=tmp_path_factory.mktemp("audit"), **short)
