"""`siamese-mnist compare`: train what is missing and print one table."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from siamese_mnist_cli import options, progress

Row = dict[str, Any]


def compare(
    variants: Annotated[
        list[str] | None, typer.Argument(help="Variants to compare.", show_default="baseline siamese")
    ] = None,
    dataset: options.Dataset = "mnist-tenth",
    data_dir: options.DataDir = None,
    download: options.Download = False,
    recipe: Annotated[str, typer.Option(help="Training protocol.")] = "report",
    seeds: Annotated[int, typer.Option(help="Seeds per variant: 0, 1, ...", min=1)] = 1,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Compare variants on the same pairs: train what is missing, print the report's figures and each variant's."""
    from siamese_mnist.comparison import compare as compare_runs
    from siamese_mnist.comparison import ensure_runs
    from siamese_mnist.recipes import Settings

    settings = [
        Settings.resolve(variant, recipe=recipe, dataset=dataset, seed=seed)
        for variant in variants or ("baseline", "siamese")
        for seed in range(seeds)
    ]
    with progress.shown() as titled:
        runs = list(
            ensure_runs(
                settings,
                runs_dir=runs_dir,
                data_dir=data_dir,
                download=download,
                progress=lambda each: titled(f"{each.variant}, seed {each.seed}"),
            )
        )
    rows = compare_runs(runs)
    if as_json:
        print(json.dumps({"rows": rows}))
    else:
        _print_table(rows)


def _number(name: str, form: str) -> Callable[[Row], str]:
    return lambda row: "-" if row[name] is None else format(row[name], form)


def _class_figures(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        figures = (row[name][each] for each in ("precision", "recall", "f1"))
        return " / ".join("-" if value is None else f"{value:.2f}" for value in figures)

    return text


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "accuracy": _number("accuracy", ".4g"),
    "same P / R / F1": _class_figures("same"),
    "different P / R / F1": _class_figures("different"),
    "ROC-AUC": _number("roc_auc", ".4f"),
    "EER": _number("equal_error_rate", ".4f"),
    "swap agr.": _number("swap_agreement", ".4f"),
    "parameters": _number("parameters", ",d"),
    "train s": _number("train_seconds", ".1f"),
    "pairs/s": _number("score_pairs_per_second", ",.0f"),
}


def _print_table(rows: Sequence[Row]) -> None:
    console = Console(width=None if Console().is_terminal else 160)
    table = Table("variant")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row["variant"], *(text(row) for text in _COLUMNS.values()))
    if console.measure(table).maximum <= console.width:
        console.print(table)
        return
    narrow = Table("")
    for row in rows:
        narrow.add_column(row["variant"], justify="right")
    for column, text in _COLUMNS.items():
        narrow.add_row(column, *(text(row) for row in rows))
    console.print(narrow)
