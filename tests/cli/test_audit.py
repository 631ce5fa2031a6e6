"""`siamese-mnist audit`: a table, JSON and a page from the same findings."""

import json

import pytest

from siamese_mnist import audit


@pytest.fixture
def measured(evidence, monkeypatch):
    monkeypatch.setattr(audit, "gather", lambda *_, **__: evidence)


@pytest.mark.usefixtures("measured")
def test_json(command, evidence):
    done = command("audit", "--seeds", "2", "--json")
    assert done.status == 0
    assert done.out.count("\n") == 1
    found = json.loads(done.out)
    assert found["seeds"] == 2
    assert [each["claim"] for each in found["findings"]] == [each.claim for each in audit.findings(evidence)]


@pytest.mark.usefixtures("measured")
def test_markdown(command):
    done = command("audit", "--seeds", "2", "--markdown")
    assert done.out.startswith("# The report, audited")
    assert "Made by `siamese-mnist audit --seeds 2 --markdown` on " in done.out


@pytest.mark.usefixtures("measured")
def test_table(command, evidence):
    done = command("audit", "--seeds", "2")
    found = audit.findings(evidence)
    assert f"{sum(each.verdict == 'reproduced' for each in found)} reproduced" in done.out
    assert "Table 1" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1"], "seeds must be >= 2, got 1"),
        (["--json", "--markdown"], "--json and --markdown exclude each other; give one"),
        (["--jobs", "0"], "Invalid value for '--jobs'"),
    ],
)
def test_mistakes(command, arguments, message):
    done = command("audit", *arguments)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1
