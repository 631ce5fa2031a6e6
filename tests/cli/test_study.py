"""`siamese-mnist study`."""

import json
import re

import pytest

OPTIONS = (
    *("--dataset", "mnist-small", "--recipe", "short", "--train-pairs", 200, "--test-pairs", 100, "--jobs", 1),
    *("--backbone-arg", "width=4", "--trials", 2, "--seeds", 2),
)
ENTRIES = ("siamese", "siamese:loss=triplet")


@pytest.fixture
def study(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: command("study", *ENTRIES, *OPTIONS, *arguments)


def test_a_study_ends_in_tables(study, tmp_path, terminal):
    done = study()
    assert done.status == 0
    for words in ("siamese:loss=triplet", "verdict", "expected best", "opened once", "learning_rate="):
        assert words in done.out
    assert "trials, 4 trainings" in done.err
    (folder,) = (tmp_path / "studies").iterdir()
    assert (folder / "study.html").exists()
    for width in (60, 80):
        terminal(width)
        shown = re.sub(r"\x1b\[\d*m", "", study().out)
        assert all(len(line) <= width for line in shown.splitlines() if line[:1] in "┏┃│└")
    found = json.loads(study("--json").out)
    assert [row["entry"] for row in found["rows"]] == list(ENTRIES)
    assert found["opened"]["times"] == 1
    markdown = study("--markdown", "--space", "learning_rate=1e-3..1e-2").out
    assert markdown.startswith("| entry |")
    assert "LOOK 2: another space" in markdown


def test_mistakes(mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "exclude each other" in mistake("study", *ENTRIES, *OPTIONS, "--json", "--markdown")
    assert "low..high" in mistake("study", *ENTRIES, *OPTIONS, "--space", "learning_rate=7")
    assert "name=value" in mistake("study", *ENTRIES, *OPTIONS, "--space", "learning_rate")
    assert "unknown sampler" in mistake("study", *ENTRIES, *OPTIONS, "--sampler", "luck")
    assert not list(tmp_path.iterdir())
