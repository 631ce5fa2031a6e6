"""`siamese-mnist bundle` and `siamese-mnist export`: a run to take to another program."""

import json
from pathlib import Path
from typing import Annotated

import typer

from siamese_mnist_cli import options, progress
from siamese_mnist_cli.skipped import located
from siamese_mnist_cli.tables import safe, tell

Run = Annotated[str, typer.Argument(help="A run's folder, or a variant: its newest run in --runs-dir.")]
AnyRun = Annotated[str, typer.Argument(help="A run's folder, a bundle, or a variant: its newest run in --runs-dir.")]


def bundle(
    run: Run,
    out: Annotated[Path, typer.Argument(help="Where to write: a zip file if it ends in .zip, else a folder.")],
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Folder CLASS/*.png of images that were not trained on: threshold, probabilities and operating points "
            "of them, from all their pairs.",
            show_default="as the run's own",
        ),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Write a run as one portable bundle: weights, settings, threshold, calibration, model card and checksums."""
    place, calibrated, told = located(run, runs_dir), None, {}
    with progress.starting():
        from siamese_mnist.inference.pictures import labelled_pictures
        from siamese_mnist.inference.verifier import load
        from siamese_mnist.runs.bundle import Calibrated, write_bundle

        if calibration is not None:
            own = load(place)
            images = labelled_pictures(own, calibration)
            fitted = own.calibrated(images)
            assert fitted.calibration is not None
            assert fitted.calibration.tail is not None
            calibrated = Calibrated(fitted.decision, fitted.calibration)
            told = {
                "folder": str(calibration),
                "images": len(images.labels),
                "impostor_pairs": fitted.calibration.tail.pairs,
            }
        written = write_bundle(place, out, calibrated)
        load(written)
    if told:
        tell(f"calibrated on {told['images']:,} images, {told['impostor_pairs']:,} impostor pairs")
    more = {"calibration": told} if told else {}
    print(json.dumps({"run": str(place), "bundle": str(written), **more}) if as_json else safe(written))


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
