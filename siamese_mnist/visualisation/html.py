"""One HTML file for a set of runs: the comparison table, the verdicts and the pictures; nothing else is needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Metric
from siamese_mnist.evaluation.metrics import headline_metrics
from siamese_mnist.runs.comparison import Row, compare, what_seeds_vary
from siamese_mnist.runs.store import RunResult
from siamese_mnist.settings.entries import entry_names
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.files import unfinished
from siamese_mnist.system.templates import render
from siamese_mnist.system.text import printable
from siamese_mnist.visualisation.figures import THEME_CSS, save, to_svg
from siamese_mnist.visualisation.pictures import Finished, Picture, joint_pictures, read_finished, run_pictures

if TYPE_CHECKING:
    from markupsafe import Markup


def write_report(runs: Sequence[RunResult], output: str | Path, data_dir: str | Path | None = None) -> Path:
    """Writes the page of `runs` beside its place and renames it, so that no half page is ever seen.

    Args:
        runs: as from `runs.comparison.choose_runs`.
        output: the HTML file; one that is there is replaced.
        data_dir: folder of the data set's files.

    Raises:
        RunError: if a run is damaged.
        UsageError: if the data set is not to be had, or the file cannot be written.
    """
    place = Path(output)
    try:
        if place.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(place, error) from error
    text = page(runs, data_dir)
    try:
        with unfinished(place) as path:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(place, error) from error
    return place


def page(runs: Sequence[RunResult], data_dir: str | Path | None = None) -> str:
    """The whole page as text; see `write_report`."""
    from markupsafe import Markup

    finished = _read(runs, data_dir)
    rows = compare(runs)
    style = THEME_CSS + files("siamese_mnist.visualisation").joinpath("report.css").read_text(encoding="utf-8")
    return render(
        "siamese_mnist.visualisation",
        "report.html",
        style=Markup(style),
        entries=[row.entry for row in rows if not row.published],
        runs=runs,
        pairs=len(finished[0].same),
        digest=str(runs[0].test.pairs_digest)[:12],
        columns=_columns(),
        rows=rows,
        spread=what_seeds_vary(rows),
        verdicts=[_sentence(row) for row in rows if row.versus_first],
        sections=list(_sections(finished)),
        whose=_whose(finished),
        svg=svg_element,
        printable=printable,
    )


_FOLDED = frozenset({"classes", "confusion", "costs", "hardest", "explained"})
"""Kinds of pictures that the page opens when asked to."""


class _Panel(NamedTuple):
    """One picture of a section."""

    name: str  # its address within the page
    title: str
    note: str
    picture: Picture


class _Section(NamedTuple):
    """Pictures of one kind side by side, one an entry; or those of all entries together."""

    name: str
    title: str
    note: str
    panels: Sequence[_Panel]
    folded: bool = False


def _sections(finished: Sequence[Finished]) -> Iterator[_Section]:
    joint = [_Panel(f"together-{each.name}", each.title, each.caption, each) for each in joint_pictures(finished)]
    yield _Section("together", "All together", "", joint)
    kinds: dict[str, list[_Panel]] = {}
    for number, (entry, one) in enumerate(_first_of_each(finished).items()):
        for picture in run_pictures(one):
            panel = _Panel(f"{picture.name}-{number}", entry, picture.caption, picture)
            kinds.setdefault(picture.name, []).append(panel)
    for name, panels in kinds.items():
        title, note = panels[0].picture.title, panels[0].note
        if all((panel.picture.title, panel.note) == (title, note) for panel in panels):
            panels = [panel._replace(note="") for panel in panels]
        else:
            note = ""
        yield _Section(name, title, note, panels, folded=name in _FOLDED)


def _whose(finished: Sequence[Finished]) -> str:
    """Which run of each entry has pictures of its own."""
    seeds = Counter(each.name for each in finished)
    told = (
        f"{entry} seed {one.run.seed}{f' (the first of {seeds[entry]})' if seeds[entry] > 1 else ''}"
        for entry, one in _first_of_each(finished).items()
    )
    return ", ".join(told)


def _read(runs: Sequence[RunResult], data_dir: str | Path | None) -> list[Finished]:
    names = entry_names([Settings.from_dict(run.config) for run in runs])
    return [read_finished(run, data_dir, name) for name, run in zip(names, runs, strict=True)]


def _first_of_each(finished: Sequence[Finished]) -> dict[str, Finished]:
    """The first run of each entry, in order."""
    first: dict[str, Finished] = {}
    for each in finished:
        first.setdefault(each.name, each)
    return first


def svg_element(picture: Picture, prefix: str, of: str = "") -> Markup:
    """A picture as an element of the page, named for those who do not see it."""
    from markupsafe import Markup

    said = f"{picture.title}{of and f' of {of}'}. {picture.alternative}"
    label = Markup('<svg role="img" aria-label="{}" ').format(said)
    return Markup(to_svg(picture.figure, f"{prefix}-{picture.name}-").replace("<svg ", label, 1))


class _Column(NamedTuple):
    """A column of the table: its title, and the lines of a row's cell, the first one large."""

    title: str
    lines: Callable[[Row], Sequence[str]]


def _columns() -> list[_Column]:
    metrics = headline_metrics()
    return [
        _metric_column("accuracy", metrics["accuracy"]),
        *(_Column(f"{name} P\xa0/\xa0R\xa0/\xa0F1", _of_class(name)) for name in ("same", "different")),
        *(_metric_column(name, metric) for name, metric in metrics.items() if name != "accuracy"),
        _Column("parameters", _number("parameters", ",d")),
        _Column("training, seconds", _number("train_seconds", ".1f")),
        _Column("pairs scored a second", _number("score_pairs_per_second", ",.0f")),
        _Column("seeds", lambda row: [str(len(row.seeds)) if row.seeds else "-"]),
    ]


def _metric_column(name: str, metric: Metric) -> _Column:
    def lines(row: Row) -> list[str]:
        estimate = row.figure(name)
        spread = [] if estimate.sd is None else [f"sd {metric.text(estimate.sd)}"]
        interval = [" to ".join(map(metric.text, estimate.interval))] if estimate.interval else []
        return [metric.text(estimate.mean), *interval, *spread]

    return _Column(metric.title, lines)


def _number(name: str, form: str) -> Callable[[Row], list[str]]:
    return lambda row: ["-" if row[name] is None else format(row[name], form)]


def _of_class(name: str) -> Callable[[Row], list[str]]:
    def lines(row: Row) -> list[str]:
        values = (row.figure(f"{name}/{each}").mean for each in ("precision", "recall", "f1"))
        return [" / ".join("-" if value is None else f"{value:.4f}" for value in values)]

    return lines


def _sentence(row: Row) -> str:
    first = row.versus_first
    if first is None:
        return ""
    low, high = first.interval
    return (
        f"{row.entry} against {first.compared_with}: {first.verdict}. Accuracy differs by {first.mean:+.4f} "
        f"(simultaneous 95 % interval {low:+.4f} to {high:+.4f}; p = {first.p_adjusted:.2g}, adjusted for the number "
        "of comparisons)."
    )


def write_pictures(
    runs: Sequence[RunResult], folder: str | Path, form: str, data_dir: str | Path | None = None
) -> Iterator[Path]:
    """Writes the pictures of the page into a folder, one file each, and yields their places.

    Args:
        runs: as from `runs.comparison.choose_runs`.
        folder: made if missing.
        form: "svg", "png" or another format of Matplotlib.
        data_dir: folder of the data set's files.

    Raises:
        RunError: if the run is damaged.
        UsageError: if the data set is not to be had, or a file cannot be written.
    """
    finished = _read(runs, data_dir)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        named = chain(
            ((picture.name, picture) for picture in joint_pictures(finished)),
            (
                (f"{_file_name(entry)}-{picture.name}", picture)
                for entry, one in _first_of_each(finished).items()
                for picture in run_pictures(one)
            ),
        )
        for name, picture in named:
            place = Path(folder) / f"{name}.{form}"
            save(picture.figure, place)
            yield place
    except OSError as error:
        raise _unwritable(folder, error) from error


def _file_name(entry: str) -> str:
    return re.sub(r"[^\w.-]+", "-", entry)


def _unwritable(place: str | Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {place} ({error.strerror or error}); name another place with --output")
