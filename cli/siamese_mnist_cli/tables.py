"""Tables on stdout: what every command's table shares, and that of a comparison."""

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Row = dict[str, Any]


def wide_console() -> Console:
    """The console of results: as wide as the terminal, and wide enough for any table in a pipe."""
    return Console(width=None if Console().is_terminal else 160, highlight=False)


def _number(name: str, form: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[name] is None else format(row[name], form)


def _interval(name: str, form: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[name] is None else "{:{f}} to {:{f}}".format(*row[name], f=form)


def _class_figures(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        figures = (row[name][each] for each in ("precision", "recall", "f1"))
        return " / ".join("-" if value is None else f"{value:.2f}" for value in figures)

    return text


_ACCURACY: dict[str, Callable[[Row], str]] = {
    "seeds": lambda row: str(len(row["seeds"])) if row["seeds"] else "-",
    "accuracy": _number("accuracy", ".4f"),
    "accuracy 95 %": _interval("accuracy_interval", ".3f"),
    "SD over seeds": _number("accuracy_sd", ".4f"),
    "difference": _number("difference", "+.4f"),
    "difference 95 %": _interval("difference_interval", "+.3f"),
    "Holm p": _number("p_adjusted", ".2g"),
    "verdict": lambda row: row["verdict"] or "-",
}
_QUALITY: dict[str, Callable[[Row], str]] = {
    "same P / R / F1": _class_figures("same"),
    "different P / R / F1": _class_figures("different"),
    "ROC-AUC": _number("roc_auc", ".4f"),
    "ROC-AUC 95 %": _interval("roc_auc_interval", ".3f"),
    "EER": _number("equal_error_rate", ".4f"),
    "EER 95 %": _interval("equal_error_rate_interval", ".3f"),
    "swap agr.": _number("swap_agreement", ".4f"),
}
_COST: dict[str, Callable[[Row], str]] = {
    "parameters": _number("parameters", ",d"),
    "train s": _number("train_seconds", ".1f"),
    "train pairs/s": _number("train_pairs_per_second", ",.0f"),
    "score pairs/s": _number("score_pairs_per_second", ",.0f"),
    "score µs/pair": _number("score_microseconds_per_pair", ".1f"),
}
_COLUMNS = {**_ACCURACY, **_QUALITY, **_COST}


def comparison_cells(rows: Sequence[Row]) -> list[list[str]]:
    """All columns of a comparison as text, the header first."""
    texts = [[row["entry"], *(text(row) for text in _COLUMNS.values())] for row in rows]
    return [["variant", *_COLUMNS], *texts]


def print_comparison(rows: Sequence[Row]) -> None:
    """One row a variant in a pipe or where that fits, else one column a variant, in as many tables as are needed."""
    console = wide_console()
    tables = [_table(rows, columns) for columns in (_ACCURACY, _QUALITY, _COST)]
    if console.is_terminal and not all(_fits(table, console) for table in tables):
        tables, left = [], list(rows)
        while left:
            count = len(left)
            while count > 1 and not _fits(_turned(left[:count]), console):
                count -= 1
            tables.append(_turned(left[:count]))
            left = left[count:]
    for table in tables:
        console.print(table)
    for baseline in {row["compared_with"] for row in rows if row["compared_with"]}:
        console.print(f"difference and verdict: accuracy against that of {baseline}, on the same pairs", markup=False)


def _fits(table: Table, console: Console) -> bool:
    """Whether no cell needs a second line; rich would cut the answer at the console's own width."""
    return console.measure(table, options=console.options.update(max_width=10_000)).maximum <= console.width


def _table(rows: Sequence[Row], columns: dict[str, Callable[[Row], str]]) -> Table:
    table = Table("variant")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(_shown(row), *(text(row) for text in columns.values()))
    return table


def _shown(row: Row) -> str:
    """A row's name, a change a line where there are several."""
    name = str(row["entry"])
    return name if row["published"] else name.replace(",", ",\n ")


def _turned(rows: Sequence[Row]) -> Table:
    table = Table("")
    for row in rows:
        table.add_column(_shown(row), justify="right")
    for column, text in _COLUMNS.items():
        table.add_row(column, *(text(row) for row in rows))
    return table
