"""Runs that train side by side tell how far they are."""

from pathlib import Path

import pytest

from siamese_mnist.runs.beside import watched, written
from siamese_mnist.runs.jobs import attempt_runs
from siamese_mnist.settings.settings import Settings

TINY = {"train_pairs": 640, "test_pairs": 300, "pretrain_epochs": 1, "epochs": 1, "curve": False}


def test_every_stage_of_every_run_is_told(tmp_path):
    wanted = [Settings.resolve("siamese", seed=seed, dataset="mnist-tenth", **TINY) for seed in (0, 1)]
    told = {each.seed: [] for each in wanted}
    overall = []
    runs = list(
        attempt_runs(
            wanted,
            runs_dir=tmp_path,
            jobs=2,
            overall=lambda *words: overall.append(words),
            beside=lambda each: lambda *words: told[each.seed].append(words),
        )
    )
    assert overall[-1] == ("both phases", 2, 2)
    for run in runs:
        stage, done, total = told[run.seed][-1]
        assert (stage, done) == ("phase 2", total)
        assert all(0 < done <= total for _, done, total in told[run.seed])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(Path(run.run_dir).name for run in runs)


def test_what_is_written_is_told_and_nothing_stays(tmp_path):
    told = []
    with watched(tmp_path, {"a": lambda *words: told.append(words)}) as folder:
        progress = written(folder, "a")
        for done in range(1, 1001):
            progress("phase 1", done, 1000)
        (folder / "b").write_text("{")
    assert told[-1] == ("phase 1", 1000, 1000)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_costs_no_run(tmp_path):
    with watched(tmp_path, {"a": lambda *_: None}) as folder:
        pass
    written(folder, "a")("phase 1", 1, 1)


def test_nobody_asks_nothing_is_written(tmp_path):
    with watched(tmp_path, {}) as folder:
        assert folder is None
    assert list(tmp_path.iterdir()) == []


def test_an_error_ends_the_watch(tmp_path):
    with pytest.raises(KeyboardInterrupt), watched(tmp_path, {"a": lambda *_: None}):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
