"""`siamese-mnist report` and `siamese-mnist figures`: runs as a page, or as picture files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from siamese_mnist_cli import options
from siamese_mnist_cli.skipped import name_skipped_below
from siamese_mnist_cli.tables import safe

if TYPE_CHECKING:
    from siamese_mnist.runs.result import RunResult


class Form(StrEnum):
    """File formats of pictures."""

    svg = "svg"
    png = "png"


Runs = Annotated[
    list[Path] | None,
    typer.Argument(help="Run folders.", show_default="newest of each variant and seed in --runs-dir"),
]


def report(
    run: Runs = None,
    runs_dir: options.RunsDir = Path("runs"),
    output: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    data_dir: options.DataDir = None,
) -> None:
    """Write one HTML file with the table, the verdicts and the pictures of a set of runs."""
    runs = _chosen(run, runs_dir)
    from siamese_mnist.visualisation.html import write_report

    print(safe(write_report(runs, output, data_dir)))


def figures(
    run: Runs = None,
    runs_dir: options.RunsDir = Path("runs"),
    output: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("figures"),
    form: Annotated[
        Form, typer.Option("--format", help="SVG follows the reader's light or dark theme; PNG is light.")
    ] = Form.svg,
    data_dir: options.DataDir = None,
) -> None:
    """Write the pictures of the report as files."""
    runs = _chosen(run, runs_dir)
    from siamese_mnist.visualisation.html import write_pictures

    for path in write_pictures(runs, output, form, data_dir):
        print(safe(path))


def _chosen(run: Runs, runs_dir: Path) -> list[RunResult]:
    from siamese_mnist.runs.comparison import choose_runs

    if not run:
        name_skipped_below(runs_dir)
    return choose_runs(run or (), runs_dir)
