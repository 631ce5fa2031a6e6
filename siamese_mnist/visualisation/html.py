"""One HTML file for a set of runs: the comparison table, the verdicts and the pictures; nothing else is needed."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.runs.comparison import compare
from siamese_mnist.runs.store import RunResult, read_run, scan_runs
from siamese_mnist.settings.entries import entry_names
from siamese_mnist.system.files import unfinished
from siamese_mnist.visualisation.figures import THEME_CSS, save, to_svg
from siamese_mnist.visualisation.pictures import Finished, Picture, joint_pictures, read_finished, run_pictures

Row = dict[str, Any]

# The page may load nothing: not even by mistake can a picture or a name in a run reach out.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def choose_runs(run_dirs: Sequence[str | Path], runs_dir: str | Path) -> list[RunResult]:
    """The named runs or, where none is named, the newest run of all settings below `runs_dir`.

    Returns:
        Runs by entry, in the order named or with the baseline first, and by seed. Verdicts compare every entry with the
        first.

    Raises:
        RunError: if a named run is not complete, or damaged.
        UsageError: if there is no run, or the runs cannot be set side by side.
    """
    if run_dirs:
        runs = [read_run(each) for each in dict.fromkeys(Path(each) for each in run_dirs)]
    else:
        newest = {str(run.config): run for run in scan_runs(runs_dir, whole=True).runs}
        runs = list(newest.values())
    if not runs:
        raise UsageError(f"no complete run below {runs_dir}; train one with `siamese-mnist run`, or see --runs-dir")
    _check_comparable(runs)
    named = list(zip(entry_names([run.config for run in runs]), runs, strict=True))
    order = list(dict.fromkeys(name for name, _ in named))
    if not run_dirs:
        order.sort(key=lambda name: (name != "baseline", name.partition(":")[0] != "baseline"))
    return [run for _, run in sorted(named, key=lambda each: (order.index(each[0]), each[1].seed))]


def _check_comparable(runs: Sequence[RunResult]) -> None:
    first = runs[0]
    for run in runs:
        if run.dataset != first.dataset:
            what = f"different data sets ({first.dataset} and {run.dataset})"
        elif run.test.pairs_digest != first.test.pairs_digest:
            what = "different test pairs"
        else:
            continue
        raise UsageError(f"{first.run_dir} and {run.run_dir} have {what}; name runs that belong in one table")


def write_report(runs: Sequence[RunResult], output: str | Path, data_dir: str | Path | None = None) -> Path:
    """Writes the page of `runs` beside its place and renames it, so that no half page is ever seen.

    Args:
        runs: as from `choose_runs`.
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
    finished = _read(runs, data_dir)
    rows = compare(runs)
    first = _first_of_each(finished)
    entries = list(first)
    sections = [("together", "All together", _pictures(joint_pictures(finished), "together"))]
    for number, (entry, one) in enumerate(first.items()):
        others = sum(each.name == entry for each in finished) - 1
        note = f"<p>Seed {escape(str(one.run.seed))}{f', the first of {others + 1}' if others else ''}.</p>\n"
        name = f"entry-{number}"
        sections.append((name, entry, note + _pictures(run_pictures(one), name)))
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title, _ in sections)
    body = "".join(
        f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{text}</section>\n' for name, title, text in sections
    )
    test = runs[0].test
    style = THEME_CSS + files("siamese_mnist.visualisation").joinpath("report.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>siamese-mnist: {escape(", ".join(entries))}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>Same digit or not: {len(entries)} {"variant" if len(entries) == 1 else "variants"} compared</h1>
<ul class="facts">
<li>Data set: {escape(str(runs[0].dataset))}</li>
<li>Runs: {len(runs)}</li>
<li>Test pairs: {len(finished[0].same):,}, the same for all (digest {escape(str(test.pairs_digest)[:12])})</li>
</ul>
</header>
<main>
<section id="table">
<h2>Comparison</h2>
{_table(rows)}{_verdicts(rows)}</section>
<nav aria-label="Pictures"><ul>{links}</ul></nav>
{body}</main>
<footer>
<h2>Runs</h2>
<ul>
{_run_list(runs)}</ul>
</footer>
</body>
</html>
"""


def _read(runs: Sequence[RunResult], data_dir: str | Path | None) -> list[Finished]:
    names = entry_names([run.config for run in runs])
    return [read_finished(run, data_dir, name) for name, run in zip(names, runs, strict=True)]


def _first_of_each(finished: Sequence[Finished]) -> dict[str, Finished]:
    """The first run of each entry, in order."""
    first: dict[str, Finished] = {}
    for each in finished:
        first.setdefault(each.name, each)
    return first


def _pictures(pictures: Iterable[Picture], prefix: str) -> str:
    return f'<div class="pictures">\n{"".join(_picture(each, prefix) for each in pictures)}</div>\n'


def _picture(picture: Picture, prefix: str) -> str:
    name = f"{prefix}-{picture.name}"
    label = escape(f"{picture.title}. {picture.alternative}")
    svg = to_svg(picture.figure, f"{name}-").replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return (
        f'<figure id="{name}">\n<h3>{escape(picture.title)}</h3>\n{svg}'
        f"<figcaption><p>{escape(picture.caption)}</p></figcaption>\n</figure>\n"
    )


def _number(form: str) -> Callable[[Row, str], str]:
    return lambda row, name: "-" if row.get(name) is None else format(row[name], form)


def _with_spread(row: Row, name: str) -> str:
    text, interval, spread = _number(".4f")(row, name), row.get(f"{name}_interval"), row.get(f"{name}_sd")
    if interval:
        text += f"<br><small>{interval[0]:.4f} to {interval[1]:.4f}</small>"
    if spread is not None:
        text += f"<br><small>sd {spread:.4f}</small>"
    return text


def _of_class(row: Row, name: str) -> str:
    values = row.get(name) or {}
    return " / ".join(_number(".3f")(values, each) for each in ("precision", "recall", "f1"))


def _seeds(row: Row, name: str) -> str:
    return escape(", ".join(str(seed) for seed in row.get(name) or ())) or "-"


_COLUMNS: dict[str, tuple[str, Callable[[Row, str], str]]] = {
    "accuracy": ("accuracy", _with_spread),
    "same": ("same<br>P / R / F1", _of_class),
    "different": ("different<br>P / R / F1", _of_class),
    "roc_auc": ("ROC-AUC", _with_spread),
    "equal_error_rate": ("equal<br>error rate", _with_spread),
    "swap_agreement": ("swap<br>agreement", _number(".4f")),
    "parameters": ("parameters", _number(",d")),
    "train_seconds": ("training,<br>seconds", _number(".1f")),
    "score_pairs_per_second": ("pairs scored<br>a second", _number(",.0f")),
    "seeds": ("seeds", _seeds),
}


def _table(rows: Sequence[Row]) -> str:
    heads = "".join(f'<th scope="col">{title}</th>' for title, _ in _COLUMNS.values())
    lines = "".join(
        f'<tr><th scope="row">{escape(row["entry"])}</th>'
        + "".join(f"<td>{text(row, name)}</td>" for name, (_, text) in _COLUMNS.items())
        + "</tr>\n"
        for row in rows
    )
    return (
        '<p id="legend">Means over seeds, with 95 % intervals that know which pairs share images, and the standard '
        "deviation (sd) over seeds where there are several. P: precision, R: recall. The first row is as published."
        "</p>\n"
        '<div class="table" role="region" aria-label="Comparison" tabindex="0">\n<table aria-describedby="legend">\n'
        f'<thead><tr><th scope="col">variant</th>{heads}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table>\n</div>\n'
    )


def _verdicts(rows: Sequence[Row]) -> str:
    items = "".join(f"<li>{escape(_sentence(row))}</li>\n" for row in rows if row.get("verdict"))
    return f"<h3>Verdicts</h3>\n<ul>\n{items}</ul>\n" if items else ""


def _sentence(row: Row) -> str:
    low, high = row["difference_interval"]
    side = f"{row['verdict']} than {row['compared_with']}"
    if row["verdict"] not in ("better", "worse"):
        side = f"{row['verdict']} from {row['compared_with']}"
    return (
        f"{row['entry']}: {side}. Accuracy differs by {row['difference']:+.4f} (95 % interval {low:+.4f} to "
        f"{high:+.4f}; p = {row['p_adjusted']:.2g}, adjusted for the number of comparisons)."
    )


def _run_list(runs: Sequence[RunResult]) -> str:
    return "".join(
        f"<li>{escape(run.variant)}, seed {escape(str(run.seed))}: <code>{escape(run.run_dir)}</code>, "
        f"siamese-mnist {escape(run.versions['siamese_mnist'])}</li>\n"
        for run in runs
    )


def write_pictures(
    runs: Sequence[RunResult], folder: str | Path, form: str, data_dir: str | Path | None = None
) -> Iterator[Path]:
    """Writes the pictures of the page into a folder, one file each, and yields their places.

    Args:
        runs: as from `choose_runs`.
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
