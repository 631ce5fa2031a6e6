"""Rows as CSV, Markdown and LaTeX."""

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


def check_writable(path: Path) -> None:
    """Makes sure, before any work, that a file can be written there.

    Raises:
        UsageError: if not.
    """
    if path.is_dir():
        raise _unwritable(path, "it is a folder")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error.strerror) from error


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows whole or not at all: nested names are joined with "_", an interval becomes _low and _high.

    Raises:
        UsageError: if the file cannot be written.
    """
    flat = [dict(_flat(row)) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    _write_text(path, text.getvalue())


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the header first; all columns but the first are set to the right."""
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in cells)
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def latex(cells: Sequence[Sequence[str]]) -> str:
    """A LaTeX tabular, the header first, with the rules of the package booktabs."""
    header, *rows = (" & ".join(_latex_text(cell) for cell in row) + r" \\" for row in cells)
    columns = "l" + "r" * (len(cells[0]) - 1)
    lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", header, r"\midrule", *rows, r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}"])


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "µ": r"\textmu{}",
        **{special: f"\\{special}" for special in "&%$#_{}"},
    }
)


def _latex_text(text: str) -> str:
    return text.translate(_LATEX)


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}_")
        elif name.endswith("_interval"):
            base = prefix + name.removesuffix("_interval")
            yield from zip((f"{base}_low", f"{base}_high"), value or ("", ""), strict=True)
        elif isinstance(value, list):
            yield prefix + name, " ".join(map(str, value))
        else:
            yield prefix + name, "" if value is None else value


def _write_text(path: Path, text: str) -> None:
    from siamese_mnist.system.files import unfinished

    try:
        with unfinished(path) as part:
            part.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise _unwritable(path, error.strerror) from error


def _unwritable(path: Path, reason: str | None) -> Exception:
    from siamese_mnist.errors import UsageError

    return UsageError(f"cannot write {path} ({reason}); name another file")
