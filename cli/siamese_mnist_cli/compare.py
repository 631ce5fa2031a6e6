"""`siamese-mnist compare`: train what is missing and print one table."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from siamese_mnist_cli import formats, options, progress

Row = dict[str, Any]


def compare(
    variants: Annotated[
        list[str] | None,
        typer.Argument(
            help="Variants to compare, the baseline first; with changes as `VARIANT:name=value,...`, such as "
            "`siamese:loss=triplet` or `baseline:backbone.blocks=3`.",
            show_default="baseline siamese",
        ),
    ] = None,
    dataset: options.Dataset = "mnist-tenth",
    data_dir: options.DataDir = None,
    download: options.Download = False,
    recipe: Annotated[str, typer.Option(help="Training protocol.")] = "report",
    seeds: Annotated[int, typer.Option(help="Seeds per variant: 0, 1, ...", min=1)] = 1,
    test_protocol: options.TestProtocol = None,
    runs_dir: options.RunsDir = Path("runs"),
    jobs: options.Jobs = None,
    sort: Annotated[
        str | None,
        typer.Option(help="Column to sort by, as --json names it; the best first.", show_default="order of variants"),
    ] = None,
    as_json: options.Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX tabular.")] = False,
    csv: Annotated[Path | None, typer.Option(help="File for all figures as CSV.", show_default="none")] = None,
) -> None:
    """Compare variants on the same pairs: train what is missing, print the report's figures and each variant's."""
    from siamese_mnist.errors import UsageError
    from siamese_mnist.runs.comparison import check_sort_column, sort_rows
    from siamese_mnist.runs.comparison import compare as compare_runs
    from siamese_mnist.runs.jobs import ensure_runs, missing_runs, possible_jobs
    from siamese_mnist.settings.entries import read_entry

    names = variants or ["baseline", "siamese"]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name!r} is named {names.count(name)} times; name each variant once")
    if as_json + as_markdown + as_latex > 1:
        raise UsageError("--json, --markdown and --latex exclude each other; give one")
    if sort is not None:
        check_sort_column(sort)
    if csv is not None:
        formats.check_writable(csv)
    settings = [
        read_entry(name, recipe=recipe, dataset=dataset, seed=seed, test_protocol=test_protocol)
        for name in names
        for seed in range(seeds)
    ]
    for each in settings:
        if settings.count(each) > 1:
            raise UsageError(f"two of {', '.join(names)} are the same; name each variant once")
    if jobs is None:
        jobs = min(possible_jobs(), max(1, len(missing_runs(settings, runs_dir))))
    with progress.shown() as titled:
        runs = list(
            ensure_runs(
                settings,
                runs_dir=runs_dir,
                data_dir=data_dir,
                download=download,
                progress=lambda each: titled(f"{each.variant}, seed {each.seed}"),
                jobs=jobs,
                overall=titled(f"training, {jobs} at once", every=1, unit="runs"),
            )
        )
    rows = compare_runs(runs)
    if sort is not None:
        rows = sort_rows(rows, sort)
    if csv is not None:
        formats.write_csv(csv, rows)
    if as_json:
        print(json.dumps({"rows": rows}))
    elif as_markdown or as_latex:
        cells = [["variant", *_COLUMNS], *([row["entry"], *_texts(row)] for row in rows)]
        print(formats.markdown(cells) if as_markdown else formats.latex(cells))
    else:
        _print_table(rows)


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
    "accuracy": _number("accuracy", ".4g"),
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


def _texts(row: Row) -> list[str]:
    return [text(row) for text in _COLUMNS.values()]


def _print_table(rows: Sequence[Row]) -> None:
    """One row a variant in a pipe or where that fits, else one column a variant, in as many tables as are needed."""
    console = Console(width=None if Console().is_terminal else 160, highlight=False)
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
