"""The commands of `siamese-mnist`."""

from importlib.metadata import version
from typing import Annotated

import typer

from siamese_mnist_cli import (
    audit,
    bundling,
    compare,
    demo,
    evaluate,
    explain,
    gallery,
    listing,
    predict,
    report,
    run,
    runs,
    stress,
    study,
)

app = typer.Typer(
    name="siamese-mnist",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def program(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Siamese metric-learning variants on MNIST pairs: train, compare, use."""
    if show_version:
        print(f"siamese-mnist {version('siamese-mnist')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command(name="run")(run.run)
app.command(name="compare")(compare.compare)
app.command(name="study")(study.study)
app.command(name="runs")(runs.runs)
app.command(name="stress")(stress.stress)
app.command(name="evaluate")(evaluate.evaluate)
app.command(name="audit")(audit.audit)
app.command(name="report")(report.report)
app.command(name="figures")(report.figures)
app.command(name="predict")(predict.predict)
app.command(name="explain")(explain.explain)
app.command(name="enrol")(gallery.enrol)
app.command(name="identify")(gallery.identify)
app.command(name="demo")(demo.demo)
app.command(name="bundle")(bundling.bundle)
app.command(name="export")(bundling.export)
app.command(name="list")(listing.list_parts)
