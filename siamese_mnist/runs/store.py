"""Runs on disk: written whole or not at all, listed, found again."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.evaluation import Calibration
from siamese_mnist.runs.reading import (
    CALIBRATION,
    CONFIG,
    HISTORY,
    RESULT,
    SCORER,
    SCORES,
    WEIGHTS,
    RunError,
    calibration_columns,
    check_files,
    read_config,
    read_history,
    read_run,
    read_scorer,
    read_scores,
    read_weights,
)
from siamese_mnist.runs.result import RunResult
from siamese_mnist.runs.scorer import Scorer
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.files import check_folder, workspace

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Found",
    "RunError",
    "RunFiles",
    "RunResult",
    "Scan",
    "Skipped",
    "check_writable",
    "find_newest",
    "find_run",
    "find_runs",
    "list_runs",
    "pack_run",
    "read_config",
    "read_history",
    "read_run",
    "read_scores",
    "read_weights",
    "scan_runs",
    "unpack_run",
    "write_run",
]


RunFiles = dict[str, bytes]
"""Contents of a run's files by name."""


class Skipped(NamedTuple):
    """What lies where a run would and is none."""

    path: Path  # its folder
    reason: str  # one line that names file and field


class Scan(NamedTuple):
    """What a folder of runs holds."""

    runs: list[RunResult]  # oldest first
    skipped: list[Skipped]


class Found(NamedTuple):
    """What a search for runs found."""

    runs: list[RunResult | None]  # one for each of the settings searched for
    skipped: list[Skipped]


def write_run(
    runs_dir: Path,
    name: str,
    *,
    result: RunResult,
    config: Mapping[str, Any],
    history: Iterable[Sequence[Any]],
    weights: Mapping[str, Tensor],
    scores: Mapping[str, NDArray[Any]],
    calibration: Calibration | None = None,
    scorer: Scorer | None = None,
) -> RunResult:
    """Writes a run into a temporary folder beside its place, then renames it; earlier runs are never touched.

    Args:
        runs_dir: folder of all runs, made if missing.
        name: the run's folder name; a number is added where it is taken.
        result: figures; `run_dir` is filled in.
        config: settings.
        history: rows of `history.csv`, the header first.
        weights: tensors by name.
        scores: columns of `test_scores.npz`: left, right, same, score and swapped_score of every test pair.
        calibration: the scored pairs that the decision was fitted on, for `calibration.npz`.
        scorer: how one pair is scored without PyTorch, for `scorer.json`.

    Raises:
        RunError: if the folder cannot be written; nothing is left behind then.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        with workspace(runs_dir) as folder:
            part = folder / "run"
            part.mkdir()
            save_file({key: value.contiguous() for key, value in weights.items()}, part / WEIGHTS)
            (part / WEIGHTS).chmod(0o644)  # safetensors makes it private
            np.savez_compressed(part / SCORES, allow_pickle=False, **scores)
            if calibration is not None:
                np.savez_compressed(part / CALIBRATION, allow_pickle=False, **calibration_columns(calibration))
            if scorer is not None:
                (part / SCORER).write_bytes(scorer.as_json())
            _write_json(part / CONFIG, config)
            with (part / HISTORY).open("w", newline="") as file:
                csv.writer(file).writerows(history)
            return _placed(part, runs_dir, name, result)
    except (OSError, SafetensorError) as error:
        raise _unwritable(runs_dir, error) from error


def pack_run(run_dir: str | Path) -> RunFiles:
    """A run's files, for a machine that does not share this one's disk."""
    names = (RESULT, CONFIG, HISTORY, SCORES, CALIBRATION, WEIGHTS)
    files = {name: (Path(run_dir) / name).read_bytes() for name in names}
    scorer = read_scorer(run_dir)
    return files if scorer is None else {**files, SCORER: scorer}


def unpack_run(runs_dir: Path, name: str, files: RunFiles) -> RunResult:
    """Writes a run that was packed elsewhere; see `write_run`.

    Raises:
        RunError: if the folder cannot be written, or the files are no run; nothing is left behind then.
    """
    try:
        with workspace(runs_dir) as folder:
            part = folder / "run"
            part.mkdir()
            for file, content in files.items():
                (part / file).write_bytes(content)
            return _placed(part, runs_dir, name, read_run(part))
    except OSError as error:
        raise _unwritable(runs_dir, error) from error


def check_writable(runs_dir: Path) -> None:
    """Makes sure, before any training, that a run can be written.

    Raises:
        RunError: if `runs_dir` cannot be made or written to.
    """
    try:
        check_folder(runs_dir)
    except OSError as error:
        raise _unwritable(runs_dir, error) from error


def list_runs(runs_dir: str | Path) -> list[RunResult]:
    """All complete, readable runs below `runs_dir`, oldest first; `scan_runs` says what was skipped too."""
    return scan_runs(runs_dir).runs


def scan_runs(runs_dir: str | Path, *, whole: bool = False) -> Scan:
    """All complete runs below `runs_dir`, oldest first, and what had to be skipped.

    Args:
        runs_dir: folder of all runs; one that is missing holds none.
        whole: whether scores, weights and curves are read too, and a run without them is skipped.

    Raises:
        RunError: if the folder cannot be read.
    """
    runs: list[RunResult] = []
    skipped: list[Skipped] = []
    for folder in _folders(Path(runs_dir)):
        try:
            run = read_run(folder)
            if whole:
                check_files(folder)
        except RunError as error:
            skipped.append(Skipped(folder, str(error)))
        else:
            runs.append(run)
    return Scan(runs, skipped)


def find_run(settings: Settings, runs_dir: str | Path) -> RunResult | None:
    """The newest complete run of exactly these settings by this version, all its files readable, if there is one."""
    return find_runs([settings], runs_dir).runs[0]


def find_runs(settings: Sequence[Settings], runs_dir: str | Path) -> Found:
    """For each of `settings` what `find_run` finds, the folder read once."""
    complete, skipped = scan_runs(runs_dir)
    this = version("siamese-mnist")
    own = [(run, run.settings) for run in complete if run.versions["siamese_mnist"] == this]
    damaged: dict[str, Skipped] = {}
    found = [_newest([run for run, its in own if its == wanted], damaged) for wanted in settings]
    return Found(found, [*skipped, *damaged.values()])


def find_newest(variant: str | None, runs_dir: str | Path) -> Found:
    """The newest complete run of a variant, or of any where that is None, all its files readable, if there is one."""
    complete, skipped = scan_runs(runs_dir)
    damaged: dict[str, Skipped] = {}
    found = _newest([run for run in complete if variant in (None, run.variant)], damaged)
    return Found([found], [*skipped, *damaged.values()])


def _newest(runs: Sequence[RunResult], damaged: dict[str, Skipped]) -> RunResult | None:
    """The last of `runs` whose files can all be read; those that cannot are added to `damaged`, by their folder."""
    for run in reversed(runs):
        if run.run_dir not in damaged:
            try:
                check_files(run.run_dir)
            except RunError as error:
                damaged[run.run_dir] = Skipped(Path(run.run_dir), str(error))
            else:
                return run
    return None


def _unwritable(runs_dir: Path, error: Exception) -> RunError:
    reason = getattr(error, "strerror", None) or error
    return RunError(f"cannot write a run to {runs_dir} ({reason}); name another folder with --runs-dir")


def _folders(runs_dir: Path) -> Iterator[Path]:
    """Folders that have a `result.json` of whatever kind, oldest first."""
    ages: dict[Path, int] = {}
    try:
        for folder in runs_dir.iterdir():
            if not folder.name.startswith(".") and os.path.lexists(folder / RESULT):
                ages[folder] = os.lstat(folder / RESULT).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise RunError(f"{runs_dir} cannot be read ({error.strerror}); name another folder with --runs-dir") from error
    return iter(sorted(ages, key=ages.__getitem__))


def _placed(part: Path, runs_dir: Path, name: str, result: RunResult) -> RunResult:
    """Names a finished run's folder; its `result.json` is written with the place."""
    for place in _places(runs_dir, name):
        finished = dataclasses.replace(result, run_dir=str(place))
        _write_json(part / RESULT, finished.as_dict())
        try:
            part.rename(place)
        except OSError:
            if not place.exists():
                raise
            continue
        return finished
    raise AssertionError("unreachable: places never end")


def _places(runs_dir: Path, name: str) -> Iterator[Path]:
    yield runs_dir / name
    number = 2
    while True:
        yield runs_dir / f"{name}-{number}"
        number += 1


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n")
