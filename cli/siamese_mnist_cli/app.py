"""The commands of `siamese-mnist`."""

import typer

from siamese_mnist_cli import (
    audit,
    bundling,
    compare,
    demo,
    evaluate,
    gallery,
    listing,
    predict,
    report,
    run,
    runs,
    study,
)

app = typer.Typer(
    name="siamese-mnist",
    help="Siamese metric-learning variants on MNIST pairs: train, compare, use.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="run")(run.run)
app.command(name="compare")(compare.compare)
app.command(name="study")(study.study)
app.command(name="runs")(runs.runs)
app.command(name="evaluate")(evaluate.evaluate)
app.command(name="audit")(audit.audit)
app.command(name="report")(report.report)
app.command(name="figures")(report.figures)
app.command(name="predict")(predict.predict)
app.command(name="enrol")(gallery.enrol)
app.command(name="identify")(gallery.identify)
app.command(name="demo")(demo.demo)
app.command(name="bundle")(bundling.bundle)
app.command(name="export")(bundling.export)
app.command(name="list")(listing.list_parts)
