"""`siamese-mnist compare`."""

import json
import re

import pytest

from siamese_mnist.runs import jobs

VARIANTS = ("baseline", "siamese")


@pytest.fixture
def arguments(runs_dir, monkeypatch):
    """Options under which both runs are there already; training would fail."""

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(jobs, "run_settings", refuse)
    return ["--dataset", "mnist-small", "--recipe", "short-test", "--seeds", "1", "--runs-dir", runs_dir]


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def shows_everything(text, finished):
    """Whether every figure and name is there in full."""
    assert "…" not in text
    words = set(re.split(r"[\s│┃]+", text))
    for variant in VARIANTS:
        run = finished[variant]
        assert variant in words
        assert f"{run.test.accuracy:.4f}" in words
        assert f"{run.test.roc_auc:.4f}" in words
        assert f"{run.test.equal_error_rate:.4f}" in words
        assert f"{run.parameters.backbone + run.parameters.head:,}" in words
        assert f"{run.test.same.recall:.4f}" in words
    assert "404,988" in words
    assert "published" in words


def test_table_in_a_pipe(command, arguments, finished):
    done = command("compare", *arguments)
    assert done.status == 0
    assert done.err == ""
    assert "\x1b" not in done.out
    shows_everything(done.out, finished)
    names = [line.split("│")[1].strip() for line in done.out.splitlines() if line.startswith("│")]
    assert names == ["report, as published", *VARIANTS] * 3  # accuracy, quality, cost


def test_pipe_ignores_the_terminals_width(command, arguments, monkeypatch):
    wide = command("compare", *arguments).out
    monkeypatch.setenv("COLUMNS", "60")
    assert command("compare", *arguments).out == wide


@pytest.mark.parametrize("columns", [60, 80])
def test_entries_stand_side_by_side_on_what_matters(command, arguments, finished, terminal, columns):
    """In a narrow terminal too the first table has accuracy, its interval and the verdict of every entry."""
    intervals = {
        row["variant"]: row["accuracy_interval"]
        for row in json.loads(command("compare", *arguments, "--json").out)["rows"]
    }
    terminal(columns)
    first = plain(command("compare", *arguments).out).split("└")[0]
    head, _, rows = first.partition("┡")
    assert {"accuracy", "95", "%", "verdict"} <= set(re.split(r"[\s┃]+", head))
    for variant in VARIANTS:
        (line,) = [line for line in rows.splitlines() if line.startswith(f"│ {variant} ")]
        low, _ = intervals[variant]
        assert f" {finished[variant].test.accuracy:.4f} " in line
        assert f" {low:.4f} " in line


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_table_in_a_terminal(command, arguments, finished, terminal, columns):
    terminal(columns)
    done = command("compare", *arguments)
    assert done.status == 0
    text = plain(done.out)
    assert max(map(len, text.splitlines())) <= columns
    shows_everything(text, finished)


def test_json(command, arguments, finished):
    done = command("compare", *VARIANTS, *arguments, "--json")
    assert done.status == 0
    rows = json.loads(done.out)["rows"]
    assert done.out.count("\n") == 1
    assert [row["variant"] for row in rows] == ["report, as published", *VARIANTS]
    assert [row["accuracy"] for row in rows] == [0.89, *(finished[each].test.accuracy for each in VARIANTS)]
    assert [row["seeds"] for row in rows] == [[], [0], [0]]


def test_one_seed_takes_no_side(command, arguments):
    for form in ([], ["--json"]):
        out = command("compare", *arguments, *form).out
        assert "one seed" in out
        assert not re.search("better|worse", out)


def test_chosen_variants(command, arguments):
    done = command("compare", "siamese", *arguments, "--json")
    assert [row["variant"] for row in json.loads(done.out)["rows"][1:]] == ["siamese"]


def test_missing_seeds_are_trained(command, runs_dir, finished, monkeypatch):
    trained = []

    def train(settings, **_):
        trained.append((settings.variant, settings.seed))
        return finished["siamese"]

    monkeypatch.setattr(jobs, "run_settings", train)
    arguments = [
        "--dataset",
        "mnist-small",
        "--recipe",
        "short-test",
        "--runs-dir",
        runs_dir,
        "--json",
        "--jobs",
        "1",
    ]
    assert command("compare", "siamese", *arguments).status == 0
    assert trained == [("siamese", 1), ("siamese", 2)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["siamse"], "unknown variant 'siamse'; did you mean 'siamese'"),
        (["--recipe", "reprot"], "unknown recipe 'reprot'; did you mean 'report'"),
        (["--dataset", "mnst", "--seeds", "1"], "unknown data set 'mnst'; did you mean 'mnist"),
    ],
)
def test_mistakes(mistake, tmp_path, wrong, message):
    assert message in mistake("compare", *wrong, "--runs-dir", tmp_path)


def test_runs_dir_that_cannot_be_written(mistake, tmp_path):
    (tmp_path / "file").touch()
    arguments = ["--dataset", "mnist-small", "--recipe", "short-test", "--runs-dir", tmp_path / "file"]
    assert f"cannot write a run to {tmp_path / 'file'}" in mistake("compare", *arguments)


TINY = "train_pairs=640,test_pairs=300,pretrain_epochs=0,epochs=1,curve=False"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_diverged_entry_is_a_row_beside_the_others(tmp_path, command, jobs):
    rates = {"baseline": "0.001", "siamese": "1e30", "siamese:": "0.001"}
    entries = [f"{name.removesuffix(':')}:{TINY},learning_rate={rate}" for name, rate in rates.items()]
    done = command("compare", *entries, "--seeds", "1", "--runs-dir", tmp_path, "--json", "--jobs", jobs)
    assert done.status == 0
    _, *rows = json.loads(done.out, parse_constant=pytest.fail)["rows"]
    assert [row["diverged"] for row in rows] == [False, True, False]
    assert rows[0].keys() == rows[1].keys()
    assert rows[1]["verdict"] == "diverged"
    assert rows[1]["accuracy"] is rows[1]["difference"] is rows[1]["parameters"] is None
    assert rows[2]["compared_with"].startswith("baseline")
    (line,) = (line for line in done.err.splitlines() if "diverged" in line)
    assert line.startswith("siamese-mnist: siamese:learning_rate=1e+30, seed 0: phase 2 diverged: the loss is ")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("form", [["--json"], []])
def test_only_diverged_entries(tmp_path, command, form):
    done = command("compare", f"siamese:{TINY},learning_rate=1e30", "--seeds", "1", "--runs-dir", tmp_path, *form)
    assert done.status == 2
    assert "phase 2 diverged" in done.err
    assert ("diverged" if form else "verdict") in done.out
    assert list(tmp_path.iterdir()) == []
