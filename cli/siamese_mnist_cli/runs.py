"""`siamese-mnist runs`: the runs of a folder, listed, filtered and sorted."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from siamese_mnist_cli import options
from siamese_mnist_cli.skipped import name_skipped
from siamese_mnist_cli.tables import safe, wide_console

_SHOWN = ("dataset", "split", "loss")  # where the runs differ in it


def runs(
    runs_dir: options.RunsDir = Path("runs"),
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Only runs with this setting or figure, such as `loss=triplet`, `backbone.blocks=3` or "
            "`accuracy=0.9..1`.",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="Setting or figure to sort by; the best figure first.", show_default="oldest first"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the runs of a folder with their settings and figures; --json gives all columns."""
    from siamese_mnist.runs.frame import frame_of, matching_rows, sorted_rows
    from siamese_mnist.runs.store import scan_runs
    from siamese_mnist.settings.grammar import parse_texts

    conditions = parse_texts(where or [])
    found, skipped = scan_runs(runs_dir)
    name_skipped(skipped)
    frame = frame_of(found)
    rows = matching_rows(frame, conditions)
    if sort is not None:
        rows = sorted_rows(frame, rows, sort) if frame else []
    if as_json:
        print(json.dumps({"runs": [{name: column[row] for name, column in frame.items()} for row in rows]}))
    elif rows:
        _print(frame, rows, [*conditions, *([sort] if sort else [])])
    else:
        print(safe(f"no run in {runs_dir}{' is like that' if found else ''}"))


def _print(frame: dict[str, list[Any]], rows: list[int], asked: list[str]) -> None:
    """One row a run: its folder, what the runs differ in, the main figures, and what was asked for."""
    from rich.table import Table

    from siamese_mnist.evaluation import METRICS

    differing = [name for name in _SHOWN if len({frame[name][row] for row in rows}) > 1]
    columns = dict.fromkeys([*differing, "accuracy", "equal_error_rate", "train_seconds", *asked])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("run", no_wrap=True)
    for name in columns:
        title = METRICS[name].column if name in METRICS else name.replace("train_seconds", "train s")
        table.add_column(title, justify="left" if name in differing else "right", overflow="fold")
    for row in rows:
        table.add_row(Path(frame["run_dir"][row]).name, *(_text(name, frame[name][row]) for name in columns))
    console = wide_console()
    console.print(table)
    console.print(f"{len(rows)} of {len(frame['run_dir'])} runs")


def _text(name: str, value: Any) -> str:
    from siamese_mnist.evaluation import METRICS

    if value is None:
        return "-"
    if name in METRICS:
        return METRICS[name].text(value)
    if name.endswith("_seconds"):
        return f"{value:.1f}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
