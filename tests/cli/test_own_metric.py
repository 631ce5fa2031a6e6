"""A metric that is registered by a user appears wherever figures do."""

import csv
import json

import numpy as np
import pytest

import siamese_mnist as sm
from siamese_mnist.runs.bundle import write_bundle
from siamese_mnist.runs.comparison import choose_runs
from siamese_mnist.visualisation.html import page


@pytest.fixture
def own(monkeypatch):
    """Registers balanced error, lower is better, until the test ends."""
    sm.METRICS.parts()
    monkeypatch.setattr(sm.METRICS, "_parts", dict(sm.METRICS._parts))

    @sm.METRICS.register("balanced_error")
    @sm.metric("balanced error", short="BER", higher_is_better=False, needs="threshold")
    def balanced_error(pairs):
        """Mean of the two rates of error."""
        return float(np.mean([np.mean(pairs.predicted[pairs.same] == 0), np.mean(pairs.predicted[~pairs.same])]))

    return balanced_error


@pytest.fixture
def arguments(short, runs_dir):
    return ["--dataset", short["dataset"], "--recipe", short["recipe"], "--seeds", "1", "--runs-dir", runs_dir]


def test_run(own, command, short, tmp_path):
    arguments = ["run", "siamese", "--dataset", short["dataset"], "--recipe", short["recipe"], "--runs-dir", tmp_path]
    result = json.loads(command(*arguments, "--json").out)
    value = result["test"]["balanced_error"]
    assert 0 < value < 1
    assert sm.METRICS["balanced_error"] is own
    done = command(*arguments)
    assert f"{value:.4f}" in next(line for line in done.out.splitlines() if line.startswith("balanced error"))


def test_compare(own, command, arguments, tmp_path):  # noqa: ARG001
    """Also for runs that are older than the metric."""
    rows = json.loads(command("compare", *arguments, "--json", "--sort", "balanced_error").out)["rows"][1:]
    values = [row["balanced_error"] for row in rows]
    assert values == sorted(values)
    for row in rows:
        low, high = row["balanced_error_interval"]
        assert low < row["balanced_error"] < high
    latex = command("compare", *arguments, "--latex", "--csv", tmp_path / "rows.csv").out
    assert "& BER & BER 95" in latex
    with (tmp_path / "rows.csv").open(newline="") as file:
        written = {row["variant"]: row for row in csv.DictReader(file)}
    for row in rows:
        assert float(written[row["variant"]]["balanced_error"]) == row["balanced_error"]
        assert float(written[row["variant"]]["balanced_error_low"]) == row["balanced_error_interval"][0]
    assert "BER" in command("compare", *arguments).out


def test_evaluate(own, command, tmp_path):  # noqa: ARG001
    path = tmp_path / "scores.csv"
    path.write_text("left,right,same,score\n" + "".join(f"a{i},b{i},{i % 2},{i % 7}\n" for i in range(200)))
    assert "balanced_error" not in json.loads(command("evaluate", path, "--json").out)
    found = json.loads(command("evaluate", path, "--threshold", "3", "--json").out)
    assert found["balanced_error_interval"][0] < found["balanced_error"] < found["balanced_error_interval"][1]
    assert "balanced error" in command("evaluate", path, "--threshold", "3").out


def test_page_and_model_card(own, runs_dir, finished, tmp_path):  # noqa: ARG001
    assert '<th scope="col">balanced error</th>' in page(choose_runs([], runs_dir))
    card = (write_bundle(finished["siamese"].run_dir, tmp_path / "bundle") / "README.md").read_text()
    assert "| balanced error | 0." in card
