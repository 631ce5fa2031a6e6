"""Picture files for a gallery: which ones are meant, read and enrolled or identified a batch at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from siamese_mnist.data import LabeledImages
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.gallery import Expected, Gallery, Identification
from siamese_mnist.inference.verifier import Verifier

T = TypeVar("T")

BATCH = 256


class Picture(NamedTuple):
    """A file to enrol."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class PictureAnswer:
    """Whose a picture file is.

    Attributes:
        image: the file.
        found: whose it is.
        warnings: what makes the image unlike those that the model was trained on, a text each.
    """

    image: str
    found: Identification
    warnings: tuple[str, ...] = ()

    @property
    def warning(self) -> str | None:
        """All warnings in one line, or None."""
        return "; ".join(self.warnings) or None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object, without warnings where there are none."""
        values = {"image": self.image, **self.found.as_dict()}
        return {**values, "warnings": list(self.warnings), "warning": self.warning} if self.warnings else values


def files_of(places: Iterable[Path]) -> list[Path]:
    """The files that are named, and those of every folder that is, in the order of their names; hidden ones are not.

    Raises:
        UsageError: if a folder cannot be read or holds no file.
    """
    return [file for place in places for file in (_files_in(place) if place.is_dir() else [place])]


def named_in(folder: Path) -> list[Picture]:
    """The pictures of FOLDER/NAME/*, and of FOLDER/NAME.*, with their names.

    Raises:
        UsageError: if it is no folder, cannot be read or holds no picture.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name one that holds NAME/*.png or NAME.png")
    places = _children(folder)
    found = [Picture(place.name, file) for place in places if place.is_dir() for file in _files_in(place)]
    found += [Picture(place.stem, place) for place in places if place.is_file()]
    if not found:
        raise UsageError(f"{folder} holds no picture; it must hold NAME/*.png or NAME.png")
    return found


def labelled_pictures(verifier: Verifier, folder: Path) -> LabeledImages:
    """The pictures of FOLDER/CLASS/* as labelled images, prepared as a verifier takes them.

    Raises:
        UsageError: if it is no folder, or a picture cannot be read or used.
    """
    pictures = named_in(folder)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(each.name for each in pictures))}
    images = np.stack([verifier.read(each.path) for each in pictures])
    return LabeledImages(torch.from_numpy(images), torch.tensor([numbers[each.name] for each in pictures]))


def _files_in(folder: Path) -> list[Path]:
    files = [path for path in _children(folder) if path.is_file()]
    if not files:
        raise UsageError(f"{folder} holds no file; name a folder of images")
    return files


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder} cannot be read ({error.strerror or error}); mend that") from error


def enrol_files(gallery: Gallery, pictures: Sequence[Picture]) -> Iterator[list[str]]:
    """Adds picture files to a gallery, a batch at a time, and yields which of the batch cannot be read."""
    for batch in _batches(pictures):
        images, failures = _read(gallery, [each.path for each in batch])
        good = [(each, image[0]) for each, image in zip(batch, images, strict=True) if image is not None]
        if good:
            kept = gallery.verifier.prepare(np.stack([image for _, image in good]))
            gallery.add(kept, [(each.name, str(each.path)) for each, _ in good])
        yield failures


def identify_files(
    gallery: Gallery, files: Sequence[Path], expected: Expected, *, nearest: int = 3, prior: float = 0.5
) -> Iterator[PictureAnswer | str]:
    """Yields an answer for every picture file, in order, or why there is none.

    Args:
        gallery: the names.
        files: read as the answers are taken.
        expected: the threshold, see `Gallery.expect`.
        nearest: examples to give.
        prior: share of pictures that are of somebody in the gallery, in (0, 1); the probabilities are for it.
    """
    for batch in _batches(files):
        read, failures = _read(gallery, batch)
        images = [each[0] for each in read if each is not None]
        found = iter(
            gallery.identify(np.stack(images), nearest=nearest, expected=expected, prior=prior) if images else ()
        )
        warned = iter(gallery.verifier.warnings(np.stack(images)) if images else ())
        failed = iter(failures)
        for file, each in zip(batch, read, strict=True):
            if each is None:
                yield next(failed)
            else:
                own = [each[1]] if each[1] else []
                yield PictureAnswer(image=str(file), found=next(found), warnings=(*own, *next(warned)))


def _batches(files: Sequence[T]) -> Iterator[Sequence[T]]:
    return (files[start : start + BATCH] for start in range(0, len(files), BATCH))


def _read(
    gallery: Gallery, files: Sequence[Path]
) -> tuple[list[tuple[NDArray[np.uint8], str | None] | None], list[str]]:
    """Pictures as the gallery takes them with what is odd about their size, None where one cannot be read, and why."""
    images: list[tuple[NDArray[np.uint8], str | None] | None] = []
    reasons = []
    for file in files:
        try:
            images.append(gallery.verifier.inspect(file, gallery.preprocessing))
        except UsageError as error:
            images.append(None)
            reasons.append(str(error))
    return images, reasons
