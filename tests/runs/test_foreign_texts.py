"""Texts of other hands in a result: none reaches the terminal with its control characters, or a page as its markup."""

import json
import re
import shutil

import pytest

from siamese_mnist.runs.store import RunError, read_run
from siamese_mnist.system.text import printable, unprintable

ODD = "\x1b]0;owned\x07\n"
MARKUP = "[/red]<script>alert(1)</script>"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def texts(values, place=()):
    """Places of all texts and names within JSON values."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for name, value in items:
        yield from texts(value, (*place, name))
    if isinstance(values, str):
        yield place


def with_text(values, place, text):
    """A copy of JSON values with another text in one place."""
    changed = json.loads(json.dumps(values))
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = text
    return changed


@pytest.fixture
def foreign(finished, tmp_path):
    """Makes a folder with a good run and a newer one with a text of other hands, and gives the newer one."""

    def make(place, text):
        runs = tmp_path / "runs"
        shutil.rmtree(runs, ignore_errors=True)
        shutil.copytree(finished["siamese"].run_dir, runs / "good")
        odd = shutil.copytree(finished["siamese"].run_dir, runs / "odd")
        values = json.loads((odd / "result.json").read_text())
        (odd / "result.json").write_text(json.dumps(with_text(values, place, text)))
        return odd

    return make


def test_every_text_of_a_result_is_looked_at(finished, foreign):
    values = finished["siamese"].as_dict()
    places = [place for place in texts(values) if place != ("run_dir",)]
    assert {("variant",), ("dataset",), ("machine",), ("config", "parts", "head")} <= set(places)
    for place in places:
        with pytest.raises(RunError, match="holds a control character") as found:
            read_run(foreign(place, ODD))
        assert ".".join(place) in str(found.value)
    with pytest.raises(RunError, match=r"versions\.a\\x1b: holds a control character"):
        read_run(foreign(("versions", "a\x1b"), "1"))


@pytest.mark.parametrize("place", [("variant",), ("config", "variant"), ("config", "parts", "loss")], ids=".".join)
def test_commands_name_it_and_go_on(command, foreign, tmp_path, short, place):
    odd = foreign(place, ODD)
    page, table = tmp_path / "report.html", tmp_path / "table.csv"
    shared = ["--runs-dir", odd.parent]
    conditions = ["--dataset", short["dataset"], "--recipe", short["recipe"], "--seeds", "1", "--csv", table]
    for words in (["report", "--output", page], ["compare", "siamese", *conditions]):
        done = command(*words, *shared)
        assert done.status == 0
        assert f"skipped: {odd}/result.json cannot be read" in done.err
        assert not CONTROL.search(done.out + done.err)
    assert not CONTROL.search(page.read_text() + table.read_text())
    assert "owned" not in page.read_text() + table.read_text()


def test_a_folders_name_reaches_nothing_with_its_control_characters(command, finished, tmp_path):
    run, page = tmp_path / "a\x1b[2J\n<b>", tmp_path / "report.html"
    shutil.copytree(finished["siamese"].run_dir, run)
    assert command("report", run, "--output", page).status == 0
    text = page.read_text()
    assert not CONTROL.search(text)
    assert r"a\x1b[2J\n&lt;b&gt;" in text


def test_markup_in_a_text_is_text(command, foreign, tmp_path):
    odd, page = foreign(("dataset",), MARKUP), tmp_path / "report.html"
    done = command("report", odd, "--output", page)
    assert done.status == 2 or MARKUP not in page.read_text()
    odd = foreign(("versions", "siamese_mnist"), MARKUP)
    assert command("report", odd, "--output", page).status == 0
    assert "<script>" not in page.read_text()
    assert "[/red]&lt;script&gt;" in page.read_text()


def test_brackets_are_no_markup_of_tables(capsys):
    from siamese_mnist_cli.tables import print_comparison

    from siamese_mnist.runs.comparison import PUBLISHED, Row

    print_comparison([PUBLISHED, Row(variant="x", entry="[/red] :smile:")])
    assert "[/red] :smile:" in capsys.readouterr().out


def test_unprintable():
    values = {"a": "b", "c": [{"d": "e\x07"}, "f g"], "h\n": 1, "i": "\u202e", "j": 1.5}
    assert list(unprintable(values)) == ["c.0.d", "h\\n", "i"]
    assert printable("a\x1b\n\u202e\udcff é") == r"a\x1b\n\u202e\udcff é"
