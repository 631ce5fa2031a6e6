"""`siamese-mnist evaluate`: figures and intervals for a file of scores, from any model."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from siamese_mnist_cli import options
from siamese_mnist_cli.tables import wide_console


@options.with_operating_point
def evaluate(
    wish: dict[str, float],
    file: Annotated[Path, typer.Argument(help="CSV, .csv.gz or Parquet with the columns left, right, same, score.")],
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a pair counts as same, fitted elsewhere.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Score file of other pairs; threshold and probability are fitted on it.")
    ] = None,
    fit_on_test: Annotated[
        bool, typer.Option("--fit-on-test", help="Fit them on the evaluated rows; the figures are then too good.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Evaluate the scores of any model: every figure with a 95 % interval that knows that pairs share images.

    Without a threshold, only the figures that need none are given.
    """
    from siamese_mnist.evaluation.scored import evaluate_file

    result = evaluate_file(file, threshold=threshold, calibration=calibration, fit_on_test=fit_on_test, **wish)
    if as_json:
        print(json.dumps(result))
    else:
        _print_table(result)


def _print_table(result: Mapping[str, Any]) -> None:
    console = wide_console()
    groups = f" of {result['groups']:,} groups" if result["groups"] else ""
    console.print(f"{result['pairs']:,} pairs of {result['images']:,} images{groups}: {result['file']}")
    table = Table("figure")
    table.add_column("value", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, value, interval in _rows(result):
        table.add_row(name, value, interval)
    console.print(table)
    if "confusion_matrix" in result:
        (rejected, false_match), (missed, accepted) = result["confusion_matrix"]
        console.print(
            f"different pairs: {rejected:,} right, {false_match:,} wrong; same pairs: {accepted:,} right, "
            f"{missed:,} wrong",
        )
    console.print(_threshold_line(result))
    if "operating_point" in result:
        _print_point(console, result["operating_point"])


def _print_point(console: Any, point: Mapping[str, Any]) -> None:
    """An operating point: what its calibration pairs let one expect, beside what the evaluated pairs show."""
    shown = point["measured"]
    table = Table(f"operating point, threshold {point['threshold']:.6g}")
    table.add_column("expected", justify="right")
    table.add_column("measured", justify="right")
    for name in ("false_match_rate", "true_match_rate"):
        cells = ("{:.4g} ({:.4g} to {:.4g})".format(each[name], *each[f"{name}_interval"]) for each in (point, shown))
        table.add_row(name.replace("_", " "), *cells)
    table.add_row("Bayes cost (best possible)", "-", f"{shown['bayes_cost']:.4f} ({shown['minimum_bayes_cost']:.4f})")
    if point["band"]:
        band, rate = point["band"], shown["error_rate"]
        table.add_row("share unsure", f"{band['unsure_share']:.4f}", f"{shown['unsure_share']:.4f}")
        bound = f"{band['error_rate']:.4g}, at most {band['max_error']:g}"
        told = "-" if rate is None else "{:.4g} ({:.4g} to {:.4g})".format(rate, *shown["error_rate_interval"])
        table.add_row("errors among answered", bound, told)
    console.print(table)
    for remark in point["remarks"]:
        console.print(remark, markup=False)


def _threshold_line(result: Mapping[str, Any]) -> str:
    if result["threshold"] is None:
        return (
            "no threshold, so only figures that need none; "
            "for the others give --threshold, --calibration or --fit-on-test"
        )
    text = f"threshold {result['threshold']:.6g}"
    if result["calibration"] is not None:
        overlap = result["calibration_overlap"]
        shared = f"{text}, fitted on {result['calibration']}, which shares {overlap['images']:,} images"
        if overlap["pairs"]:
            return f"{shared} and {overlap['pairs']:,} pairs: IN PART FITTED ON EVALUATED PAIRS, figures are too good"
        return f"{shared} and no pair with the evaluated file"
    if result["threshold_fitted_on_test"]:
        return f"{text}, FITTED ON THE EVALUATED ROWS: figures at the threshold are too good"
    return f"{text} as given; figures of probabilities need --calibration"


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Title, figure and interval of every metric that was evaluated."""
    from siamese_mnist.evaluation import METRICS

    for name in METRICS:
        group, _, last = name.rpartition("/")
        values = result.get(group, {}) if group else result
        if last in values:
            metric, interval = METRICS[name], values.get(f"{last}_interval")
            between = " to ".join(map(metric.text, interval)) if interval else "-"
            yield metric.title, metric.text(values[last]), between
