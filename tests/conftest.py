"""Fixtures that several test modules share: a small data set and one small run of each design."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import pytest
import torch

import siamese_mnist as sm
from siamese_mnist.data import Dataset, LabeledImages, load_dataset

SMALL = "mnist-small"
SHORT = {"dataset": SMALL, "train_pairs": 2000, "test_pairs": 600, "pretrain_epochs": 2, "epochs": 2}
"""Settings under which a run takes about a second."""


@sm.DATASETS.register(SMALL)
def load_small(root=None, download=False):  # noqa: ARG001
    """First 600 training and 300 test images of MNIST."""
    train, test, classes = load_dataset("mnist-tenth")
    return Dataset(LabeledImages(*(x[:600] for x in train)), LabeledImages(*(x[:300] for x in test)), classes)


@pytest.fixture(scope="session")
def tenth():
    return load_dataset("mnist-tenth")


@pytest.fixture(scope="session")
def small():
    return load_dataset(SMALL)


@pytest.fixture(scope="session")
def short():
    return dict(SHORT)


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory):
    """Folder of the session's runs; tests read it and add runs of other settings only."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def baseline_run(runs_dir):
    return sm.run("baseline", runs_dir=runs_dir, **SHORT)


@pytest.fixture(scope="session")
def siamese_run(runs_dir):
    return sm.run("siamese", runs_dir=runs_dir, **SHORT)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
