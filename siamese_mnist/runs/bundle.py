"""Bundles: a run in one portable folder or zip file, checked when it is read; nothing is unpickled or extracted.

A bundle holds `config.json` (what the model is made of), `decision.json` (threshold and calibration), `metrics.json`
(data, pairs and figures), `model.safetensors` (weights), `README.md` (model card) and `bundle.json`, which names format
and version and has every other file's size and SHA-256. The checksums find damage; they do not prove who made it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, Decision
from siamese_mnist.runs.reading import (
    CALIBRATION,
    SCORER,
    WEIGHTS,
    calibration_columns,
    parse_arrays,
    parse_calibration,
    parse_weights,
    read_arrays,
    read_calibration,
    read_config,
    read_run,
    read_scorer,
)
from siamese_mnist.system.files import read_regular, unfinished
from siamese_mnist.system.jsonfile import parse_object

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "siamese-mnist bundle"
FORMAT_VERSION = 3
"""Version 2 has no scorer and version 1 no calibration scores, either; they are still written of runs without."""
MANIFEST = "bundle.json"
FILES = ("config.json", "decision.json", "metrics.json", "model.safetensors", "README.md")

_NOT_IN_ALL = (CALIBRATION, SCORER)
_LARGEST_TEXT = 1 << 24
_REMADE = "make the bundle again with `siamese-mnist bundle`"


class BundleError(UsageError):
    """A bundle that cannot be read or written; the message names it and the mend."""


class Bundle(NamedTuple):
    """What a bundle says, its checksums found right."""

    config: dict[str, Any]
    decision: dict[str, Any]
    metrics: dict[str, Any]
    content: bytes  # of the weights, in the safetensors format
    arrays: dict[str, NDArray[Any]]  # the weights by name
    calibration: Calibration | None = None  # bundles of before have none
    scorer: bytes | None = None  # for `Scorer.parse`; not all models have one

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights as PyTorch's tensors by name."""
        return parse_weights(self.content)


def is_bundle(path: str | Path) -> bool:
    """Whether a path looks like a bundle: a folder with a manifest, or any regular file."""
    path = Path(path)
    return path.is_file() or (path / MANIFEST).is_file()


class Calibrated(NamedTuple):
    """Threshold and probabilities of other images than a run's own, with the scored pairs that they are of."""

    decision: Decision
    calibration: Calibration


def write_bundle(run_dir: str | Path, out: str | Path, calibrated: Calibrated | None = None) -> Path:
    """Writes a run as a bundle: a zip file if `out` ends in ".zip", else a folder. It appears whole or not at all.

    The same run gives the same bytes.

    Args:
        run_dir: folder of a complete run.
        out: a path where nothing is yet.
        calibrated: takes the place of the run's own threshold and calibration.

    Returns:
        `out`.

    Raises:
        RunError: if `run_dir` is not a complete run.
        BundleError: if `out` exists or cannot be written.
    """
    out = Path(out)
    if os.path.lexists(out):
        raise BundleError(f"{out} exists already; name another place or remove it")
    files = _files_of_run(Path(run_dir), calibrated)
    try:
        with unfinished(out) as target:
            if out.suffix.lower() == ".zip":
                with zipfile.ZipFile(target, "w") as archive:
                    for name, content in files.items():
                        archive.writestr(zipfile.ZipInfo(name), content)
            else:
                target.mkdir()
                for name, content in files.items():
                    (target / name).write_bytes(content)
            if os.path.lexists(out):
                raise BundleError(f"{out} exists already; name another place or remove it")
    except OSError as error:
        raise BundleError(f"cannot write {out} ({error.strerror or error}); name another place") from error
    return out


def read_bundle(path: str | Path) -> Bundle:
    """Reads and checks a bundle.

    Raises:
        BundleError: if it is no bundle, of a newer format, incomplete, or changed since it was made.
    """
    path = Path(path)
    try:
        if path.is_dir():
            files = _from_folder(path)
        else:
            with zipfile.ZipFile(path) as archive:
                files = _from_zip(path, archive)
    except BundleError:
        raise
    except zipfile.BadZipFile as error:
        raise BundleError(f"{path} is not a bundle, or a damaged one ({error}); {_REMADE}") from error
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror or error}); {_REMADE}") from error
    # zipfile answers damage with exceptions of many kinds, and encryption with RuntimeError.
    except Exception as error:
        raise BundleError(f"{path} cannot be read ({error}); {_REMADE}") from error
    config, decision, metrics = (_json(path, name, files[name]) for name in FILES[:3])
    content = files[WEIGHTS]
    return Bundle(
        config,
        decision,
        metrics,
        content,
        _arrays(path, content),
        _calibration(path, files, decision),
        files.get(SCORER),
    )


def _files_of_run(run_dir: Path, calibrated: Calibrated | None) -> dict[str, bytes]:
    from siamese_mnist.evaluation.metrics import METRICS, nested, single_metrics
    from siamese_mnist.runs.folds import entry_intervals
    from siamese_mnist.runs.model_card import model_card
    from siamese_mnist.runs.scored import scored_run

    result = read_run(run_dir)
    config, values, scored = read_config(run_dir), result.as_dict(), scored_run(result)
    values["test"] = {**nested({name: scored.figure(name) for name in METRICS}), **values["test"]}
    figures = {name: values[name] for name in ("variant", "dataset", "seed", "parameters", "train", "test")}
    decision = {name: values["decision"][name] for name in ("threshold", "slope", "prior", "fitted_on")}
    if calibrated is not None:
        decision = {**dataclasses.asdict(calibrated.decision), "fitted_on": "other images"}
    metrics = {
        **figures,
        "intervals": entry_intervals([[scored]], single_metrics()),
        "versions": result.versions,
    }
    read_arrays(run_dir)
    try:
        weights = (run_dir / WEIGHTS).read_bytes()
        card = model_card(config, decision, metrics)
    except (OSError, KeyError, TypeError) as error:
        raise BundleError(f"{run_dir} cannot be bundled ({error}); train the run again") from error
    texts = {"config.json": config, "decision.json": decision, "metrics.json": metrics}
    files = {name: _text(values) for name, values in texts.items()}
    files |= {"model.safetensors": weights, "README.md": card.encode()}
    if calibrated is not None:
        table = io.BytesIO()
        np.savez_compressed(table, allow_pickle=False, **calibration_columns(calibrated.calibration))
        files[CALIBRATION] = table.getvalue()
    elif (run_dir / CALIBRATION).exists():
        read_calibration(run_dir, unseen=True)
        files[CALIBRATION] = read_regular(run_dir / CALIBRATION, _LARGEST_TEXT)
    if (scorer := read_scorer(run_dir)) is not None:
        files[SCORER] = scorer
    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION if SCORER in files else 2 if CALIBRATION in files else 1,
        "siamese_mnist": version("siamese-mnist"),
        "files": listed,
    }
    return {MANIFEST: _text(manifest), **files}


def _text(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()


def _from_folder(path: Path) -> dict[str, bytes]:
    def read(name: str, limit: int) -> bytes:
        file = path / name
        if not file.is_file():
            raise BundleError(f"{path} is not a complete bundle: it has no {name}; {_REMADE}")
        with file.open("rb") as stream:
            return stream.read(limit)

    return _checked(path, read)


def _from_zip(path: Path, archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Files of an archive, read into memory; no name in it is ever used as a path."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    foreign = sorted(set(entries) - {MANIFEST, *FILES, *_NOT_IN_ALL})
    if MANIFEST in entries and (foreign or len(entries) != len(archive.infolist())):
        raise BundleError(f"{path} holds more than a bundle does ({foreign[:1] or 'a file twice'}); {_REMADE}")

    def read(name: str, limit: int) -> bytes:
        if name not in entries:
            raise BundleError(f"{path} is not a complete bundle: it has no {name}; {_REMADE}")
        if entries[name].compress_type != zipfile.ZIP_STORED:  # so that it cannot grow in memory
            raise BundleError(f"{path} is compressed, which bundles are not; {_REMADE}")
        with archive.open(name) as stream:
            return stream.read(limit)

    return _checked(path, read)


def _checked(path: Path, read: Any) -> dict[str, bytes]:
    manifest = _json(path, MANIFEST, read(MANIFEST, _LARGEST_TEXT))
    if manifest.get("format") != FORMAT:
        raise BundleError(f"{path} is not a bundle of siamese-mnist: its {MANIFEST} says {manifest.get('format')!r}")
    found = manifest.get("format_version")
    if type(found) is not int or found < 1:
        raise BundleError(f"{path} has no valid format version ({found!r}); {_REMADE}")
    if found > FORMAT_VERSION:
        raise BundleError(
            f"{path} is of format version {found}, this siamese-mnist reads up to {FORMAT_VERSION}; "
            "install a newer siamese-mnist"
        )
    listed = manifest.get("files")
    if not isinstance(listed, dict) or set(listed) - set(_NOT_IN_ALL) != set(FILES):
        raise BundleError(f"{path} does not list the files of a bundle; {_REMADE}")
    files = {}
    for name in listed:
        entry = listed[name]
        size = entry.get("bytes") if isinstance(entry, dict) else None
        if type(size) is not int or size < 0:
            raise BundleError(f"{path} gives no size of {name}; {_REMADE}")
        content = read(name, size + 1)
        if len(content) != size or hashlib.sha256(content).hexdigest() != entry.get("sha256"):
            raise BundleError(f"{name} in {path} has changed since the bundle was made (checksum differs); {_REMADE}")
        files[name] = content
    return files


def _json(path: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        return parse_object(content)
    except ValueError as error:
        raise BundleError(f"{name} in {path} is not a JSON object that can be read ({error}); {_REMADE}") from error


def _calibration(path: Path, files: Mapping[str, bytes], decision: Mapping[str, Any]) -> Calibration | None:
    if CALIBRATION not in files:
        return None
    try:
        return parse_calibration(files[CALIBRATION], unseen=decision.get("fitted_on") != "training images")
    except ValueError as error:
        raise BundleError(f"{CALIBRATION} in {path} cannot be read ({error}); {_REMADE}") from error


def _arrays(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        return parse_arrays(content)
    except ValueError as error:
        raise BundleError(f"the weights in {path} cannot be read ({error}); {_REMADE}") from error
