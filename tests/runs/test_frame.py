"""Runs as columns."""

import json
from pathlib import Path

import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

import siamese_mnist as sm
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.frame import frame_of, matching_rows, sorted_rows
from siamese_mnist.runs.result import RunResult
from tests.conftest import example_result


def with_options(**options):
    values = example_result()
    values["config"]["parts"]["loss_options"] = options
    return RunResult.from_dict(values)


def test_columns_are_what_result_json_says(runs_dir):
    frame = sm.runs_frame(runs_dir)
    assert {len(column) for column in frame.values()} == {2}
    for row, folder in enumerate(frame["run_dir"]):
        said = json.loads((Path(folder) / "result.json").read_text())
        for column, value in {
            "variant": said["variant"],
            "dataset": said["dataset"],
            "batch_size": said["config"]["protocol"]["batch_size"],
            "head": said["config"]["parts"]["head"],
            "augment.rotate": said["config"]["protocol"]["augmentation"]["rotate"],
            "accuracy": said["test"]["accuracy"],
            "same/recall": said["test"]["same"]["recall"],
            "true_match_rate/0.01": said["test"]["true_match_rate"]["0.01"],
            "train_seconds": said["phase1"]["train_seconds"] + said["phase2"]["train_seconds"],
        }.items():
            assert frame[column][row] == value, column


@pytest.mark.parametrize("library", [pandas, polars])
def test_pandas_and_polars_take_it(runs_dir, library):
    mixed = frame_of([with_options(margin=1), with_options(margin=0.5), with_options(margin="wide"), with_options()])
    for frame in (sm.runs_frame(runs_dir), mixed, sm.runs_frame(runs_dir / "nowhere")):
        table = library.DataFrame(frame)
        assert list(table.columns) == list(frame)
        assert len(table) == len(frame.get("run_dir", []))
    assert library.DataFrame(sm.runs_frame(runs_dir))["accuracy"].max() == max(sm.runs_frame(runs_dir)["accuracy"])


def test_a_column_is_of_one_type():
    numbers = frame_of([with_options(margin=1), with_options(margin=0.5), with_options()])["loss.margin"]
    assert numbers == [1.0, 0.5, None]
    assert [type(each) for each in numbers[:2]] == [float, float]
    assert frame_of([with_options(margin=1), with_options(margin="wide")])["loss.margin"] == ["1", "wide"]


def test_what_is_no_run_is_named_once(runs_dir, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text("{}")
    (tmp_path / "run").symlink_to(next(iter(runs_dir.glob("siamese-*"))))
    with pytest.warns(UserWarning, match=r"skipped: .*one/result.json .*, and 1 more") as told:
        frame = sm.runs_frame(tmp_path)
    assert len(told) == 1
    assert frame["variant"] == ["siamese"]


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        ({}, [0, 1, 2]),
        ({"seed": "1"}, [1]),
        ({"loss.margin": "0.5"}, [1]),
        ({"loss.margin": "1"}, [0]),
        ({"loss.margin": "1.0"}, [0]),
        ({"loss.margin": "0.2..0.9"}, [1]),
        ({"loss.margin": "none"}, [2]),
        ({"curve": "true"}, [0, 1, 2]),
        ({"curve": "false"}, []),
        ({"variant": "siamese", "accuracy": "0.7..1"}, [0, 1, 2]),
        ({"variant": "0..1"}, []),
        ({"collapsed": "none", "seed": "0"}, [0]),
    ],
)
def test_conditions(conditions, rows):
    assert matching_rows(three(), conditions) == rows


def three():
    runs = []
    for seed, options in enumerate([{"margin": 1}, {"margin": 0.5}, {}]):
        values = example_result(seed=seed)
        values["config"] |= {"seed": seed}
        values["config"]["parts"]["loss_options"] = options
        runs.append(RunResult.from_dict(values))
    return frame_of(runs)


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=8), st.sampled_from(["accuracy", "equal_error_rate"]))
def test_sorted_best_first_and_without_value_last(values, column):
    frame = {"run_dir": [str(row) for row in range(len(values))], column: values}
    found = [values[row] for row in sorted_rows(frame, range(len(values)), column)]
    there = [each for each in values if each is not None]
    assert found == sorted(there, reverse=column == "accuracy") + [None] * (len(values) - len(there))


def test_an_unknown_column_suggests_the_nearest():
    for refused in (lambda: matching_rows(three(), {"acuracy": "1"}), lambda: sorted_rows(three(), [0], "acuracy")):
        with pytest.raises(UsageError, match="runs have no column 'acuracy'; did you mean 'accuracy'"):
            refused()
