"""A file of scores, from any model, read and checked.

A score file is CSV (also gzipped, `.csv.gz`) or Parquet with the columns `left` and `right` (image identifiers, text or
whole numbers), `same` (0 or 1) and `score` (higher = more alike), one row a pair. `left_group` and `right_group`, both
or none, say what makes images alike, such as who wrote them. Other columns are ignored.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.errors import UsageError

COLUMNS = ("left", "right", "same", "score")
GROUP_COLUMNS = ("left_group", "right_group")

_LABELS = {
    **dict.fromkeys(("1", "1.0", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "0.0", "false", "False", "FALSE"), False),
}
_PART_ROWS = 1000  # rows held as text at once
_BLOCK = 1 << 16
_LONGEST_LINE = 1 << 18
_NO_INTEGERS = np.empty(0, np.int64)


class ScoreFileError(UsageError):
    """A score file that cannot be used; the message names row and column. Rows count from 1, below the header."""


class ScoredPairs(NamedTuple):
    """The rows of a score file."""

    left: NDArray[np.int64]  # (P,) number of the left image, the same for equal identifiers
    right: NDArray[np.int64]  # (P,)
    same: NDArray[np.bool_]  # (P,) True = same class
    score: NDArray[np.float64]  # (P,) higher = more alike
    images: Sequence[str]  # identifiers, by number
    left_group: NDArray[np.int64] | None = None  # (P,) number of the left image's group
    right_group: NDArray[np.int64] | None = None  # (P,)

    @property
    def clusters(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What makes pairs dependent, of both sides (P,): the group where there are groups, else the image."""
        if self.left_group is None or self.right_group is None:
            return self.left, self.right
        return self.left_group, self.right_group


def read_scorefile(path: str | Path) -> ScoredPairs:
    """Reads a score file.

    Raises:
        ScoreFileError: if it cannot be read, has no rows, lacks a column, holds an empty identifier, a label other than
            0 and 1, a score that is not a finite number, the same pair (left, right) twice, one class only, or an image
            in two groups.
    """
    path = Path(path)
    kind = [suffix.lower() for suffix in path.suffixes[-2:]]
    if kind[-1:] == [".parquet"]:
        pairs = _read_parquet(path)
    elif kind[-1:] == [".csv"] or kind == [".csv", ".gz"]:
        pairs = _read_csv(path)
    else:
        raise ScoreFileError(f"cannot tell what kind of file {path} is; name it .csv, .csv.gz or .parquet")
    if not pairs.score.size:
        raise ScoreFileError(f"{path} has no rows; give one row a pair below the header {','.join(COLUMNS)}")
    finite = np.isfinite(pairs.score)
    if not finite.all():
        row = int(np.argmin(finite))
        _refuse(path, row, "score", f"{pairs.score[row]} is not a finite number")
    _check_unique(path, pairs)
    _check_groups(path, pairs)
    if pairs.same.all() or not pairs.same.any():
        only = int(pairs.same[0])
        raise ScoreFileError(
            f"{path}, rows 1 to {pairs.same.size}, column same: all are {only}; give pairs of both classes"
        )
    return pairs


def _refuse(path: Path, row: int, column: str, what: str) -> NoReturn:
    raise ScoreFileError(f"{path}, row {row + 1}, column {column}: {what}")


def _check_columns(path: Path, names: Sequence[str]) -> None:
    for column in COLUMNS:
        if column not in names:
            raise ScoreFileError(
                f"{path} has no column {column!r} in its header; it needs {', '.join(COLUMNS)} and has "
                f"{_shown(', '.join(names), 200)}"
            )
    for column in (*COLUMNS, *GROUP_COLUMNS):
        if names.count(column) > 1:
            raise ScoreFileError(f"{path} has {names.count(column)} columns {column!r} in its header; keep one")
    one, other = GROUP_COLUMNS
    if (one in names) != (other in names):
        raise ScoreFileError(f"{path} has one of the columns {one} and {other} in its header; give both or none")


def _columns_of(names: Sequence[str]) -> tuple[str, ...]:
    """The columns that are read."""
    return COLUMNS + GROUP_COLUMNS if GROUP_COLUMNS[0] in names else COLUMNS


def _check_unique(path: Path, pairs: ScoredPairs) -> None:
    """Refuses a pair that occurs twice, more evidence than there is; (a, b) and (b, a) may both occur."""
    images = int(max(pairs.left.max(), pairs.right.max())) + 1
    key = pairs.left * images + pairs.right
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():
        return
    order = np.argsort(key, kind="stable")
    again = order[1:][key[order[1:]] == key[order[:-1]]]
    row = int(again.min())
    first = int(np.argmax(key == key[row]))
    _refuse(
        path,
        row,
        "left, right",
        f"the pair of row {first + 1} again; {again.size} rows repeat an earlier pair, keep one of each",
    )


def _check_groups(path: Path, pairs: ScoredPairs) -> None:
    """Refuses an image that is in two groups."""
    if pairs.left_group is None or pairs.right_group is None:
        return
    group = np.full(len(pairs.images), -1)
    for name, images, groups in (
        ("left_group", pairs.left, pairs.left_group),
        ("right_group", pairs.right, pairs.right_group),
    ):
        fresh = group[images] < 0
        group[images[fresh]] = groups[fresh]
        wrong = group[images] != groups
        if wrong.any():
            row = int(np.argmax(wrong))
            image = _shown(str(pairs.images[images[row]]))
            _refuse(path, row, name, f"image {image} has another group in another row; an image is of one group")


class _Numbers(dict[str, int]):
    """Numbers 0, 1, ... of names, in the order in which they are first asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = number = len(self)
        return number


def _read_csv(path: Path) -> ScoredPairs:
    """Reads rows in small parts, so that memory holds little more than the numbers."""
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", errors="surrogateescape") as file:
            return _parse(path, csv.reader(_lines(path, file)))
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error


def _lines(path: Path, file: IO[str]) -> Iterator[str]:
    """Lines of a file; refuses one that is too long before it is held."""
    number, kept = 1, ""
    while block := file.read(_BLOCK):
        text = kept + block
        end = text.rfind("\n") + 1
        kept = text[end:]
        number += text.count("\n")
        yield from io.StringIO(text[:end], newline="\n")
        if len(kept) > _LONGEST_LINE:
            raise ScoreFileError(
                f"{path}, line {number}: longer than {_LONGEST_LINE:,} characters; give one row a pair with "
                + ", ".join(COLUMNS)
            )
    if kept:
        yield kept


def _parse(path: Path, rows: Iterator[list[str]]) -> ScoredPairs:
    header = _header(path, rows)
    lefts, rights, groups = _Numbers(), _Numbers(), _Numbers()
    names = _columns_of(header)
    parts = [(_NO_INTEGERS, _NO_INTEGERS, np.empty(0, bool), np.empty(0), _NO_INTEGERS, _NO_INTEGERS)[: len(names)]]
    done = 0
    while part := _next_rows(path, rows, header, done):
        left, right, same, score, *sides = (list(map(itemgetter(header.index(name)), part)) for name in names)
        try:
            parts.append(
                (
                    np.fromiter(map(lefts.__getitem__, left), np.int64, len(part)),
                    np.fromiter(map(rights.__getitem__, right), np.int64, len(part)),
                    np.fromiter(map(_LABELS.__getitem__, same), bool, len(part)),
                    np.fromiter(map(float, score), np.float64, len(part)),
                    *(np.fromiter(map(groups.__getitem__, side), np.int64, len(part)) for side in sides),
                )
            )
        except (KeyError, ValueError):
            _refuse_fault(path, part, header, done)
        if not _plain("".join(score)) or not all(map(_is_utf8, map("".join, (left, right, *sides)))):
            _refuse_fault(path, part, header, done)
        done += len(part)
    columns = [np.concatenate(each) for each in zip(*parts, strict=True)]
    named = [("left", lefts, columns[0]), ("right", rights, columns[1])]
    named += [(name, groups, column) for name, column in zip(names[4:], columns[4:], strict=True)]
    for name, numbers, column in named:
        if "" in numbers:
            empty = column == numbers[""]
            if empty.any():
                _refuse(path, int(np.argmax(empty)), name, "it has no value")
    common = lefts  # names on the right are numbered after those on the left
    translated = np.array([common[name] for name in rights], dtype=np.int64)
    right_numbers = translated[columns[1]] if done else columns[1]
    return ScoredPairs(columns[0], right_numbers, columns[2], columns[3], list(common), *columns[4:])


def _next_rows(path: Path, rows: Iterator[list[str]], header: Sequence[str], done: int) -> list[list[str]]:
    """The next rows, empty lines left out, each as long as the header; none at the end of the file."""
    part: list[list[str]] = []
    taken = 1
    while taken and not part:
        try:
            part.extend(islice(rows, _PART_ROWS))
            taken = len(part)
        except (csv.Error, ScoreFileError) as error:
            _refuse_fault(path, [row for row in part if row], header, done)  # an earlier row may be wrong too
            if isinstance(error, ScoreFileError):
                raise
            raise ScoreFileError(f"{path}, row {done + len(part) + 1}: {error}; give one row a pair") from error
        part = [row for row in part if row]
    if any(len(row) != len(header) for row in part):
        _refuse_fault(path, part, header, done)
    return part


def _refuse_fault(path: Path, rows: Sequence[Sequence[str]], header: Sequence[str], done: int) -> None:
    """Raises ScoreFileError for the first cell of these rows that cannot be read."""
    columns = _columns_of(header)
    places = [header.index(column) for column in columns]
    for number, row in enumerate(rows, start=done):
        if len(row) != len(header):
            raise ScoreFileError(f"{path}, row {number + 1}: {len(row)} columns, but the header has {len(header)}")
        for column, place in zip(columns, places, strict=True):
            fault = _fault(column, row[place])
            if fault:
                _refuse(path, number, column, fault)


def _header(path: Path, rows: Iterator[list[str]]) -> list[str]:
    try:
        names = next((row for row in rows if row), None)
    except csv.Error as error:
        raise _unreadable(path, error) from error
    if names is None:
        raise ScoreFileError(f"{path} is empty; give the header {','.join(COLUMNS)} and one row a pair")
    for name in names:
        if not _is_utf8(name):
            raise ScoreFileError(f"{path}, header, column {_shown(name)}: it is not UTF-8; save the file as UTF-8")
    _check_columns(path, names)
    return names


def _unreadable(path: Path, error: Exception) -> ScoreFileError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return ScoreFileError(f"cannot read {path} ({_shown(reason, 300)}); name a readable CSV or Parquet file")


def _fault(column: str, cell: str) -> str | None:
    if not _is_utf8(cell):
        return f"{_shown(cell)} is not UTF-8; save the file as UTF-8"
    if column == "same" and cell not in _LABELS:
        return f"{_shown(cell)} is neither 0 nor 1"
    if column == "score":
        try:
            float(cell)
        except ValueError:
            return f"{_shown(cell)} is not a number"
        if not _plain(cell):
            return f"{_shown(cell)} is not a number"
    return None


def _plain(numbers: str) -> bool:
    """Whether numbers are written as in every language, not as 1_000 or in other digits."""
    return numbers.isascii() and "_" not in numbers


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str, length: int = 60) -> str:
    return ascii(text if len(text) <= length else text[:length] + "...")


def _read_parquet(path: Path) -> ScoredPairs:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ScoreFileError(
            f"{path} cannot be read without pyarrow; install `siamese-mnist[parquet]`, or give the scores as CSV"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            columns = _columns_of(file.schema_arrow.names)
            table = file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    for name in columns:
        if table[name].null_count:
            _refuse(path, int(np.argmax(table[name].is_null().to_numpy())), name, "it has no value")
    return _to_pairs(path, table)


def _to_pairs(path: Path, table: Any) -> ScoredPairs:
    """Plain columns of an Arrow table that has no nulls."""
    import pyarrow as pa

    same = table["same"]
    if not pa.types.is_boolean(same.type):
        labels = same.to_numpy()
        strange = (labels != 0) & (labels != 1)
        if strange.any():
            row = int(np.argmax(strange))
            _refuse(path, row, "same", f"{_shown(str(labels[row]))} is neither 0 nor 1")
        same = pa.chunked_array([labels == 1])
    kind = table["score"].type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise ScoreFileError(f"{path}, column score: it holds {kind}, not numbers")
    left, right, images = _numbered(path, table, ("left", "right"))
    groups = _numbered(path, table, GROUP_COLUMNS)[:2] if GROUP_COLUMNS[0] in table.column_names else ()
    # Copies, so that the table's memory is given back.
    score = np.array(table["score"], dtype=np.float64)
    return ScoredPairs(left, right, np.array(same.to_numpy(), dtype=bool), score, images, *groups)


def _numbered(
    path: Path, table: Any, sides: tuple[str, str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Sequence[str]]:
    """Identifiers of both sides as numbers 0, 1, ..., equal ones as equal numbers, and the identifiers by number."""
    import pyarrow as pa

    columns = [table[side] for side in sides]
    kinds = [each.type.value_type if pa.types.is_dictionary(each.type) else each.type for each in columns]
    whole = [pa.types.is_integer(kind) for kind in kinds]
    for name, kind, number in zip(sides, kinds, whole, strict=True):
        if not (number or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise ScoreFileError(f"{path}, column {name}: it holds {kind}; identifiers are text or whole numbers")
    if whole[0] != whole[1]:
        raise ScoreFileError(f"{path}, columns {', '.join(sides)}: one holds text, the other numbers; use one kind")
    try:
        common = pa.int64() if whole[0] else (kinds[0] if kinds[0] == kinds[1] else pa.large_string())
        chunks = [chunk for each in columns for chunk in each.cast(common).chunks]
    except pa.ArrowException as error:
        raise _unreadable(path, error) from error
    encoded = pa.chunked_array(chunks, type=common).dictionary_encode()  # its chunks share one dictionary
    numbers = np.empty(len(encoded), dtype=np.int64)
    start = 0
    for chunk in encoded.chunks:
        numbers[start : start + len(chunk)] = chunk.indices.to_numpy()
        start += len(chunk)
    left, right = numbers[: table.num_rows], numbers[table.num_rows :]
    identifiers = encoded.chunk(0).dictionary if numbers.size else pa.array([])
    blank = -1 if whole[0] or not numbers.size else identifiers.index("").as_py()
    for name, side in zip(sides, (left, right), strict=True):
        if blank >= 0 and (side == blank).any():
            _refuse(path, int(np.argmax(side == blank)), name, "it has no value")
    return left, right, list(map(str, identifiers.to_pylist()))
