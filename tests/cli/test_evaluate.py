"""`siamese-mnist evaluate`."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv
from sklearn import metrics


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    left, right = np.divmod(rng.permutation(100**2)[:500], 100)
    same = rng.integers(0, 2, 500)
    return {"left": left, "right": right, "same": same, "score": same + rng.normal(size=500)}


@pytest.fixture
def file(tmp_path, table):
    csv.write_csv(pa.table(table), tmp_path / "scores.csv")
    return tmp_path / "scores.csv"


def test_json(command, file, table):
    done = command("evaluate", file, "--threshold", "0.5", "--json")
    assert done.status == 0
    assert done.err == ""
    assert done.out.count("\n") == 1
    result = json.loads(done.out)
    assert result["accuracy"] == pytest.approx(metrics.accuracy_score(table["same"], table["score"] >= 0.5), abs=1e-9)
    assert result["roc_auc"] == pytest.approx(metrics.roc_auc_score(table["same"], table["score"]), abs=1e-9)
    low, high = result["accuracy_interval"]
    assert low < result["accuracy"] < high
    assert command("evaluate", file, "--threshold", "0.5", "--json").out == done.out


@pytest.mark.parametrize(
    ("options", "said", "silent_about"),
    [
        ([], "no threshold, so only figures that need none", "accuracy"),
        (["--threshold", "0.5"], "threshold 0.5 as given", "log loss"),
        (["--fit-on-test"], "FITTED ON THE EVALUATED ROWS", "no threshold"),
    ],
)
def test_table_says_where_the_threshold_is_from(command, file, options, said, silent_about):
    done = command("evaluate", file, *options)
    assert done.status == 0
    assert said in done.out
    assert silent_about not in done.out
    assert "ROC-AUC" in done.out
    assert "500 pairs of 100 images" in done.out


def test_calibration_file(command, file, tmp_path, table):
    other = tmp_path / "other.csv"
    csv.write_csv(pa.table(table | {"left": table["left"] + 1000, "score": table["score"] * 2}), other)
    result = json.loads(command("evaluate", file, "--calibration", other, "--json").out)
    assert result["calibration"] == str(other)
    assert {"log_loss", "log_loss_interval", "brier_score"} <= result.keys()


@pytest.mark.parametrize("columns", [80, 120, 200])
def test_table_in_a_terminal(command, file, terminal, columns):
    terminal(columns)
    done = command("evaluate", file, "--fit-on-test")
    assert "…" not in done.out
    assert "true match rate at false match rate 0.001" in done.out


def test_mistakes(mistake, file, tmp_path):
    assert "cannot read" in mistake("evaluate", tmp_path / "none.csv")
    assert "of the pairs that are evaluated" in mistake("evaluate", file, "--calibration", file)
    assert "exclude each other" in mistake("evaluate", file, "--threshold", "1", "--fit-on-test")
    (tmp_path / "bad.csv").write_text("left,right,same,score\na,b,1,high\n")
    assert "row 1, column score: 'high' is not a number" in mistake("evaluate", tmp_path / "bad.csv")
    (tmp_path / "latin.csv").write_bytes(b"left,right,same,score\na,\xe9,1,1\n")
    assert "row 1, column right" in mistake("evaluate", tmp_path / "latin.csv")
