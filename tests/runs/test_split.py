"""Runs on a split: what they train and test on, and that it is kept, compared and shown."""

import json
from pathlib import Path

import pytest

import siamese_mnist as sm
from siamese_mnist.data import load_dataset, split_dataset
from siamese_mnist.runs.store import find_run, read_run, read_scores
from siamese_mnist.settings.settings import Settings
from siamese_mnist.visualisation.pictures import read_finished, run_pictures

TINY = {"train_pairs": 200, "test_pairs": 100, "pretrain_epochs": 1, "epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory, short):
    changes = {**short, **TINY, "split": "classes", "fold": 1}
    return sm.run("siamese", runs_dir=tmp_path_factory.mktemp("runs"), **changes)


def test_result_names_the_split(run, finished):
    split = json.loads((Path(run.run_dir) / "result.json").read_text())["split"]
    assert split == {"name": "classes", "fold": 1, "test_classes": ["0", "1"]}
    assert (run.config["split"], run.config["fold"]) == ("classes", 1)
    assert json.loads((Path(finished["siamese"].run_dir) / "result.json").read_text())["split"]["name"] == "images"


def test_new_classes_are_tested_and_the_others_trained_on(run):
    divided = split_dataset(load_dataset("mnist-small"), "classes", 1)
    config = json.loads((Path(run.run_dir) / "config.json").read_text())
    assert tuple(config["classes"]) == divided.classes
    scores = read_scores(run.run_dir)
    labels = divided.test.labels.numpy()
    assert ((labels[scores["left"]] == labels[scores["right"]]) == scores["same"]).all()
    assert len(run.test.digit_pairs["accuracy"]) == 2
    assert run.phase1.accuracy is None, "the class head of phase 1 knows no test class"


def test_one_shot_episodes_on_new_classes(run, finished):
    (found,) = run.one_shot
    assert (found.ways, found.writer, found.one_family, found.episodes) == (2, "any", False, 100)
    assert found.accuracy_interval[0] <= found.accuracy <= found.accuracy_interval[1]
    assert not finished["siamese"].one_shot, "its classes are known"


def test_identification_among_new_classes(run, finished):
    found = run.identification
    assert (found.names, found.cmc[1], [each.names for each in found.open_set]) == (2, 1.0, [1, 1])
    assert read_run(run.run_dir).identification == found
    assert finished["siamese"].identification is None


def test_pictures_show_the_images_of_the_split(run):
    finished = read_finished(run)
    assert finished.classes == ("0", "1")
    assert len(finished.images) == len(split_dataset(load_dataset("mnist-small"), "classes", 1).test.labels)
    pictures = {each.name: each for each in run_pictures(finished)}
    assert {*pictures} >= {"digits", "hardest", "episodes", "identification"}
    assert f"rank 1 {run.identification.cmc[0]:.4f}" in pictures["identification"].alternative
    assert "readings" not in pictures, "it names no classes"


def test_what_a_classifier_reads_in_unknown_classes(tmp_path, short):
    changes = {**short, **TINY, "pretrain_epochs": 0, "split": "classes", "fold": 1}
    finished = read_finished(sm.run("siamese-agreement", runs_dir=tmp_path, **changes))
    shown = next(each for each in run_pictures(finished) if each.name == "readings")
    left, right = shown.figure.axes
    assert {text.get_text() for text in left.texts} == {"0", "1"}
    assert [tick.get_text() for tick in right.get_xticklabels()] == list(finished.trained_classes)
    sums = right.collections[0].get_array().reshape(len(left.texts), -1).sum(axis=1)
    assert sums.tolist() == pytest.approx([1.0] * len(sums))


def test_runs_of_other_folds_are_other_runs(run, short):
    folder = Path(run.run_dir).parent
    changes = {**short, **TINY, "split": "classes"}
    assert find_run(Settings.resolve("siamese", **changes, fold=1), folder).run_dir == run.run_dir
    assert find_run(Settings.resolve("siamese", **changes, fold=2), folder) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "clases"}, "unknown split 'clases'; did you mean 'classes'"),
        ({"split": "classes", "fold": 5}, r"fold must lie in 0\.\.4, got 5"),
        ({"split": "groups"}, "does not say who wrote which image"),
    ],
)
def test_mistakes(tmp_path, short, changes, message):
    with pytest.raises(sm.UsageError, match=message):
        sm.run("siamese", runs_dir=tmp_path, **short, **TINY, **changes)
