"""`siamese-mnist list`."""

import json
import re

import pytest

import siamese_mnist as sm
from siamese_mnist.registry import Registry
from siamese_mnist.settings.registries import REGISTRIES

KINDS = REGISTRIES


def words(text):
    return set(re.split(r"[\s│┃]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)))


def test_every_public_registry_is_listed():
    public = [value for name in sm.__all__ if isinstance(value := getattr(sm, name), Registry)]
    assert sorted(map(id, public)) == sorted(map(id, REGISTRIES.values()))


def test_everything(command):
    done = command("list")
    assert done.status == 0
    assert done.err == ""
    assert "…" not in done.out
    for kind, registry in KINDS.items():
        assert {kind, *registry} <= words(done.out)


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_as_json(command, kind):
    done = command("list", kind, "--json")
    assert done.status == 0
    found = json.loads(done.out)
    assert list(found) == [kind]
    parts = found[kind]["parts"]
    assert [part["name"] for part in parts] == list(KINDS[kind])
    assert all(part["summary"] and part["origin"] == "built in" for part in parts)
    assert found[kind]["broken"] == {}


def test_all_kinds_as_json(command):
    found = json.loads(command("list", "--json").out)
    assert list(found) == list(KINDS)
    (report,) = (part for part in found["backbones"]["parts"] if part["name"] == "report")
    assert report["options"] == {
        "blocks": 2,
        "residual": True,
        "activation": False,
        "enlarge": 1,
        "pixel_max": 1.0,
    }


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("kind", ["variants", "heads", "losses"])
def test_names_are_whole_in_a_terminal(command, terminal, kind, columns):
    """A name is there to be copied: of all columns it is the last to be cut."""
    terminal(columns)
    done = command("list", kind)
    assert max(map(len, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.out).splitlines())) <= columns
    assert set(KINDS[kind]) <= words(done.out)


def test_broken_plugins_are_shown(command, monkeypatch):
    monkeypatch.setitem(sm.HEADS.broken, "wonder", "wonder-heads 0.1: ImportError: [no] module")
    done = command("list", "heads")
    assert done.status == 0
    assert "not loaded: wonder (wonder-heads 0.1: ImportError: [no] module)" in done.out
    assert "distance" in done.out
    broken = json.loads(command("list", "heads", "--json").out)["heads"]["broken"]
    assert broken == {"wonder": "wonder-heads 0.1: ImportError: [no] module"}


def test_losses_that_are_not_offered_are_named_with_the_reason(command):
    reasons = json.loads(command("list", "losses", "--json").out)["losses"]["not_offered"]
    text = " ".join(command("list", "losses").out.split())
    assert len(reasons) + len(sm.LOSSES) == 37
    assert all(f"not offered: {name} ({reason})" in text for name, reason in reasons.items())
    assert "not offered" not in command("list", "miners").out


def test_unknown_kind(mistake):
    line = mistake("list", "head")
    assert "unknown kind of part 'head'" in line
    assert "heads" in line
