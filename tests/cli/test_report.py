"""`siamese-mnist report` and `siamese-mnist figures`."""

from pathlib import Path

import pytest


def test_report(command, runs_dir, tmp_path):
    place = tmp_path / "a.html"
    done = command("report", "--runs-dir", runs_dir, "--output", place)
    assert (done.status, done.out, done.err) == (0, f"{place}\n", "")
    assert "baseline" in place.read_text()
    assert "siamese" in place.read_text()


def test_named_runs(command, finished, tmp_path):
    place = tmp_path / "a.html"
    done = command("report", finished["siamese"].run_dir, "--output", place)
    assert done.status == 0
    assert "baseline" not in place.read_text()


def test_figures(command, finished, tmp_path):
    done = command("figures", finished["baseline"].run_dir, "--output", tmp_path / "p", "--format", "png")
    assert done.status == 0
    places = [Path(line) for line in done.out.splitlines()]
    assert sorted(places) == sorted((tmp_path / "p").iterdir())
    assert all(place.read_bytes().startswith(b"\x89PNG") for place in places)


@pytest.mark.parametrize("arguments", [["report"], ["report", "none"], ["figures", "none"]])
def test_no_run(mistake, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    assert "complete run" in mistake(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_unwritable(mistake, runs_dir, tmp_path):
    (tmp_path / "file").touch()
    assert "--output" in mistake("report", "--runs-dir", runs_dir, "--output", tmp_path / "file" / "a.html")


def test_figures_into_a_file(mistake, finished, tmp_path):
    (tmp_path / "file").touch()
    assert "--output" in mistake("figures", finished["baseline"].run_dir, "--output", tmp_path / "file")
