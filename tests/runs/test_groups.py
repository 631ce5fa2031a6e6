"""Runs on images that have groups."""

import numpy as np
import pytest

import siamese_mnist as sm
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.runs.comparison import compare
from siamese_mnist.runs.reading import read_scores
from siamese_mnist.runs.scored import scored_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    cut = {"train_pairs": 200, "test_pairs": 400, "pretrain_epochs": 0, "epochs": 1, "curve": False}
    return sm.run("siamese", dataset="glyphs", split="groups", runs_dir=tmp_path_factory.mktemp("groups"), **cut)


def test_intervals_are_over_groups(run):
    columns = read_scores(run.run_dir)
    groups = np.unique([columns["left_group"], columns["right_group"]])
    assert 2 <= groups.size < np.unique(columns["left"]).size / 5
    correct = scored_run(run).correct
    found = compare([run])[1]["accuracy_interval"]
    assert found == pytest.approx(accuracy_interval(correct, columns["left_group"], columns["right_group"]))
    assert found != pytest.approx(accuracy_interval(correct, columns["left"], columns["right"]))


def test_the_decision_is_fitted_on_writers_that_are_not_trained_on(run):
    assert run.decision.fitted_on == "validation images"
