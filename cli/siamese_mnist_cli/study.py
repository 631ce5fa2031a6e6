"""`siamese-mnist study`: tune all entries with equally many trials, then compare them once on the test pairs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siamese_mnist_cli import formats, options, progress, tables, tracking
from siamese_mnist_cli.completion import names_of
from siamese_mnist_cli.settings import with_settings

if TYPE_CHECKING:
    from siamese_mnist.studies.outcome import StudyResult, StudyRow


_BUDGET = "Expected best validation accuracy"


@with_settings("seed")
def study(
    settings: dict[str, Any],
    entries: Annotated[
        list[str],
        typer.Argument(
            help="What to tune, the reference first: `VARIANT` or `VARIANT:name=value,...`, such as "
            "`siamese:loss=triplet`. What an entry sets is not tuned.",
            autocompletion=names_of("variants"),
        ),
    ],
    trials: Annotated[int, typer.Option(help="Trials of each entry.", min=1)] = 12,
    folds: Annotated[
        int,
        typer.Option(
            help="Folds of the training images that each trial is judged on; with 1, a quarter of the images judges.",
            min=1,
        ),
    ] = 1,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="Range of a setting, as name=low..high, such as `learning_rate=1e-4..1e-2` or `loss.margin=0.1..1`; "
            "in place of the declared one, or beside those.",
            show_default="declared by the entries' parts",
        ),
    ] = None,
    sampler: Annotated[str, typer.Option(help="How trials are proposed: `tpe` learns, `random` does not.")] = "tpe",
    seed: Annotated[int, typer.Option(help="Seed of the proposals and of every trial.", min=0)] = 0,
    seeds: Annotated[int, typer.Option(help="Seeds of the chosen settings: 0, 1, ...", min=1)] = 3,
    study_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the study, which goes on where it was.", show_default="one by test pairs"),
    ] = None,
    data_dir: options.DataDir = None,
    download: options.Download = False,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    jobs: options.Jobs = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    track: options.Track = None,
    output: Annotated[Path | None, typer.Option(help="HTML page.", show_default="study.html in the folder")] = None,
    as_json: options.Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
) -> None:
    """Tune entries with equally many trials on validation images, then compare them once on the test pairs."""
    from siamese_mnist.errors import UsageError
    from siamese_mnist.settings.entries import resolve_entries
    from siamese_mnist.settings.grammar import parse_texts
    from siamese_mnist.settings.settings import read_entry

    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other; give one")
    if output is not None:
        formats.check_writable(output)
    for each in entries:
        read_entry(each, settings)
    from siamese_mnist.runs.clusters import check_engine

    check_engine(engine, address)
    plan = f"tuning {' and '.join(entries)}, {trials} trial{'s' if trials > 1 else ''} each"
    with progress.starting(tables.safe(plan)):
        resolve_entries(entries, seeds, **settings)  # a mistake in a name does not wait for what is imported next
        from siamese_mnist.runs.reading import read_run
        from siamese_mnist.studies.page import write_page
        from siamese_mnist.studies.study import study as run_study

        trackers = tracking.ready(track, runs_dir)
    before = {each.name for each in runs_dir.glob("*")}
    with progress.shown() as titled:
        told = titled("study", every=1, unit="trainings")
        result = run_study(
            entries,
            trials=trials,
            folds=folds,
            seeds=seeds,
            space=parse_texts(space or []),
            sampler=sampler,  # type: ignore[arg-type]
            seed=seed,
            study_dir=study_dir,
            runs_dir=runs_dir,
            data_dir=data_dir,
            download=download,
            device=device,
            jobs=jobs,
            engine=engine,
            address=address,
            progress=told,
            beside=lambda title: titled(title, passing=True),
            **settings,
        )
    for place in dict.fromkeys(place for each in result.rows if each.row for place in each.row.run_dirs):
        if trackers and Path(place).name not in before:
            tracking.give(trackers, read_run(place))
    page = write_page(result, output)
    if as_json:
        print(json.dumps(result.as_dict()))
    elif as_markdown:
        _print_markdown(result)
    else:
        _print_tables(result)
    print(f"page: {tables.safe(page)}", file=sys.stderr)
    if not any(each.row and each.row.figures for each in result.rows):
        raise typer.Exit(2)


def _print_tables(result: StudyResult) -> None:
    console = tables.wide_console()
    tables.print_cells(_outcome_cells(result), console)
    console.print(f"{_BUDGET}:")
    tables.print_cells(_budget_cells(result), console)
    console.print("Chosen settings:")
    for each in result.rows:
        console.print(f"  {each.chosen or f'none for {each.entry}: all trials failed'}", soft_wrap=True)
    for note in _notes(result):
        console.print(note)


def _print_markdown(result: StudyResult) -> None:
    parts = [formats.markdown(_outcome_cells(result)), f"{_BUDGET}:", formats.markdown(_budget_cells(result))]
    chosen = "\n".join(f"- `{each.chosen}`" for each in result.rows if each.chosen)
    print("\n\n".join([*parts, f"Chosen settings:\n\n{chosen}", *_notes(result)]))


def _outcome_cells(result: StudyResult) -> list[list[str]]:
    header = ["entry", "trials", "failed", "validation", "test accuracy", "95 %", "difference", "simultaneous 95 %"]
    return [[*header, "verdict"], *(_outcome(each) for each in result.rows)]


def _outcome(row: StudyRow) -> list[str]:
    def number(name: str, form: str) -> str:
        value = row.row and row.row[name]
        return "-" if value is None else format(value, form)

    def interval(name: str, form: str) -> str:
        ends = row.row and row.row[name]
        return " to ".join(format(each, form) for each in ends) if ends else "-"

    return [
        row.entry,
        str(len(row.trials)),
        str(row.failed),
        "-" if row.best is None or row.best.accuracy is None else f"{row.best.accuracy:.4f}",
        number("accuracy", ".4f"),
        interval("accuracy_interval", ".3f"),
        number("difference", "+.4f"),
        interval("difference_interval", "+.3f"),
        row.verdict or "-",
    ]


def _budget_cells(result: StudyResult) -> list[list[str]]:
    """Expected best validation accuracy of 1, 2, 4, ... and all trials."""
    trials = result.budget.trials
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count < trials] + [trials]
    header = ["entry", *(f"of {count}" for count in counts)]
    return [header, *([row.entry, *(_best_of(row, count) for count in counts)] for row in result.rows)]


def _best_of(row: StudyRow, count: int) -> str:
    best = row.budget[count - 1]
    return f"{best.mean:.4f} ({best.interval[0]:.4f} to {best.interval[1]:.4f})"


def _notes(result: StudyResult) -> list[str]:
    failed = sum(each.failed for each in result.rows)
    notes = [
        f"difference and verdict: test accuracy against that of {result.rows[0].entry}, both tuned, "
        f"seeds: {result.seeds}",
        "expected best: over the trials in random order, with a 95 % bootstrap interval; failed ones count as guessing",
    ]
    if failed:
        reasons = dict.fromkeys(each.failed for row in result.rows for each in row.trials if each.failed)
        notes.append(f"failed trials: {failed}, the first: {next(iter(reasons))}")
    return [*notes, result.opened()]
