"""`siamese-mnist report` and `siamese-mnist figures`: runs as a page, or as picture files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from siamese_mnist_cli import options
from siamese_mnist_cli.skipped import name_skipped_below
from siamese_mnist_cli.tables import safe


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
    from siamese_mnist.visualisation.html import choose_runs, write_report

    if not run:
        name_skipped_below(runs_dir)
    print(safe(write_report(choose_runs(run or (), runs_dir), output, data_dir)))


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
    from siamese_mnist.visualisation.html import choose_runs, write_pictures

    if not run:
        name_skipped_below(runs_dir)
    for path in write_pictures(choose_runs(run or (), runs_dir), output, form, data_dir):
        print(safe(path))
