"""Tables on stdout: what every command's table shares, and that of a comparison."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from siamese_mnist.evaluation import OperatingPoint
    from siamese_mnist.runs.comparison import Row


_MATTERS = ("accuracy", "accuracy 95 %", "verdict")
_ANY_WIDTH = 10_000  # of a pipe, where a line is a line


class _Console(Console):
    """A console whose lines bring no control characters of file names to the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(safe(each) if isinstance(each, str) else each for each in objects), **options)


def safe(value: object) -> str:
    """A name or text of other hands as it is printed, see `printable`."""
    from siamese_mnist.system.text import printable

    return printable(str(value))


def tell(line: str) -> None:
    """Prints a line about the program's own work on stderr."""
    print(f"siamese-mnist: {safe(line)}", file=sys.stderr)


def hint(line: str) -> None:
    """Says what one may do next, in a terminal only: a pipe holds results."""
    if Console().is_terminal:
        _Console(highlight=False, markup=False, emoji=False).print(f"next: {line}", style="dim")


def wide_console() -> Console:
    """The console of results: as wide as the terminal, and wide enough for any table in a pipe.

    Brackets and colons are what they are: names of other hands are no markup.
    """
    return _Console(width=None if Console().is_terminal else _ANY_WIDTH, highlight=False, markup=False, emoji=False)


def point_lines(point: OperatingPoint | None) -> list[str]:
    """What to expect of an operating point on other images, a line a figure; none without one."""
    if point is None:
        return []
    rates = [
        f"{title} {rate:.4g} ({low:.4g} to {high:.4g})"
        for title, rate, (low, high) in (
            ("false match rate", point.false_match_rate, point.false_match_rate_interval),
            ("true match rate", point.true_match_rate, point.true_match_rate_interval),
        )
    ]
    lines = [
        f"operating point      threshold {point.threshold:.4f}, prior {point.prior:.4g}",
        f"expected             {', '.join(rates)}",
    ]
    if point.band is not None:
        lines.append(
            f"unsure               {point.band.unsure_share:.1%} of calibration pairs; of the others "
            f"{point.band.error_rate:.2%} are answered wrong, at most {point.band.max_error:g} on other images"
        )
    return lines + [f"remark               {remark}" for remark in point.remarks]


def comparison_cells(rows: Sequence[Row]) -> list[list[str]]:
    """All columns of a comparison as text, the header first."""
    columns = {title: text for group in _column_groups() for title, text in group.items()}
    return [["variant", *columns], *([row.entry, *(text(row) for text in columns.values())] for row in rows)]


def print_comparison(rows: Sequence[Row]) -> None:
    """One row a variant: three tables in a pipe or where they fit, else as many as are needed, what matters first."""
    console = wide_console()
    tables = [_table(rows, columns) for columns in _column_groups()]
    if console.is_terminal and not all(_fits(table, console) for table in tables):
        tables = _narrow_tables(_first(comparison_cells(rows), _MATTERS), console)
    for table in tables:
        console.print(table)
    for note in comparison_notes(rows):
        console.print(note)


def print_cells(cells: Sequence[Sequence[str]], console: Console) -> None:
    """Prints rows of text, the header first: in one table where it fits, else in as many as are needed."""
    header, *rows = cells
    table = Table(header[0])
    for title in header[1:]:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row)
    fits = not console.is_terminal or _fits(table, console)
    for each in [table] if fits else _narrow_tables(cells, console):
        console.print(each)


def comparison_notes(rows: Sequence[Row]) -> list[str]:
    """What stands below a comparison: what its differences, its verdicts and its spread are of."""
    from siamese_mnist.runs.comparison import what_seeds_vary

    compared = [row.versus_first for row in rows if row.versus_first]
    notes = [
        f"difference and verdict: accuracy against that of {baseline}, on the same pairs"
        for baseline in dict.fromkeys(each.compared_with for each in compared)
    ]
    if any(each.verdict.startswith("one seed") for each in compared):
        notes.append("one seed: the verdict is about the two trained models on these images, not about their designs")
    if any(len(row.folds) > 1 for row in rows):
        notes.append(
            "intervals and verdicts are over folds, each with test classes or writers and trainings of its own"
        )
    return notes + what_seeds_vary(rows)


def _column_groups() -> list[dict[str, Callable[[Row], str]]]:
    """Columns of the three tables: accuracy, the other metrics, cost; each a title and how a row's cell is written."""
    from siamese_mnist.evaluation.metrics import headline_metrics

    accuracy: dict[str, Callable[[Row], str]] = {
        "seeds": lambda row: _trainings(row) if row.seeds else "-",
        **_metric_columns("accuracy"),
        "SD over seeds": _number("accuracy_sd", ".4f"),
        "difference": _number("difference", "+.4f"),
        "difference, simultaneous 95 %": _interval("difference_interval", "+.4f"),
        "adjusted p": _number("p_adjusted", ".2g"),
        "verdict": lambda row: row["verdict"] or "-",
    }
    quality = {f"{name} P / R / F1": _class_figures(name) for name in ("same", "different")}
    for name in headline_metrics():
        if name != "accuracy":
            quality |= _metric_columns(name)
    cost = {
        "parameters": _number("parameters", ",d"),
        "train s": _number("train_seconds", ".1f"),
        "train pairs/s": _number("train_pairs_per_second", ",.0f"),
        "score pairs/s": _number("score_pairs_per_second", ",.0f"),
        "score µs/pair": _number("score_microseconds_per_pair", ".1f"),
    }
    return [accuracy, quality, cost]


def _trainings(row: Row) -> str:
    """The number of seeds, and of folds where there are several."""
    return f"{len(row.seeds)} in {len(row.folds)} folds" if len(row.folds) > 1 else str(len(row.seeds))


def _metric_columns(name: str) -> dict[str, Callable[[Row], str]]:
    """A metric's column and, where it has one, that of its interval."""
    from siamese_mnist.evaluation import METRICS

    metric = METRICS[name]
    columns: dict[str, Callable[[Row], str]] = {metric.column: lambda row: metric.text(row.figure(name).mean)}
    if metric.interval:
        columns[f"{metric.column} 95 %"] = _interval(f"{name}_interval", ".4f")
    return columns


def _number(name: str, form: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[name] is None else format(row[name], form)


def _interval(name: str, form: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[name] is None else "{:{f}} to {:{f}}".format(*row[name], f=form)


def _class_figures(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        values = (row.figure(f"{name}/{each}").mean for each in ("precision", "recall", "f1"))
        return " / ".join("-" if value is None else f"{value:.4f}" for value in values)

    return text


def _fits(table: Table, console: Console) -> bool:
    """Whether no cell needs a second line; rich would cut the answer at the console's own width."""
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum <= console.width


def _table(rows: Sequence[Row], columns: Mapping[str, Callable[[Row], str]]) -> Table:
    table = Table("variant")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(_shown(row), *(text(row) for text in columns.values()))
    return table


def _shown(row: Row) -> str:
    """A row's name, a change a line where there are several."""
    return row.entry if row.published else row.entry.replace(",", ",\n ")


def _first(cells: Sequence[Sequence[str]], titles: Sequence[str]) -> list[list[str]]:
    """The same columns, after the first one those of some titles before the others."""
    header = cells[0]
    order = [
        0,
        *(header.index(title) for title in titles),
        *(n for n in range(1, len(header)) if header[n] not in titles),
    ]
    return [[row[number] for number in order] for row in cells]


def _narrow_tables(cells: Sequence[Sequence[str]], console: Console) -> list[Table]:
    """Tables of the same rows, each with as many of the columns as fit beside the names, which stand in all of them.

    Args:
        cells: the header first, the names in the first column.
        console: what they have to fit.
    """
    names, *columns = ([_broken(text) for text in column] for column in zip(*cells, strict=True))
    tables: list[Table] = []
    chosen: list[list[str]] = []
    for title, *texts in columns:
        broad = max(len(line) for text in texts for line in text.splitlines())
        column = [textwrap.fill(title, max(broad, *map(len, title.split())), break_long_words=False), *texts]
        if chosen and not _fits(_joined([names, *chosen, column]), console):
            tables.append(_joined([names, *chosen]))
            chosen = []
        chosen.append(column)
    return [*tables, _joined([names, *chosen])]


def _joined(columns: Sequence[Sequence[str]]) -> Table:
    table = Table(columns[0][0])
    for title, *_ in columns[1:]:
        table.add_column(title, justify="right")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*row)
    return table


def _broken(text: str) -> str:
    """A cell on as many lines as it has parts: a change of an entry, an end of an interval, one of three figures."""
    parts = re.sub(r",(?!\d{3}\b) ?", ",\n ", text).replace(": ", ":\n ")
    return parts.replace(" to ", "\nto ").replace(" / ", "\n/ ")
