"""Whose it is, and whether its owner lives."""

import os
import subprocess
import sys

import pytest

from siamese_mnist.system import owners
from siamese_mnist.system.owners import Owner, is_gone

ME = Owner.this()


def ended():
    """The owner that a process was which has ended."""
    code = "from siamese_mnist.system.owners import Owner; print(Owner.this())"
    return Owner.parse(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())


def test_this_process_lives(tmp_path):
    assert Owner.parse(str(ME)) == ME
    assert ME.here
    assert ME.running
    assert not is_gone(ME, tmp_path)


def test_one_that_ended(tmp_path):
    assert ended().here
    assert is_gone(ended(), tmp_path)


def test_a_later_process_of_the_same_number(tmp_path):
    assert is_gone(Owner(ME.machine, ME.pid, "1"), tmp_path)


def test_a_process_that_nobody_has_waited_for(tmp_path):
    """A zombie runs nothing any more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    before = Owner(ME.machine, process.pid, owners._started(process.pid))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(before, tmp_path)
    process.wait()


@pytest.mark.parametrize("owner", [Owner("another", ME.pid, ME.started), None])
def test_another_machine(tmp_path, owner):
    """There only the time of change tells."""
    place = tmp_path / "place"
    place.mkdir()
    assert not is_gone(owner, place)
    now = place.stat().st_mtime
    os.utime(place, (now, now - 0.9 * owners.SILENT_SECONDS))
    assert not is_gone(owner, place)
    os.utime(place, (now, now - 1.1 * owners.SILENT_SECONDS))
    assert is_gone(owner, place)
    assert not is_gone(owner, tmp_path / "missing")


@pytest.mark.parametrize("text", ["", "abc123", "a.b.c", "a.1", "a.1.2.3", "a.99999999999999.1", "a.².1"])
def test_other_texts(text):
    assert Owner.parse(text) is None
