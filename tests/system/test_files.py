"""Files and folders that appear whole or not at all."""

import os
import subprocess
import sys

import pytest

from siamese_mnist.system.files import sweep, unfinished


def test_a_file_takes_the_place_of_the_one_before(tmp_path):
    place = tmp_path / "new" / "a.txt"
    for text in ("first", "second"):
        with unfinished(place) as path:
            path.write_text(text)
            assert not place.exists() or place.read_text() == "first"
        assert place.read_text() == text
    assert [each.name for each in place.parent.iterdir()] == ["a.txt"]


def test_a_folder(tmp_path):
    with unfinished(tmp_path / "a") as path:
        path.mkdir()
        (path / "b").write_text("b")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "b").read_text() == "b"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_failure_leaves_what_was_there(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text("before")

    def fail(path):
        path.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), unfinished(place) as path:
        fail(path)
    assert place.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_what_a_killed_process_left_goes(tmp_path):
    """The next one that writes there removes it; what a living process has not finished yet stays."""
    code = """
import os, sys
from pathlib import Path
from siamese_mnist.system.files import sweep, unfinished
with unfinished(Path(sys.argv[1]) / "a.txt") as path:
    path.write_text("half")
    os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.glob(".unfinished-*/a.txt")
    left.parent.with_name(left.parent.name.replace("unfinished", "claim")).touch()
    with unfinished(tmp_path / "b.txt") as first:
        first.write_text("b")
        with unfinished(tmp_path / "c.txt") as second:
            second.write_text("c")
    assert {each.name for each in tmp_path.iterdir()} == {"b.txt", "c.txt"}


def test_a_link_is_not_followed(tmp_path):
    """Of a link among the leftovers only the link could go."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine").write_text("mine")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".unfinished-x.1.1-y").symlink_to(tmp_path / "kept")
    sweep(tmp_path / "a")
    assert (tmp_path / "kept" / "mine").read_text() == "mine"


def test_a_pipe_stays_a_pipe(tmp_path):
    """As does a device: root could put a file in the place of /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"), unfinished(tmp_path / "pipe") as path:
        path.write_text("a")
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1
