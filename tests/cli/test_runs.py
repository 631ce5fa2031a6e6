"""`siamese-mnist runs`."""

import json
import re
from pathlib import Path

import siamese_mnist as sm


def test_every_run_has_a_line(command, finished, runs_dir):
    done = command("runs", "--runs-dir", runs_dir)
    assert (done.status, done.err) == (0, "")
    header, *lines, last = done.out.splitlines()
    assert header.split("  ")[0] == "run"
    assert [line.split()[0] for line in lines] == [Path(run.run_dir).name for run in finished.values()]
    for line, run in zip(lines, finished.values(), strict=True):
        assert f"{run.test.accuracy:.4f}" in line
    assert last == "2 of 2 runs"
    assert "\x1b" not in done.out


def test_eighty_columns_hold_it(command, finished, runs_dir, terminal):
    terminal(80)
    done = command("runs", "--runs-dir", runs_dir, "--where", "batch_size=64")
    out = re.sub(r"\x1b\[[0-9;]*m", "", done.out)
    assert "…" not in out
    assert all(len(line) <= 80 for line in out.splitlines())
    for run in finished.values():
        assert Path(run.run_dir).name in out


def test_filtered_and_sorted_as_json(command, finished, runs_dir):
    rows = json.loads(command("runs", "--runs-dir", runs_dir, "--sort", "accuracy", "--json").out)["runs"]
    assert [row["accuracy"] for row in rows] == sorted((run.test.accuracy for run in finished.values()), reverse=True)
    (row,) = json.loads(command("runs", "--runs-dir", runs_dir, "--where", "variant=siamese", "--json").out)["runs"]
    frame = sm.runs_frame(runs_dir)
    assert row == {name: column[frame["variant"].index("siamese")] for name, column in frame.items()}


def test_nothing_found(command, runs_dir, tmp_path):
    done = command("runs", "--runs-dir", runs_dir, "--where", "seed=7")
    assert (done.status, done.out) == (0, f"no run in {runs_dir} is like that\n")
    assert command("runs", "--runs-dir", tmp_path).out == f"no run in {tmp_path}\n"
    assert command("runs", "--runs-dir", tmp_path, "--sort", "accuracy", "--json").out == '{"runs": []}\n'


def test_a_foreign_folder_is_named_in_one_line(command, tmp_path):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "result.json").write_text("[]")
    done = command("runs", "--runs-dir", tmp_path)
    assert done.status == 0
    assert done.err.startswith("siamese-mnist: skipped: ")
    assert done.err.count("\n") == 1


def test_mistakes(mistake, runs_dir):
    given = ["runs", "--runs-dir", runs_dir]
    assert "did you mean 'accuracy'" in mistake(*given, "--sort", "acuracy")
    assert "did you mean 'batch_size'" in mistake(*given, "--where", "batch-sise=3")
    assert "options are written name=value, got 'seed'" in mistake(*given, "--where", "seed")
    assert "low..high" in mistake(*given, "--where", "accuracy=1..0")
