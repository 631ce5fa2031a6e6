"""A study as one HTML file: what was chosen, how much tuning it took, and how often the test pairs were opened."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Range
from siamese_mnist.studies.outcome import StudyResult, StudyRow
from siamese_mnist.system.files import unfinished
from siamese_mnist.system.templates import render
from siamese_mnist.visualisation.figures import THEME_CSS, budgets, tried
from siamese_mnist.visualisation.html import svg_element
from siamese_mnist.visualisation.pictures import Picture

_AT_ONCE = 5  # entries of a picture beside the first one


def write_page(result: StudyResult, output: str | Path | None = None) -> Path:
    """Writes the page of a study whole or not at all.

    Args:
        result: the study.
        output: the HTML file, by default `study.html` in the study's folder; one that is there is replaced.

    Raises:
        UsageError: if it cannot be written.
    """
    place = Path(result.folder) / "study.html" if output is None else Path(output)
    text = page(result)
    try:
        with unfinished(place) as path:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {place} ({error.strerror or error}); name another place with --output"
        ) from error
    return place


def page(result: StudyResult) -> str:
    """The whole page as text."""
    from markupsafe import Markup

    style = THEME_CSS + files("siamese_mnist.visualisation").joinpath("report.css").read_text(encoding="utf-8")
    return render(
        "siamese_mnist.studies",
        "study.html",
        style=Markup(style),
        result=result,
        pictures=list(_pictures(result)),
        svg=svg_element,
    )


def _pictures(result: StudyResult) -> Iterator[Picture]:
    groups = list(_groups(result.rows))
    for number, rows in enumerate(groups, start=1):
        part = f", part {number} of {len(groups)}" if len(groups) > 1 else ""
        yield Picture(
            f"budget-{number}",
            f"Accuracy against tuning budget{part}",
            "Expected best validation accuracy of so many trials in random order; shaded: 95 % bootstrap interval over "
            "the trials. Where lines cross, the ranking depends on how much was tuned.",
            "Expected best of all trials: " + "; ".join(f"{row.entry} {row.budget[-1].mean:.4f}" for row in rows) + ".",
            budgets({row.entry: [(each.mean, each.interval) for each in row.budget] for row in rows}),
        )
    for name in dict.fromkeys(name for row in result.rows for name in row.space):
        tuned = [row for row in result.rows if name in row.space]
        for number, rows in enumerate(_groups(tuned), start=1):
            points = {row.entry: [(each.values[name], each.accuracy) for each in row.trials] for row in rows}
            if not any(accuracy is not None for each in points.values() for _, accuracy in each):
                continue
            yield Picture(
                f"{name.replace('.', '-')}-{number}",
                f"Validation accuracy against {name}",
                "A mark a trial; crosses at the lower edge failed. A best trial at the edge of the range says that the "
                "range is too narrow.",
                "; ".join(_best_at(row, name) for row in rows) + ".",
                tried(points, name, log=_joint(row.space[name] for row in rows).log),
            )


def _joint(ranges: Iterable[Range]) -> Range:
    """The least range that holds all, which one axis has to show."""
    ends = [(each.low, each.high) for each in ranges]
    return Range(min(low for low, _ in ends), max(high for _, high in ends))


def _groups(rows: Sequence[StudyRow]) -> Iterator[list[StudyRow]]:
    """Rows a picture each, with the first one in all."""
    others = rows[1:]
    for start in range(0, max(1, len(others)), _AT_ONCE):
        yield [rows[0], *others[start : start + _AT_ONCE]]


def _best_at(row: StudyRow, name: str) -> str:
    if row.best is None:
        return f"{row.entry}: all trials failed"
    return f"{row.entry}: best at {row.best.values[name]:g}, tried in {row.space[name]}"
