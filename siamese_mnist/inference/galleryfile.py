"""A gallery in one file that holds no code: written whole or not at all, and by one program at a time.

The file is in the format of safetensors: `kept`, the embeddings or images of all examples, and as metadata the digest
of the model that made them, where that model was, and the name and source of every example.
"""

import hashlib
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.gallery import Gallery
from siamese_mnist.inference.verifier import Verifier, load
from siamese_mnist.runs.claims import claim
from siamese_mnist.runs.reading import parse_weights
from siamese_mnist.system.files import read_regular, unfinished
from siamese_mnist.system.jsonfile import parse_object

FORMAT = "siamese-mnist gallery"
FORMAT_VERSION = 1

_LARGEST = 1 << 33
_PATIENCE_SECONDS = 60.0


class GalleryError(UsageError):
    """A gallery file that cannot be read or written; the message names it and the mend."""


class _Content(NamedTuple):
    """What a gallery's file says."""

    run: str
    model: str
    preprocessing: str | None
    kept: Tensor | None
    examples: list[tuple[str, str]]


def open_gallery(path: str | Path, verifier: Verifier | None = None) -> Gallery:
    """Reads a gallery's file; nothing is unpickled.

    Args:
        path: the file.
        verifier: of the model that made it, or None to load the run or bundle that the file names.

    Raises:
        GalleryError: if the file is missing, damaged, no gallery or of a newer format, or the model is another one or
            gone.
    """
    content = _read(path)
    if verifier is None:
        try:
            verifier = load(content.run)
        except UsageError as error:
            raise GalleryError(
                f"the model that made {path} is not to be had ({error}); name its run with --run"
            ) from error
    if model_digest(verifier) != content.model:
        raise GalleryError(f"{path} was made with another model, that of {content.run}; name the run that has it")
    preprocessing = None if content.preprocessing is None else Preprocessing(content.preprocessing)
    gallery = Gallery(verifier, run=content.run, preprocessing=preprocessing)
    if content.kept is not None:
        like = verifier.prepare(torch.zeros(1, verifier.channels, *verifier.image_size, dtype=torch.uint8))
        if (content.kept.shape[1:], content.kept.dtype) != (like.shape[1:], like.dtype):
            raise GalleryError(f"{path} holds examples that its model cannot have made; enrol them anew")
        gallery.add(content.kept, content.examples)
    return gallery


def model_digest(verifier: Verifier) -> str:
    """SHA-256 of a verifier's weights and of what images it takes: equal where all scores are."""
    digest = hashlib.sha256(f"{type(verifier.model).__name__} {verifier.channels} {verifier.image_size}".encode())
    for name, tensor in sorted(verifier.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def listed_examples(path: str | Path) -> list[tuple[str, str]]:
    """Name and source of every example of a gallery's file, without its model.

    Raises:
        GalleryError: see `open_gallery`.
    """
    return _read(path).examples


def _read(path: str | Path) -> _Content:
    try:
        content = read_regular(Path(path), _LARGEST)
        tensors = parse_weights(content)
        values = parse_object(_metadata(content).encode())
        if values.get("format") != FORMAT:
            raise ValueError("it is no gallery of siamese-mnist")
        if values.get("format_version") != FORMAT_VERSION:
            raise ValueError(f"its format version is {values.get('format_version')!r}, this reads {FORMAT_VERSION}")
        return _parsed(values, tensors)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise GalleryError(f"there is no gallery {path}; `siamese-mnist enrol` makes one") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GalleryError(f"{path} cannot be read as a gallery ({reason}); restore or make it anew") from error


def _metadata(content: bytes) -> str:
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found = header.get("__metadata__", {}).get("gallery")
    if not isinstance(found, str):
        raise ValueError("it is no gallery of siamese-mnist")
    return found


def _parsed(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> _Content:
    run, model, preprocessing = values.get("run"), values.get("model"), values.get("preprocessing")
    if not (isinstance(run, str) and isinstance(model, str)):
        raise ValueError("run and model must be texts")
    if preprocessing is not None and preprocessing not in list(Preprocessing):
        raise ValueError(f"preprocessing {preprocessing!r} is unknown")
    names, sources = values.get("names"), values.get("sources")
    listed = all(isinstance(each, list) and all(isinstance(one, str) for one in each) for each in (names, sources))
    kept = tensors.get("kept")
    if not (listed and set(tensors) <= {"kept"}):
        raise ValueError("it must hold names and sources as texts, and examples")
    assert isinstance(names, list)
    assert isinstance(sources, list)
    if not len(names) == len(sources) == (0 if kept is None else len(kept)):
        raise ValueError("it must hold as many names and sources as examples")
    return _Content(run, model, preprocessing, kept, list(zip(names, sources, strict=True)))


def save_gallery(gallery: Gallery, path: str | Path) -> None:
    """Writes a gallery's file, whole or not at all; one that is there is replaced.

    Raises:
        GalleryError: if it cannot be written.
    """
    from safetensors.torch import save_file

    values = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "run": gallery.run,
        "model": model_digest(gallery.verifier),
        "preprocessing": None if gallery.preprocessing == gallery.verifier.preprocessing else gallery.preprocessing,
        "names": [name for name, _ in gallery.examples],
        "sources": [source for _, source in gallery.examples],
    }
    tensors = {} if gallery.kept is None else {"kept": gallery.kept.contiguous()}
    try:
        with unfinished(Path(path)) as target:
            save_file(tensors, target, metadata={"gallery": json.dumps(values)})
    except OSError as error:
        raise GalleryError(f"cannot write {path} ({error.strerror or error}); name another place") from error


@contextmanager
def changing(path: str | Path) -> Iterator[None]:
    """Holds a gallery's file for the one program that changes it; others wait for their turn, a minute at most.

    Raises:
        GalleryError: if another program holds it for so long, or its folder cannot be written to.
    """
    place = Path(path)
    name = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]  # a claim's name is free of what file systems mind
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with ExitStack() as stack:
            try:
                other = stack.enter_context(claim(place.parent, name))
            except OSError as error:
                raise GalleryError(f"cannot write {path} ({error.strerror or error}); name another place") from error
            if other is None:
                yield
                return
        if time.monotonic() > end:
            raise GalleryError(f"{path} is being changed by process {other.pid}; try again when that has ended")
        time.sleep(random.uniform(0.02, 0.2))
