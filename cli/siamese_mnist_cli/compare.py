"""`siamese-mnist compare`: train what is missing and print one table."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siamese_mnist_cli import formats, options, progress, tables, tracking
from siamese_mnist_cli.completion import names_of
from siamese_mnist_cli.drawn import checked_picture, write_picture
from siamese_mnist_cli.settings import with_settings
from siamese_mnist_cli.skipped import name_skipped
from siamese_mnist_cli.stress import side_by_side, tell_skipped
from siamese_mnist_cli.tables import safe

if TYPE_CHECKING:
    from siamese_mnist.settings.settings import Settings


@with_settings("seed")
def compare(
    settings: dict[str, Any],
    entries: Annotated[
        list[str] | None,
        typer.Argument(
            help="Variants to compare, the baseline first; with changes as `VARIANT:name=value,...`, such as "
            "`siamese:loss=triplet` or `baseline:backbone.blocks=3`.",
            show_default="baseline siamese",
            autocompletion=names_of("variants"),
        ),
    ] = None,
    data_dir: options.DataDir = None,
    download: options.Download = False,
    seeds: Annotated[int, typer.Option(help="Seeds per variant: 0, 1, ...; one gives no verdict.", min=1)] = 3,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Folds of the split that are joined: 0, 1, ...; each trains every seed.", min=1, show_default="none"
        ),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    jobs: options.Jobs = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    track: options.Track = None,
    sort: Annotated[
        str | None,
        typer.Option(help="Column to sort by, as --json names it; the best first.", show_default="order of variants"),
    ] = None,
    stress: Annotated[
        bool,
        typer.Option(
            "--stress", help="Set the variants side by side under stress as well, by their first seed; see `stress`."
        ),
    ] = False,
    stress_picture: Annotated[
        Path | None,
        typer.Option(help="Picture to write of --stress, accuracy against severity: PNG or SVG.", show_default="none"),
    ] = None,
    as_json: options.Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX tabular.")] = False,
    csv: Annotated[Path | None, typer.Option(help="File for all figures as CSV.", show_default="none")] = None,
) -> None:
    """Compare variants on the same pairs: train what is missing, print the report's figures and each variant's."""
    from siamese_mnist.errors import UsageError
    from siamese_mnist.settings.entries import resolve_entries
    from siamese_mnist.settings.settings import read_entry

    if as_json + as_markdown + as_latex > 1:
        raise UsageError("--json, --markdown and --latex exclude each other; give one")
    if csv is not None:
        formats.check_writable(csv)
    if stress_picture is not None:
        checked_picture(stress_picture, "--stress-picture")
        stress = True
    names = entries or ["baseline", "siamese"]
    for each in names:
        read_entry(each, settings)
    from siamese_mnist.runs.clusters import check_engine
    from siamese_mnist.runs.comparison import check_sort_column, sort_rows

    if sort is not None:
        check_sort_column(sort)
    check_engine(engine, address)
    with progress.starting(safe(f"comparing {' and '.join(names)}, {seeds} seed{'s' if seeds > 1 else ''} each")):
        wanted = resolve_entries(names, seeds, folds, **settings)
        from siamese_mnist.runs.comparison import compare as compare_runs
        from siamese_mnist.runs.jobs import attempt_runs
        from siamese_mnist.runs.result import Diverged, RunResult
        from siamese_mnist.runs.store import find_runs

        trackers = tracking.ready(track, runs_dir)
    before = find_runs(wanted, runs_dir)
    name_skipped(before.skipped)
    with progress.shown() as titled:
        outcomes = list(
            attempt_runs(
                wanted,
                runs_dir=runs_dir,
                data_dir=data_dir,
                download=download,
                device=device,
                progress=lambda each: titled(_title(each, wanted)),
                jobs=jobs,
                engine=engine,
                address=address,
                overall=titled("training", every=1, unit="runs"),
                notice=lambda line: print(safe(line), file=sys.stderr),
                beside=lambda each: titled(_title(each, wanted), passing=True),
            )
        )
    for run in outcomes:
        if isinstance(run, RunResult) and run not in before.runs:
            tracking.give(trackers, run)
    stressed = _stressed(wanted, outcomes, data_dir) if stress else {}
    if stressed and stress_picture is not None:
        from siamese_mnist.visualisation.pictures import stress_side_by_side

        write_picture(stress_side_by_side(stressed), stress_picture)
    rows = compare_runs(outcomes)
    if sort is not None:
        rows = sort_rows(rows, sort)
    if csv is not None:
        formats.write_csv(csv, [row.as_dict() for row in rows])
    if as_json:
        more = {"stress": {name: found.as_dict() for name, found in stressed.items()}} if stress else {}
        print(json.dumps({"rows": [row.as_dict() for row in rows], **more}))
    elif as_markdown or as_latex:
        for cells in (tables.comparison_cells(rows), *([side_by_side(stressed)] if stressed else [])):
            print(formats.markdown(cells) if as_markdown else formats.latex(cells))
    else:
        tables.print_comparison(rows)
        if stressed:
            tables.print_cells(side_by_side(stressed), tables.wide_console())
        tables.hint(f"siamese-mnist report{options.folder(runs_dir)} shows these runs on one page, with pictures")
    for lost in (outcome for outcome in outcomes if isinstance(outcome, Diverged)):
        tables.tell(f"{_title(lost.settings, wanted)}: {lost.reason}")
    if not any(row.figures for row in rows if not row.published):
        raise typer.Exit(2)


def _stressed(wanted: Sequence[Settings], outcomes: Sequence[Any], data_dir: Path | None) -> dict[str, Any]:
    """What stress shows of every variant's first run, by its entry."""
    from siamese_mnist.runs.result import RunResult
    from siamese_mnist.settings.entries import entry_names
    from siamese_mnist.stress import stress as put_under_stress

    found: dict[str, Any] = {}
    names = entry_names([dataclasses.replace(each, fold=None) for each in wanted])
    with progress.shown() as titled:
        for name, run in zip(names, outcomes, strict=True):
            if name not in found and isinstance(run, RunResult):
                found[name] = put_under_stress(run, data_dir, titled(f"stress, {name}", every=1, unit="conditions"))
    for each in list(found.values())[:1]:
        tell_skipped(each)
    return found


def _title(settings: Settings, wanted: Sequence[Settings]) -> str:
    """A run by its entry, its fold and its seed."""
    from siamese_mnist.settings.entries import entry_names

    names = entry_names([dataclasses.replace(each, fold=None) for each in wanted])
    fold = "" if settings.fold is None else f", fold {settings.fold}"
    return f"{names[wanted.index(settings)]}{fold}, seed {settings.seed}"
