"""Files of a run, read back; what is not as this program writes it is refused in one line."""

from __future__ import annotations

import csv
import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration
from siamese_mnist.evaluation.tail import ImpostorTail
from siamese_mnist.runs.result import RunResult
from siamese_mnist.system.files import read_regular
from siamese_mnist.system.jsonfile import read_object

if TYPE_CHECKING:
    from torch import Tensor

RESULT, CONFIG, HISTORY = "result.json", "config.json", "history.csv"
SCORES, WEIGHTS = "test_scores.npz", "model.safetensors"
CALIBRATION = "calibration.npz"
SCORER = "scorer.json"

_LARGEST_RESULT = 1 << 22
_LARGEST_TABLE = 1 << 28
_LARGEST_WEIGHTS = 1 << 33
_COLUMNS = {"left": "i", "right": "i", "same": "b", "score": "f", "swapped_score": "f"}  # kinds of NumPy types
_ASIDE = ("group", "class")  # columns of runs whose images have groups, and of those whose test classes are new
_CALIBRATION = {"left": "i", "right": "i", "same": "b", "score": "f"}
_TAIL = {"tail_score": "f", "tail_left": "i", "tail_right": "i"}  # of all impostor pairs, where they were scored
_TAIL_IMAGES = {"image_class": "i", "image_cluster": "i"}
_TAIL_PART = "image_part"  # absent where all images are of one set, as in all runs of before
_CURVE = ("loss", "accuracy", "validation_loss", "validation_accuracy")
_COURSE = ("learning_rate", "seconds")  # columns of the curve that runs of before lack


class RunError(UsageError):
    """A run folder that cannot be read or written; the message names it and the mend."""


def read_run(run_dir: str | Path) -> RunResult:
    """Reads a complete run's `result.json`.

    Raises:
        RunError: if there is none, it is damaged, or a newer siamese-mnist wrote it; the message names file and field.
    """
    path = Path(run_dir) / RESULT
    try:
        return RunResult.from_dict({**read_object(path, _LARGEST_RESULT), "run_dir": str(run_dir)})
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(f"{run_dir} is not a complete run: it has no {RESULT}") from error
    except (OSError, ValueError) as error:
        mend = "install one" if "newer siamese-mnist" in str(error) else "train the run again"
        raise RunError(f"{path} cannot be read ({_reason(error)}); {mend}") from error


def check_files(run_dir: str | Path) -> None:
    """Reads all that a run keeps beside its `result.json`, so that it can be compared and used.

    Raises:
        RunError: if a file is missing or damaged.
    """
    read_config(run_dir)
    read_scores(run_dir)
    read_history(run_dir)
    read_arrays(run_dir)
    read_calibration(run_dir, unseen=True)


def read_config(run_dir: str | Path) -> dict[str, Any]:
    """Reads what a run's model is made of: its settings, `image_size` and `classes`.

    Raises:
        RunError: if the file is missing or damaged.
    """
    with _read(run_dir, CONFIG) as path:
        values = read_object(path)
        size, classes = values.get("image_size"), values.get("classes")
        if not (isinstance(size, list) and len(size) == 2 and all(type(each) is int and each > 0 for each in size)):
            raise ValueError(f"image_size must be height and width, got {size!r}")
        if not (isinstance(classes, list) and classes and all(isinstance(each, str) for each in classes)):
            raise ValueError("classes must be a list of names")
        return values


def read_weights(run_dir: str | Path) -> dict[str, Tensor]:
    """Reads a run's tensors by name; nothing is unpickled.

    Raises:
        RunError: if the file is missing or damaged, or a number in it is not finite.
    """
    with _read(run_dir, WEIGHTS) as path:
        return parse_weights(read_regular(path, _LARGEST_WEIGHTS))


def parse_weights(content: bytes) -> dict[str, Tensor]:
    """Tensors by name out of a file in the safetensors format.

    Raises:
        ValueError: if it is none, or a number in it is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(content)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds a number that is not finite")
    return tensors


def read_arrays(run_dir: str | Path) -> dict[str, NDArray[Any]]:
    """Reads a run's tensors by name as `read_weights`, without PyTorch.

    Raises:
        RunError: if the file is missing or damaged, or a number in it is not finite.
    """
    with _read(run_dir, WEIGHTS) as path:
        return parse_arrays(read_regular(path, _LARGEST_WEIGHTS))


def parse_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Arrays by name out of a file in the safetensors format.

    Raises:
        ValueError: if it is none, or a number in it is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, NDArray[Any]] = load(content)
    except KeyError:  # of a type that NumPy has not
        return {name: tensor.float().numpy() for name, tensor in parse_weights(content).items()}
    except (SafetensorError, TypeError) as error:
        raise ValueError(str(error)) from error
    for name, array in arrays.items():
        if not bool(np.isfinite(array).all()):
            raise ValueError(f"{name} holds a number that is not finite")
    return arrays


def read_scorer(run_dir: str | Path) -> bytes | None:
    """The content of a run's `scorer.json`, to be checked by `Scorer.parse`; None where there is none to read."""
    try:
        return read_regular(Path(run_dir) / SCORER, _LARGEST_RESULT)
    except (OSError, ValueError):
        return None


def read_scores(run_dir: str | Path) -> dict[str, NDArray[Any]]:
    """Reads the run's test pairs: left, right (P,) int64, same (P,) bool, score, swapped_score (P,) float32.

    Where the images have groups, left_group and right_group (P,) int64 are there too, and left_class and right_class
    where the test classes were not trained on.

    Raises:
        RunError: if the file is missing or damaged.
    """
    with _read(run_dir, SCORES) as path:
        with zipfile.ZipFile(io.BytesIO(read_regular(path, _LARGEST_TABLE))) as archive:
            there = [each for each in _ASIDE if f"left_{each}.npy" in archive.namelist()]
            kinds = _COLUMNS | {f"{side}_{each}": "i" for each in there for side in ("left", "right")}
            columns = {name: _column(archive, name, kind) for name, kind in kinds.items()}
        _check_columns(columns)
        return columns


def read_calibration(run_dir: str | Path, *, unseen: bool) -> Calibration | None:
    """Reads the scored pairs that a run's decision was fitted on; None for runs of before, which keep none.

    Args:
        run_dir: folder of the run.
        unseen: whether their images were not trained on.

    Raises:
        RunError: if the file is damaged.
    """
    if not (Path(run_dir) / CALIBRATION).exists():
        return None
    with _read(run_dir, CALIBRATION) as path:
        return parse_calibration(read_regular(path, _LARGEST_TABLE), unseen=unseen)


def parse_calibration(content: bytes, *, unseen: bool) -> Calibration:
    """Scored pairs out of a `calibration.npz`.

    Raises:
        ValueError: if it is none.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            columns = {name: _column(archive, name, kind) for name, kind in _CALIBRATION.items()}
            tail = _tail(archive) if "tail_score.npy" in archive.namelist() else None
    except (KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise ValueError(f"no calibration scores ({error})") from error
    _check_columns(columns)
    return Calibration(
        scores=columns["score"].astype(np.float64),
        same=columns["same"],
        left=columns["left"],
        right=columns["right"],
        unseen=unseen,
        tail=tail,
    )


def _tail(archive: zipfile.ZipFile) -> ImpostorTail:
    """The tail that `calibration_columns` described, every number checked."""
    scores, left, right = (_column(archive, name, kind) for name, kind in _TAIL.items())
    labels, clusters = (_column(archive, name, kind) for name, kind in _TAIL_IMAGES.items())
    divided = f"{_TAIL_PART}.npy" in archive.namelist()
    parts = _column(archive, _TAIL_PART, "i") if divided else np.zeros(len(labels), np.int64)
    if not (len(scores) == len(left) == len(right) > 0 and len(labels) == len(clusters) == len(parts) > 0):
        raise ValueError("the columns of its tail differ in length")
    if not np.isfinite(scores).all() or (np.diff(scores) > 0).any():
        raise ValueError("tail_score must be finite and falling")
    for name, numbers in (("image_cluster", clusters), (_TAIL_PART, parts)):
        known = np.unique(numbers)
        if not np.array_equal(known, np.arange(len(known))):
            raise ValueError(f"{name} must be 0, 1, ...")
    for name, side in (("tail_left", left), ("tail_right", right)):
        if side.min() < 0 or side.max() > clusters.max():
            raise ValueError(f"{name} holds a cluster that is none")
    return ImpostorTail(
        scores=scores.astype(np.float64),
        left=left.astype(np.int64),
        right=right.astype(np.int64),
        labels=labels.astype(np.int64),
        clusters=clusters.astype(np.int64),
        parts=parts.astype(np.int64),
    )


def calibration_columns(calibration: Calibration) -> dict[str, NDArray[Any]]:
    """The columns of `calibration.npz`."""
    columns = {
        "left": calibration.left,
        "right": calibration.right,
        "same": calibration.same,
        "score": calibration.scores.astype(np.float32),
    }
    if tail := calibration.tail:
        values = (tail.scores.astype(np.float32), tail.left, tail.right, tail.labels, tail.clusters)
        columns |= dict(zip((*_TAIL, *_TAIL_IMAGES), values, strict=True))
        if tail.parts.any():
            columns[_TAIL_PART] = tail.parts
    return columns


def _column(archive: zipfile.ZipFile, name: str, kind: str) -> NDArray[Any]:
    """A column of an .npz file; its header decides nothing about the memory that is taken."""
    entry = archive.getinfo(f"{name}.npy")
    if entry.file_size > _LARGEST_TABLE:
        raise ValueError(f"{name} is larger than {_LARGEST_TABLE:,} bytes")
    content = archive.read(entry)
    stream = io.BytesIO(content)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.kind != kind:
        raise ValueError(f"{name} is of type {dtype}")
    if len(shape) != 1 or shape[0] * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{name} is of shape {shape}, which its bytes do not fill")
    return np.frombuffer(content, dtype, offset=stream.tell()).copy()


def _check_columns(columns: Mapping[str, NDArray[Any]]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its columns differ in length: {lengths}")
    same = columns["same"]
    if not (same.any() and not same.all()):
        raise ValueError("same must hold both same and different pairs")
    for name in columns.keys() & {"score", "swapped_score"}:
        if not np.isfinite(columns[name]).all():
            raise ValueError(f"{name} holds a number that is not finite")
    for name in ("left", "right"):
        if columns[name].min() < 0:
            raise ValueError(f"{name} holds a negative row")


def read_history(run_dir: str | Path) -> dict[str, NDArray[np.float64]]:
    """Reads phase 2 of the run's curve: loss, accuracy, validation_loss, validation_accuracy (U,), a value an update.

    Validation columns are NaN where nothing was measured. `learning_rate` and `seconds` of every update are there, too,
    except in runs of before.

    Raises:
        RunError: if the file is missing or damaged.
    """
    with _read(run_dir, HISTORY) as path:
        rows = csv.DictReader(io.StringIO(read_regular(path, _LARGEST_TABLE).decode()))
        for name in ("phase", *_CURVE):
            if name not in (rows.fieldnames or ()):
                raise KeyError(name)
        there = [name for name in _COURSE if name in (rows.fieldnames or ())]
        columns: dict[str, list[float]] = {name: [] for name in (*_CURVE, *there)}
        for row in rows:
            if row["phase"] == "2":
                for name, column in columns.items():
                    column.append(_measured(row[name], name, rows.line_num))
        return {name: np.array(column, dtype=np.float64) for name, column in columns.items()}


def _measured(text: str | None, name: str, line: int) -> float:
    if text == "" and name.startswith("validation_"):
        return math.nan
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} in line {line} must be a finite number, got {text!r}")
    return number


@contextmanager
def _read(run_dir: str | Path, name: str) -> Iterator[Path]:
    """The path of a run's file; whatever damage raises while it is read becomes a RunError."""
    path = Path(run_dir) / name
    try:
        yield path
    except KeyError as error:
        raise RunError(f"{path} cannot be read (it has no {error}); train the run again") from error
    except (OSError, ValueError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise RunError(f"{path} cannot be read ({_reason(error)}); train the run again") from error


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
