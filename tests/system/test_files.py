"""Files and folders that appear whole or not at all."""

import pytest

from siamese_mnist.system.files import unfinished


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
