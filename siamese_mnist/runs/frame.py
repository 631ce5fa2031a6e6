"""Runs as a table: a column a setting, a figure and a cost, as pandas and polars take it."""

import difflib
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import METRICS
from siamese_mnist.registry import Range
from siamese_mnist.runs.result import RunResult
from siamese_mnist.runs.store import scan_runs
from siamese_mnist.settings.grammar import GROUPS, write_value

Frame = dict[str, list[Any]]
"""Columns by name, all of one length, a row a run."""


def runs_frame(runs_dir: str | Path = "runs") -> Frame:
    """All complete runs of a folder as columns: `pandas.DataFrame(sm.runs_frame())`, and `polars.DataFrame` likewise.

    Columns are `run_dir`, every setting by its name in an entry (`loss`, `batch_size`, `backbone.blocks`), every figure
    by its name in `METRICS` (`accuracy`, `same/recall`), and costs. A run has None where it has no such setting.

    Args:
        runs_dir: folder of all runs; one that is missing gives no rows.

    Returns:
        Lists of one length by the name of the column, oldest run first; a column holds values of one type and None.

    Warns:
        UserWarning: once, where a folder that looks like a run cannot be read; the others are there.

    Raises:
        RunError: if the folder cannot be read.
    """
    runs, skipped = scan_runs(runs_dir)
    if skipped:
        others = f", and {len(skipped) - 1} more" if len(skipped) > 1 else ""
        warnings.warn(f"skipped: {skipped[0].reason}{others}", stacklevel=2)
    return frame_of(runs)


def frame_of(runs: Sequence[RunResult]) -> Frame:
    """Runs as columns, see `runs_frame`."""
    rows = [dict(_cells(run)) for run in runs]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _of_one_type([row.get(name) for row in rows]) for name in names}


def flat_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's settings by their names in an entry; lists and the like as JSON."""
    return {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in _settings(config)}


def flat_figures(run: RunResult) -> dict[str, float | None]:
    """A run's figures by their names in `METRICS`, and its costs."""
    return dict(_figures(run))


def matching_rows(frame: Frame, conditions: Mapping[str, str]) -> list[int]:
    """Rows in which every column is as its condition says.

    Args:
        frame: what is searched.
        conditions: by column; the text of a value, or "low..high" for numbers from low to high.

    Raises:
        UsageError: if there is no such column; the message suggests the nearest.
    """
    for name in conditions:
        check_column(frame, name)
    fits = {name: (text, _range(text)) for name, text in conditions.items()}
    return [row for row in range(_length(frame)) if all(_fits(frame[name][row], *fits[name]) for name in conditions)]


def sorted_rows(frame: Frame, rows: Sequence[int], column: str) -> list[int]:
    """Rows by a column: the best figure first, anything else from the least up; rows without a value come last.

    Raises:
        UsageError: if there is no such column; the message suggests the nearest.
    """
    check_column(frame, column)
    values = frame[column]
    falling = column in METRICS and METRICS[column].higher_is_better
    there = sorted((row for row in rows if values[row] is not None), key=lambda row: values[row], reverse=falling)
    return there + [row for row in rows if values[row] is None]


def check_column(frame: Frame, name: str) -> None:
    """Raises UsageError unless there is a column of that name; a frame without rows knows none and refuses none."""
    if name not in frame and _length(frame):
        near = difflib.get_close_matches(name, frame, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(frame)}"
        raise UsageError(f"runs have no column {name!r}; {hint}")


def _length(frame: Frame) -> int:
    return len(frame["run_dir"]) if frame else 0


def _cells(run: RunResult) -> Iterator[tuple[str, Any]]:
    yield "run_dir", run.run_dir
    yield from _settings(run.config)
    yield from _figures(run)
    yield "fitted_on", run.decision.fitted_on
    yield "collapsed", run.collapsed
    yield "pairs_digest", run.test.pairs_digest
    yield "machine", run.machine
    yield "version", run.versions["siamese_mnist"]


def _figures(run: RunResult) -> Iterator[tuple[str, Any]]:
    """Figures and costs, each a number or None."""
    figures = run.test.as_dict()
    for name in METRICS:
        value: Any = figures
        for key in name.split("/"):
            value = value.get(key) if isinstance(value, Mapping) else None
        yield name, value
    yield "phase1_accuracy", run.phase1.accuracy
    yield "threshold", run.test.threshold
    yield "pairs", run.test.pairs
    yield "parameters", run.parameters.backbone + run.parameters.head
    yield "train_seconds", run.phase1.train_seconds + run.phase2.train_seconds
    yield "total_seconds", run.total_seconds
    yield from run.throughput.as_dict().items()
    yield "peak_rss_bytes", run.peak_rss_bytes


def _settings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings by their names in an entry."""
    prefixes = {field.name: prefix for prefix, field in GROUPS.items()}
    for name, value in config.items():
        if name in ("parts", "protocol"):
            yield from _settings(value)
        elif name in prefixes:
            yield from ((f"{prefixes[name]}.{option}", each) for option, each in value.items())
        else:
            yield name, value


def _of_one_type(values: list[Any]) -> list[Any]:
    """Whole numbers beside others become real ones, and anything else of several types becomes text."""
    kinds = {type(each) for each in values if each is not None}
    if kinds == {int, float}:
        return [None if each is None else float(each) for each in values]
    if len(kinds) > 1 or kinds & {list, dict}:
        return [None if each is None else each if isinstance(each, str) else json.dumps(each) for each in values]
    return values


def _range(text: str) -> Range | None:
    return Range.parse(text) if ".." in text else None


def _fits(value: Any, text: str, numbers: Range | None) -> bool:
    if numbers is not None:
        return isinstance(value, int | float) and numbers.low <= value <= numbers.high
    if text in (str(value), write_value(value)):
        return True
    try:
        return not isinstance(value, bool | str) and value is not None and math.isclose(value, float(text))
    except ValueError:
        return False
