"""Runs on disk: whole or not at all."""

import csv
import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from siamese_mnist.runs.result import RunResult
from siamese_mnist.runs.store import (
    RunError,
    check_writable,
    list_runs,
    read_history,
    read_run,
    read_scores,
    read_weights,
    write_run,
)
from tests.conftest import example_result

RESULT = RunResult.from_dict(example_result())
CONFIG = {"seed": 0, "image_size": [28, 28], "classes": ["0", "1"]}
HISTORY = [("phase", "loss"), (1, 0.5), (2, "")]
WEIGHTS = {"w": torch.arange(6.0).view(2, 3), "turned": torch.arange(6.0).view(2, 3).T, "count": torch.tensor(3)}
SCORES = {
    "left": np.array([0, 1]),
    "right": np.array([1, 1]),
    "same": np.array([False, True]),
    "score": np.array([0.5, -1.5], dtype=np.float32),
    "swapped_score": np.array([0.25, -1.5], dtype=np.float32),
}
FILES = {"config.json", "history.csv", "model.safetensors", "result.json", "test_scores.npz"}


def write(runs_dir, name="a", **changes):
    given = {"result": RESULT, "config": CONFIG, "history": HISTORY, "scores": SCORES, "weights": WEIGHTS}
    return write_run(runs_dir, name, **given | changes)


def content(folder):
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_written_run(tmp_path):
    result = write(tmp_path / "new" / "runs")
    folder = tmp_path / "new" / "runs" / "a"
    assert result == dataclasses.replace(RESULT, run_dir=str(folder))
    assert {path.name for path in folder.iterdir()} == FILES
    assert json.loads((folder / "result.json").read_text()) == result.as_dict()
    assert json.loads((folder / "config.json").read_text()) == CONFIG
    with (folder / "history.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["phase", "loss"], ["1", "0.5"], ["2", ""]]
    assert [path.name for path in folder.parent.iterdir()] == ["a"]
    assert folder.stat().st_mode & 0o777 == 0o755


def test_read_back(tmp_path):
    written = write(tmp_path)
    assert read_run(tmp_path / "a") == read_run(str(tmp_path / "a")) == written
    weights = read_weights(tmp_path / "a")
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in WEIGHTS.items())
    scores = read_scores(tmp_path / "a")
    assert scores.keys() == SCORES.keys()
    for name, column in SCORES.items():
        np.testing.assert_array_equal(scores[name], column, strict=True)


def test_a_taken_name_gets_a_number(tmp_path):
    write(tmp_path)
    before = content(tmp_path)
    second, third = write(tmp_path, result=dataclasses.replace(RESULT, variant="x")), write(tmp_path)
    assert [Path(each.run_dir).name for each in (second, third)] == ["a-2", "a-3"]
    assert json.loads((tmp_path / "a-2" / "result.json").read_text())["run_dir"] == str(tmp_path / "a-2")
    assert before.items() <= content(tmp_path).items(), "the first run stays as it was"


def test_a_file_in_the_place_of_a_run_stays(tmp_path):
    (tmp_path / "a").write_text("mine")
    assert Path(write(tmp_path).run_dir).name == "a-2"
    assert (tmp_path / "a").read_text() == "mine"


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def history_that_fails():
    yield HISTORY[0]
    no_space()


@pytest.mark.parametrize("moment", ["weights", "scores", "history", "rename"])
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, moment):
    write(tmp_path)
    before = content(tmp_path)
    changes = {}
    if moment == "weights":
        monkeypatch.setattr(safetensors.torch, "save_file", no_space)
    elif moment == "scores":
        monkeypatch.setattr(np, "savez_compressed", no_space)
    elif moment == "history":
        changes["history"] = history_that_fails()
    else:
        monkeypatch.setattr(Path, "rename", no_space)
    with pytest.raises(RunError, match=rf"cannot write a run to {tmp_path} \(No space left on device\); .*--runs-dir"):
        write(tmp_path, "b", **changes)
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_interruption_leaves_nothing(tmp_path):
    def interrupted():
        yield HISTORY[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, history=interrupted())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "deeper/runs"])
def test_a_file_in_the_place_of_the_folder(tmp_path, below):
    (tmp_path / "runs").write_text("mine")
    for attempt in (check_writable, write):
        with pytest.raises(RunError, match=f"cannot write a run to {tmp_path / 'runs' / below} .*--runs-dir"):
            attempt(tmp_path / "runs" / below)
    assert (tmp_path / "runs").read_text() == "mine"


def test_check_writable(tmp_path, monkeypatch):
    check_writable(tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(RunError, match="No space left on device"):
        check_writable(tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that refuses even the superuser")
def test_a_folder_that_refuses(tmp_path):  # noqa: ARG001
    with pytest.raises(RunError, match="cannot write a run to /proc/self/runs"):
        check_writable(Path("/proc/self/runs"))


def test_reading_what_is_no_run(tmp_path):
    with pytest.raises(RunError, match=f"{tmp_path} is not a complete run: it has no result.json"):
        read_run(tmp_path)


def flip_bytes(path):
    """Damages the inside of a file, as a bad disk does; its length stays."""
    damaged = bytearray(path.read_bytes())
    for place in range(len(damaged) // 4, len(damaged) // 2):
        damaged[place] ^= 0xFF
    path.write_bytes(damaged)


@pytest.mark.parametrize(
    ("read", "name"), [(read_weights, "model.safetensors"), (read_scores, "test_scores.npz")], ids=["weights", "scores"]
)
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not this"),
        lambda path: path.write_bytes(path.read_bytes()[:-40]),
        flip_bytes,
    ],
    ids=["missing", "empty", "another file", "truncated", "flipped"],
)
def test_reading_damaged_arrays(tmp_path, read, name, damage):
    write(tmp_path, scores={key: np.tile(column, 500) for key, column in SCORES.items()})
    damage(tmp_path / "a" / name)
    with pytest.raises(RunError, match=rf"{name} cannot be read .*; train the run again"):
        read(tmp_path / "a")


DAMAGES = {
    "truncated": b'{"variant": "sia',
    "empty": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_reading_a_damaged_run(tmp_path, damage):
    write(tmp_path)
    (tmp_path / "a" / "result.json").write_bytes(damage)
    with pytest.raises(RunError, match=r"result\.json cannot be read .*; train the run again"):
        read_run(tmp_path / "a")


def test_list_runs(tmp_path):
    """Complete runs only, oldest first, wherever their folder is now."""
    for name, seconds in {"young": 3_000, "old": 1_000, "middle": 2_000}.items():
        write(tmp_path / "runs", name, result=dataclasses.replace(RESULT, variant=name))
        os.utime(tmp_path / "runs" / name / "result.json", (seconds, seconds))
    for number, damage in enumerate(DAMAGES.values()):
        write(tmp_path / "runs", f"damaged-{number}")
        (tmp_path / "runs" / f"damaged-{number}" / "result.json").write_bytes(damage)
    write(tmp_path / "runs", "incomplete")
    (tmp_path / "runs" / "incomplete" / "result.json").unlink()
    write(tmp_path / "runs", ".unfinished-1")
    (tmp_path / "runs" / "notes.txt").touch()
    (tmp_path / "runs").rename(tmp_path / "moved")
    found = list_runs(tmp_path / "moved")
    assert [run.variant for run in found] == ["old", "middle", "young"]
    assert [run.run_dir for run in found] == [str(tmp_path / "moved" / name) for name in ("old", "middle", "young")]


def test_list_runs_of_no_folder(tmp_path):
    assert list_runs(tmp_path / "nowhere") == []
    (tmp_path / "file").touch()
    assert list_runs(tmp_path / "file") == []


def test_a_curve_of_before_has_neither_step_sizes_nor_seconds(finished, tmp_path):
    kept = Path(finished["siamese"].run_dir) / "history.csv"
    with kept.open(newline="") as file:
        rows = list(csv.reader(file))
    now = read_history(kept.parent)
    assert set(now) == {"loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate", "seconds"}
    with (tmp_path / "history.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row[:-2] for row in rows)
    before = read_history(tmp_path)
    assert set(now) - set(before) == {"learning_rate", "seconds"}
    for name, column in before.items():
        np.testing.assert_array_equal(column, now[name])
