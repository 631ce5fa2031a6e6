"""`siamese-mnist bundle` and `siamese-mnist export`: a run to take to another program."""

import json
from pathlib import Path
from typing import Annotated

import typer

from siamese_mnist_cli import options, progress
from siamese_mnist_cli.skipped import located
from siamese_mnist_cli.tables import safe

Run = Annotated[str, typer.Argument(help="A run's folder, or a variant: its newest run in --runs-dir.")]
AnyRun = Annotated[str, typer.Argument(help="A run's folder, a bundle, or a variant: its newest run in --runs-dir.")]


def bundle(
    run: Run,
    out: Annotated[Path, typer.Argument(help="Where to write: a zip file if it ends in .zip, else a folder.")],
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Write a run as one portable bundle: weights, settings, threshold, calibration, model card and checksums."""
    place = located(run, runs_dir)
    with progress.starting():
        from siamese_mnist.inference.verifier import load
        from siamese_mnist.runs.bundle import write_bundle

        written = write_bundle(place, out)
        load(written)
    print(json.dumps({"run": str(place), "bundle": str(written)}) if as_json else safe(written))


def export(
    run: AnyRun,
    format: Annotated[str, typer.Option(help="File format: onnx.")] = "onnx",
    output: Annotated[
        Path | None, typer.Option(help="Folder for the files, new.", show_default="NAME-onnx, after the run")
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Write a run's network for other programs: embedder and pair scorer as ONNX, for any number of images."""
    from siamese_mnist.errors import UsageError

    if format != "onnx":
        raise UsageError(f"unknown format {format!r}; use onnx")
    place = located(run, runs_dir)
    with progress.starting():
        from siamese_mnist.inference.onnx import export_onnx
        from siamese_mnist.inference.verifier import load

        files = export_onnx(load(place), output or Path(f"{place.resolve().stem}-onnx"))
    if as_json:
        print(json.dumps({"run": str(place), "files": [str(file) for file in files]}))
    else:
        print(*map(safe, files), sep="\n")
