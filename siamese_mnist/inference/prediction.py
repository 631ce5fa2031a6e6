"""Answers about pairs of image files, one after the other, in bounded memory; a bad file costs its own row only."""

import csv
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import OperatingPoint
from siamese_mnist.inference.judge import Judge

BATCH = 512
_REMEMBERED = 20_000


@dataclass(frozen=True, kw_only=True)
class FilePair:
    """Two image files to compare.

    Attributes:
        row: number of the pair in its list, from 1.
        left: name of the first file as it was given.
        right: name of the second.
        folder: what the names are relative to.
    """

    row: int
    left: str
    right: str
    folder: Path = Path()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a verifier says of a pair of files.

    Attributes:
        left: the first file.
        right: the second file.
        same: True if both show the same class.
        probability: calibrated probability of "same", in [0, 1].
        score: higher = more alike.
        threshold: score from which the answer is "same".
        swapped_score: score with the two images exchanged.
        stable: whether the answer stays when they are.
        answer: "same", "different" or "unsure", where an operating point was asked for; `same` is the likelier one.
        warnings: what makes an image unlike those that the verifier was trained on, a text each.
    """

    left: str
    right: str
    same: bool
    probability: float
    score: float
    threshold: float
    swapped_score: float
    stable: bool
    answer: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def warning(self) -> str | None:
        """All warnings in one line, or None."""
        return "; ".join(self.warnings) or None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object, without warnings or an answer in words where there is none."""
        values = {**dataclasses.asdict(self), "warnings": list(self.warnings) or None, "warning": self.warning}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A pair that has no answer, and why."""

    row: int
    reason: str


def answer_files(
    verifier: Judge,
    pairs: Iterable[FilePair],
    *,
    preprocessing: Preprocessing | None = None,
    point: OperatingPoint | None = None,
    batch: int = BATCH,
) -> Iterator[Answer | Failure]:
    """Yields an answer or a failure for every pair, in order.

    Args:
        verifier: what decides.
        pairs: read as the answers are taken.
        preprocessing: another way to prepare the files than the verifier's own.
        point: decides in place of the verifier's own decision.
        batch: pairs scored at a time.
    """

    @lru_cache(_REMEMBERED)
    def content(folder: Path, name: str) -> _Content | str:
        """Pixels of a file, or what is wrong with it."""
        if not name:
            return "a name is missing; give two image files"
        try:
            image, remark = verifier.inspect(folder / name, preprocessing)
        except UsageError as error:
            return str(error)
        return _Content(image.tobytes(), remark)

    pairs = iter(pairs)
    while chosen := list(itertools.islice(pairs, batch)):
        both = [tuple(content(pair.folder, name) for name in (pair.left, pair.right)) for pair in chosen]
        readable = [
            (pair, sides)
            for pair, (one, other) in zip(chosen, both, strict=True)
            if isinstance(one, _Content) and isinstance(other, _Content)
            for sides in [(one, other)]
        ]
        answers = iter(_answers(verifier, readable, point) if readable else ())
        for pair, sides in zip(chosen, both, strict=True):
            reason = next((each for each in sides if isinstance(each, str)), None)
            yield next(answers) if reason is None else Failure(row=pair.row, reason=reason)


class _Content(NamedTuple):
    """A file as the verifier takes it."""

    pixels: bytes
    remark: str | None  # about the picture's own size


def _answers(
    verifier: Judge, readable: list[tuple[FilePair, tuple[_Content, _Content]]], point: OperatingPoint | None
) -> list[Answer]:
    pairs, contents = [pair for pair, _ in readable], [sides for _, sides in readable]
    rows = {each: row for row, each in enumerate(dict.fromkeys(itertools.chain(*contents)))}
    images = np.frombuffer(b"".join(each.pixels for each in rows), np.uint8)
    images = images.reshape(-1, verifier.channels, *verifier.image_size)
    left, right = np.array([[rows[each] for each in sides] for sides in contents]).T
    scores = verifier.score_rows(images, np.append(left, right), np.append(right, left))
    remarks = [
        [*([each.remark] if each.remark else []), *more]
        for each, more in zip(rows, verifier.warnings(images), strict=True)
    ]
    decision = point or verifier.decision
    same, probability = decision.predict(scores), decision.probability(scores)
    answers = point.answers(scores).tolist() if point else [None] * len(scores)
    count = len(pairs)
    return [
        Answer(
            left=pair.left,
            right=pair.right,
            same=bool(same[row]),
            probability=float(probability[row]),
            score=float(scores[row]),
            threshold=decision.threshold,
            swapped_score=float(scores[row + count]),
            stable=bool(same[row] == same[row + count]),
            answer=answers[row],
            warnings=_warnings((pair.left, remarks[left[row]]), (pair.right, remarks[right[row]])),
        )
        for row, pair in enumerate(pairs)
    ]


def _warnings(*remarks: tuple[str, list[str]]) -> tuple[str, ...]:
    """What is odd about the images of a pair, by their names."""
    return tuple(f"{name} is {remark}" for name, told in dict(remarks).items() for remark in told)


def pairs_of_csv(path: Path) -> Iterator[FilePair]:
    """Pairs of a CSV file with columns left and right, relative to the file's folder; other columns are passed over.

    Raises:
        UsageError: if the file cannot be read or lacks a column.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file; name a CSV file with the columns left,right")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = sorted({"left", "right"} - set(reader.fieldnames or ()))
            if missing:
                raise UsageError(f"{path} has no column {missing[0]!r}; its first line must name left and right")
            for row, values in enumerate(reader, start=1):
                yield FilePair(row=row, left=values["left"] or "", right=values["right"] or "", folder=path.parent)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8; save it as such") from error
    except csv.Error as error:
        raise UsageError(f"{path} is not CSV ({error}); mend it") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); mend that") from error


def pairs_of_folder(folder: Path) -> Iterator[FilePair]:
    """Every two files of a folder once, in the order of their names; hidden files and folders in it are passed over.

    Raises:
        UsageError: if the folder cannot be read or holds fewer than two files.
    """
    for row, (left, right) in enumerate(itertools.combinations(_names(folder), 2), start=1):
        yield FilePair(row=row, left=left, right=right, folder=folder)


def count_pairs(source: Path) -> int:
    """Number of pairs that `pairs_of_csv` or `pairs_of_folder` gives for a file or folder.

    Raises:
        UsageError: if there is none.
    """
    if source.is_dir():
        count = len(_names(source))
        return count * (count - 1) // 2
    count = sum(1 for _ in pairs_of_csv(source))
    if not count:
        raise UsageError(f"{source} has no rows; give one row a pair below the header")
    return count


def _names(folder: Path) -> list[str]:
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder} cannot be read ({error.strerror or error}); mend that") from error
    if len(names) < 2:
        raise UsageError(f"{folder} holds {len(names)} files; at least two are needed to compare")
    return names
