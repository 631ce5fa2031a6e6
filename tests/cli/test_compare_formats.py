"""`siamese-mnist compare`: sorting, files and formats."""

import csv
import json
import re

import numpy as np
import pytest
from siamese_mnist_cli import formats
from siamese_mnist_cli.tables import comparison_cells

from siamese_mnist.evaluation.verdicts import Comparison, judge_family
from siamese_mnist.runs import jobs
from siamese_mnist.runs.comparison import Difference, Row
from siamese_mnist.visualisation.html import _sentence


@pytest.fixture
def arguments(short, runs_dir, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(jobs, "run_settings", refuse)
    return ["--dataset", short["dataset"], "--recipe", short["recipe"], "--seeds", "1", "--runs-dir", runs_dir]


def test_sorted_rows(command, arguments):
    rows = json.loads(command("compare", *arguments, "--sort", "parameters", "--json").out)["rows"]
    assert rows[0]["published"]
    figures = [row["parameters"] for row in rows[1:]]
    assert figures == sorted(figures)
    assert rows[1]["variant"] == "siamese", "the order was turned, the baseline was not"
    assert rows[1]["compared_with"] == "baseline"


def test_csv_file(command, arguments, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("earlier")
    rows = json.loads(command("compare", *arguments, "--csv", path, "--json").out)["rows"]
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["variant"] for row in written] == [row["variant"] for row in rows]
    for row, expected in zip(written[1:], rows[1:], strict=True):
        assert float(row["accuracy"]) == expected["accuracy"]
        assert [float(row["accuracy_low"]), float(row["accuracy_high"])] == expected["accuracy_interval"]
        assert float(row["same_recall"]) == expected["same"]["recall"]
        assert row["seeds"] == "0"
    assert written[0]["accuracy_low"] == written[0]["roc_auc"] == ""
    assert [each.name for each in tmp_path.iterdir()] == ["rows.csv"]


def test_csv_that_cannot_be_written_is_noticed_before_any_training(mistake, arguments, tmp_path):
    assert "cannot write" in mistake("compare", *arguments, "--seeds", "9", "--csv", tmp_path / "none" / "rows.csv")
    assert "it is a folder" in mistake("compare", *arguments, "--seeds", "9", "--csv", tmp_path)


def test_markdown(command, arguments):
    lines = command("compare", *arguments, "--markdown").out.splitlines()
    assert [line.split("|")[1].strip() for line in lines] == [
        "variant",
        "---",
        "report, as published",
        "baseline",
        "siamese",
    ]
    assert len({line.count("|") for line in lines}) == 1


def test_latex(command, arguments):
    text = command("compare", *arguments, "--latex").out
    assert text.startswith(r"\begin{tabular}{lr")
    assert text.rstrip().endswith(r"\end{tabular}")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 4
    columns = re.fullmatch(r"\\begin{tabular}{(l(r+))}", text.splitlines()[0]).group(2)
    assert {row.count(" & ") for row in rows} == {len(columns)}
    assert r"95 \%" in rows[0]


def test_latex_escapes():
    assert r"a\_b \& 5\% \textbackslash{}" in formats.latex([["a_b & 5% \\"]])


def test_markdown_escapes():
    assert formats.markdown([["a|b", "c"]]).splitlines()[0] == r"| a\|b | c |"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--json", "--latex"], "exclude each other"),
        (["--sort", "speed"], "cannot sort by 'speed'; use one of accuracy"),
        (["siamese", "siamese"], "'siamese' and 'siamese' are the same; name each once"),
        (["--test-protocol", "disjiont"], "unknown test_protocol 'disjiont'; use one of random, disjoint"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_mistakes(mistake, arguments, wrong, message):
    assert message in mistake("compare", *wrong, *arguments)


def test_no_output_has_an_interval_without_0_beside_no_difference_shown(tmp_path):
    """Answers of designs ever further apart, through the judge into every form in which a table is shown."""
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 300, (2, 900))
    first = rng.random((3, 900)) < 0.8
    others = [rng.random((3, 900)) < 0.8 + gap for gap in np.linspace(-0.12, 0.12, 25)]
    judged = judge_family([Comparison(other, first) for other in others], left, right)
    rows = [
        Row(
            variant="siamese",
            entry=f"siamese:epochs={number}",
            seeds=(0, 1, 2),
            versus_first=Difference(
                compared_with="siamese",
                mean=each.difference,
                interval=(each.low, each.high),
                p_adjusted=each.p_adjusted,
                verdict=each.verdict,
            ),
        )
        for number, each in enumerate(judged)
    ]
    cells = comparison_cells(rows)
    formats.write_csv(tmp_path / "rows.csv", [row.as_dict() for row in rows])
    written = [
        f"{row['difference_low']} to {row['difference_high']}, {row['verdict']}"
        for row in csv.DictReader((tmp_path / "rows.csv").read_text().splitlines())
    ]
    sides = 0
    for lines in (
        formats.markdown(cells).splitlines(),
        formats.latex(cells).splitlines(),
        written,
        map(_sentence, rows),
    ):
        found = [line for line in lines if "no difference shown" in line or re.search("better|worse", line)]
        assert len(found) == len(rows)
        for line in found:
            low, high = re.search(r"([+-]?[\d.e-]+) to ([+-]?[\d.e-]+)", line).groups()
            outside = low[0] != "-" or high[0] == "-"
            assert outside == ("no difference shown" not in line), line
            sides += outside
    assert 0 < sides < 4 * len(rows)
