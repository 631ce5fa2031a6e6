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
from siamese_mnist.data import Dataset, Preprocessing, load_dataset
from siamese_mnist.parts.designs import build_model
from siamese_mnist.runs.store import list_runs
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.recipes import Recipe
from siamese_mnist.settings.settings import Settings

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
    return Dataset(train.select(slice(600)), test.select(slice(300)), classes, Preprocessing.MNIST)


def pytest_xdist_auto_num_workers():
    """One process more than there are cores, as some tests wait for other programs."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def tenth():
    return load_dataset("mnist-tenth")


@pytest.fixture(scope="session")
def small():
    return load_dataset(SMALL)


@pytest.fixture(scope="session")
def usual(small):
    """The three test images (3, 28, 28) that are nearest to the mean image of their class: usual to any model."""
    means = torch.stack([small.train.images[small.train.labels == each].double().mean(0) for each in range(10)])
    apart = (small.test.images - means[small.test.labels]).pow(2).flatten(1).sum(1)
    return small.test.images[apart.argsort()[:3], 0].numpy()


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
    model = build_model(design=run.config["design"], **run.config["parts"], image_size=(28, 28), classes=10)
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


def example_result(**changes):
    """A result as `result.json` holds it, in plain values, with other top fields where `changes` has them."""
    figures = {"precision": 0.9, "recall": 0.8, "f1": 0.85}
    values = {
        "format": 2,
        "variant": "siamese",
        "dataset": SMALL,
        "split": {"name": "images", "fold": 0, "test_classes": None},
        "seed": 0,
        "config": Settings.resolve("siamese", recipe=SHORT, dataset=SMALL).as_dict(),
        "versions": {"python": "3.11", "siamese_mnist": "0.1.0"},
        "machine": "a processor, 2 cores",
        "parameters": {"backbone": 3, "pretraining_head": 2, "head": 1},
        "train": {"pairs": 4, "pairs_digest": "ab"},
        "phase1": {"epochs": 0, "accuracy": None, "train_seconds": 0.0},
        "phase2": {"epochs": 1, "supervision": "pairs", "train_seconds": 0.5},
        "collapsed": None,
        "decision": {"threshold": 0.5, "slope": 2.0, "prior": 0.5, "pairs": 4, "fitted_on": "training images"},
        "test": {
            "pairs": 2,
            "pairs_digest": "cd",
            "accuracy": 0.75,
            "same": figures,
            "different": figures,
            "confusion_matrix": [[1, 0], [0, 1]],
            "roc_auc": 0.9,
            "average_precision": 0.9,
            "equal_error_rate": 0.1,
            "true_match_rate": {"0.01": 0.5, "0.001": 0.25},
            "log_loss": 0.4,
            "brier_score": 0.1,
            "expected_calibration_error": 0.05,
            "threshold": 0.5,
            "swap_agreement": 1.0,
            "largest_swap_difference": 0.0,
            "digit_pairs": {"accuracy": [[1.0, None], [None, 1.0]], "pairs": [[1, 0], [0, 1]]},
        },
        "one_shot": [],
        "identification": None,
        "throughput": {"train_pairs_per_second": 8.0, "score_pairs_per_second": 16.0},
        "total_seconds": 1.5,
        "peak_rss_bytes": None,
        "run_dir": "",
    }
    return values | changes
