"""`siamese-mnist stress`: a run on slices of its test set, on corrupted images and on other data sets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from siamese_mnist_cli import options, progress
from siamese_mnist_cli.drawn import checked_picture, write_picture
from siamese_mnist_cli.skipped import located
from siamese_mnist_cli.tables import safe, tell, wide_console

_SHOWN_SLICES = 5


def stress(
    run: Annotated[str, typer.Argument(help="A run's folder, a bundle, or a variant: its newest run in --runs-dir.")],
    output: Annotated[
        Path | None, typer.Option(help="Picture to write, accuracy against severity: PNG or SVG.", show_default="none")
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Put a run under stress: its worst slices, corrupted images, other data sets, and what a new threshold recovers.

    The new threshold is fitted on pairs of other images than those that are evaluated, under the same condition.
    """
    place = None if output is None else checked_picture(output)
    subject = located(run, runs_dir)
    with progress.starting():
        from siamese_mnist.stress import stress as put_under_stress
        from siamese_mnist.visualisation.pictures import stress_picture

    with progress.shown() as titled:
        found = put_under_stress(subject, data_dir, titled("stress", every=1, unit="conditions"))
    if place is not None:
        write_picture(stress_picture(found), place)
    if as_json:
        print(json.dumps(found.as_dict()))
    else:
        _print(found)
    tell_skipped(found)


def tell_skipped(found: Any) -> None:
    """Says on stderr which data sets are left out, and why."""
    for name, reason in found.skipped.items():
        tell(f"{name} is left out: {reason}")


def side_by_side(found: Mapping[str, Any]) -> list[list[str]]:
    """The accuracy of several runs under the same conditions as text, one row a condition, the header first."""
    shown: dict[str, dict[str, str]] = {"test pairs": {}}
    for name, stressed in found.items():
        shown["test pairs"][name] = _figure(stressed.accuracy, stressed.interval)
        for each in stressed.trials:
            shown.setdefault(_condition(each), {})[name] = _figure(each.accuracy, each.interval)
        worst = stressed.slices[0]
        told = f"{worst.kind} {worst.name}: {_figure(worst.accuracy, worst.interval)}"
        shown.setdefault("worst slice", {})[name] = told
    return [["condition", *found], *([title, *(row.get(name, "-") for name in found)] for title, row in shown.items())]


def _condition(trial: Any) -> str:
    return f"{trial.name} {trial.severity}" if trial.severity else str(trial.name)


def _print(found: Any) -> None:
    console = wide_console()
    console.print(f"{found.variant}: {safe(found.run)}")
    console.print(f"test accuracy {_figure(found.accuracy, found.interval)}")
    console.print(
        f"images exchanged: accuracy {found.swapped_accuracy:.4f}, {100 * found.swap_agreement:.2f} % of answers stay"
    )
    table = Table("condition")
    for title in ("accuracy (95 %)", "threshold anew (95 %)"):
        table.add_column(title, justify="right")
    for each in found.trials:
        table.add_row(
            _condition(each),
            _figure(each.accuracy, each.interval),
            _figure(each.recalibrated, each.recalibrated_interval),
        )
    console.print(table)
    worst = Table("worst slices")
    for title in ("pairs", "accuracy (95 %, all at once)"):
        worst.add_column(title, justify="right")
    for each in found.slices[:_SHOWN_SLICES]:
        worst.add_row(f"{each.kind} {safe(each.name)}", f"{each.pairs:,}", _figure(each.accuracy, each.interval))
    console.print(worst)
    console.print(f"intervals of the {len(found.slices)} slices hold at once; first the lowest upper end")
    worse = [f"{each.kind} {safe(each.name)}" for each in found.slices if each.interval[1] < found.accuracy]
    console.print(f"below the test accuracy beyond chance: {'; '.join(worse) or 'none'}")


def _figure(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})"
