"""Runs on disk: written whole or not at all, read back, listed."""

import csv
import io
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from siamese_mnist.errors import UsageError

_HISTORY = ("phase", "loss", "accuracy", "validation_loss", "validation_accuracy")


class Record(dict[str, Any]):
    """A JSON object whose keys can also be read as attributes: `result.test.accuracy`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({key: _record(value) for key, value in values.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no field {name!r}; there are: {', '.join(self)}") from None


def _record(value: Any) -> Any:
    return Record(value) if isinstance(value, Mapping) else value


class RunResult(Record):
    """What `result.json` holds: settings, figures and costs of one run; `run_dir` is where it is kept."""


class RunError(UsageError):
    """A run folder that cannot be read or written; the message names it and the mend."""


def write_run(
    runs_dir: Path,
    name: str,
    *,
    result: Mapping[str, Any],
    config: Mapping[str, Any],
    history: Iterable[Sequence[Any]],
    weights: Mapping[str, Tensor],
    scores: Mapping[str, NDArray[Any]],
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

    Raises:
        RunError: if the folder cannot be written; nothing is left behind then.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    temporary = None
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=runs_dir))
        temporary.chmod(0o755)
        save_file({key: value.contiguous() for key, value in weights.items()}, temporary / "model.safetensors")
        (temporary / "model.safetensors").chmod(0o644)  # safetensors makes it private
        np.savez_compressed(temporary / "test_scores.npz", allow_pickle=False, **scores)
        _write_json(temporary / "config.json", config)
        with (temporary / "history.csv").open("w", newline="") as file:
            csv.writer(file).writerows(history)
        for place in _places(runs_dir, name):
            finished = RunResult({**result, "run_dir": str(place)})
            _write_json(temporary / "result.json", finished)
            try:
                temporary.rename(place)
            except OSError:
                if not place.exists():
                    raise
                continue
            return finished
    except (OSError, SafetensorError) as error:
        raise _unwritable(runs_dir, error) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    raise AssertionError("unreachable: places never end")


def check_writable(runs_dir: Path) -> None:
    """Makes sure, before any training, that a run can be written.

    Raises:
        RunError: if `runs_dir` cannot be made or written to.
    """
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".unfinished-", dir=runs_dir) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritable(runs_dir, error) from error


def read_run(run_dir: str | Path) -> RunResult:
    """Reads a complete run's `result.json`.

    Raises:
        RunError: if there is none, or it is damaged.
    """
    path = Path(run_dir) / "result.json"
    try:
        values = json.loads(path.read_text())
        return RunResult({**values, "run_dir": str(run_dir)})
    except FileNotFoundError as error:
        raise RunError(f"{run_dir} is not a complete run: it has no result.json") from error
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}); train the run again") from error


def read_weights(run_dir: str | Path) -> dict[str, Tensor]:
    """Reads a run's tensors by name; nothing is unpickled.

    Raises:
        RunError: if the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(run_dir) / "model.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} cannot be read ({error}); train the run again") from error


def read_scores(run_dir: str | Path) -> dict[str, NDArray[Any]]:
    """Reads the run's test pairs: left, right (P,) int64, same (P,) bool, score, swapped_score (P,) float32.

    Raises:
        RunError: if the file is missing or damaged.
    """
    path = Path(run_dir) / "test_scores.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as columns:
            return {name: columns[name] for name in ("left", "right", "same", "score", "swapped_score")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RunError(f"{path} is missing or damaged; train the run again") from error


def read_history(run_dir: str | Path) -> dict[str, NDArray[np.float64]]:
    """Reads phase 2 of the run's curve: loss, accuracy, validation_loss, validation_accuracy (U,), a value an update.

    Validation columns are NaN where nothing was measured.

    Raises:
        RunError: if the file is missing or damaged.
    """
    path = Path(run_dir) / "history.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [[float(row[name] or "nan") for name in _HISTORY] for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error!r}); train the run again") from error
    table = np.array(rows, dtype=np.float64).reshape(-1, len(_HISTORY))
    table = table[table[:, 0] == 2]
    return dict(zip(_HISTORY[1:], table[:, 1:].T, strict=True))


def list_runs(runs_dir: str | Path) -> list[RunResult]:
    """All complete, readable runs below `runs_dir`, oldest first."""
    return list(_readable(Path(runs_dir)))


def _unwritable(runs_dir: Path, error: Exception) -> RunError:
    reason = getattr(error, "strerror", None) or error
    return RunError(f"cannot write a run to {runs_dir} ({reason}); name another folder with --runs-dir")


def _readable(runs_dir: Path) -> Iterator[RunResult]:
    found = [path for path in runs_dir.glob("*/result.json") if not path.parent.name.startswith(".")]
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns):
        try:
            yield read_run(path.parent)
        except RunError:
            continue


def _places(runs_dir: Path, name: str) -> Iterator[Path]:
    yield runs_dir / name
    number = 2
    while True:
        yield runs_dir / f"{name}-{number}"
        number += 1


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n")
