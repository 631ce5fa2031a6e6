"""Pictures of saved runs."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from siamese_mnist.runs.store import RunError, read_run
from siamese_mnist.visualisation.pictures import joint_pictures, read_finished, run_pictures

EVERY_RUN = ["classes", "confusion", "learning", "scores", "calibration", "costs", "digits", "hardest", "explained"]


@pytest.fixture
def copied(finished, tmp_path):
    """A run in a folder of its own, to be damaged."""

    def copy(variant):
        folder = tmp_path / variant
        shutil.copytree(finished[variant].run_dir, folder)
        return folder

    return copy


def by_name(pictures):
    found = list(pictures)
    assert len({picture.name for picture in found}) == len(found)
    assert all(picture.title and picture.caption and picture.alternative for picture in found)
    return {picture.name: picture for picture in found}


def test_pictures_of_a_run(finished):
    assert sorted(by_name(run_pictures(read_finished(finished["baseline"])))) == sorted(EVERY_RUN)
    run = finished["siamese"]
    pictures = by_name(run_pictures(read_finished(run)))
    assert sorted(pictures) == sorted([*EVERY_RUN, "embeddings"])
    (wrong,) = [int(word) for word in pictures["confusion"].alternative.split() if word == str(wrong_same(run))][:1]
    assert wrong == run.test.confusion_matrix[0][1]
    assert f"{run.test.expected_calibration_error:.4f}" in pictures["calibration"].alternative
    assert f"Cllr {run.test['cllr']:.4f} bits" in pictures["costs"].alternative
    assert f"{run.test.same.recall:.4f}" in pictures["classes"].alternative


def wrong_same(run):
    return run.test.confusion_matrix[0][1]


def test_all_errors_are_in_the_digits(finished):
    """The matrix of errors and the stored scores tell the accuracy of result.json."""
    read = read_finished(finished["siamese"])
    correct = read.decision.predict(read.scores) == read.same
    assert correct.mean() == pytest.approx(finished["siamese"].test.accuracy)
    np.testing.assert_array_equal(read.labels[read.left] == read.labels[read.right], read.same)


def test_joint_pictures(finished):
    pictures = by_name(joint_pictures([read_finished(run) for run in finished.values()]))
    assert list(pictures) == ["roc", "det"]
    for name, run in finished.items():
        assert f"{name} {run.test.roc_auc:.4f}" in pictures["roc"].alternative
        assert f"{name} {run.test.equal_error_rate:.4f}" in pictures["det"].alternative


def test_the_curve_is_that_of_phase_2(finished):
    read = read_finished(finished["siamese"])
    with (Path(finished["siamese"].run_dir) / "history.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["phase"] == "2"]
    for name, column in read.history.items():
        np.testing.assert_array_equal(column, [float(row[name] or "nan") for row in rows])


def test_a_run_without_updates_has_no_curve(copied):
    folder = copied("baseline")
    history = folder / "history.csv"
    history.write_text(history.read_text().splitlines()[0] + "\n")
    assert "learning" not in by_name(run_pictures(read_finished(read_run(folder))))


def rewrite(folder, **changes):
    with np.load(folder / "test_scores.npz") as columns:
        stored = dict(columns)
    np.savez(folder / "test_scores.npz", **stored | {name: change(stored[name]) for name, change in changes.items()})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": lambda scores: scores * np.nan}, "score holds a number that is not finite"),
        ({"left": lambda rows: rows + 1_000_000}, "outside the 300 test images"),
        ({"left": lambda rows: rows[1:]}, "differ in length"),
        ({"same": lambda same: same[1:]}, "differ in length"),
    ],
)
def test_damaged_scores(copied, change, words):
    folder = copied("baseline")
    rewrite(folder, **change)
    with pytest.raises(RunError, match=words) as caught:
        read_finished(read_run(folder))
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "text", [None, "phase,update\n2,1\n", "phase,loss,accuracy,validation_loss\n2,a,b,c\n", "\xff"]
)
def test_damaged_history(copied, text):
    folder = copied("baseline")
    if text is None:
        (folder / "history.csv").unlink()
    else:
        (folder / "history.csv").write_bytes(text.encode("latin-1"))
    if text == "\xff":
        return  # a header without rows is a run without updates
    with pytest.raises(RunError, match=r"history.csv cannot be read"):
        read_finished(read_run(folder))
