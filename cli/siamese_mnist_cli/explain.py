"""`siamese-mnist explain`: which places of two images made a run say what it says."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from siamese_mnist_cli import options, progress
from siamese_mnist_cli.drawn import checked_picture, write_picture
from siamese_mnist_cli.preparing import chosen_preprocessing, named_override
from siamese_mnist_cli.skipped import located
from siamese_mnist_cli.tables import safe, wide_console


def explain(
    run: Annotated[str, typer.Argument(help="A run's folder, a bundle, or a variant: its newest run in --runs-dir.")],
    left: Annotated[Path, typer.Argument(help="An image file.")],
    right: Annotated[Path, typer.Argument(help="Another one.")],
    output: Annotated[
        Path, typer.Option(help="Picture to write: PNG, or SVG, which follows the reader's light or dark theme.")
    ] = Path("explanation.png"),
    dark: Annotated[bool, typer.Option("--dark", help="Draw a PNG on dark ground.")] = False,
    normalise: options.Normalise = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Explain an answer: maps of both images, signed for same and for different, and a test of what they say.

    The test blanks the places that a map marks, and random ones: where the map is right, the score for the answer falls
    much faster with the marked ones.
    """
    output = checked_picture(output)
    place = located(run, runs_dir)
    with progress.starting():
        from siamese_mnist.inference.verifier import load
        from siamese_mnist.visualisation.pictures import explanation_picture

        verifier = load(place)
    chosen = chosen_preprocessing(verifier, normalise)
    explanation = verifier.explain(*(verifier.read(each, chosen) for each in (left, right)))
    write_picture(explanation_picture(explanation), output, dark=dark)
    if as_json:
        told = {"left": str(left), "right": str(right), "run": str(place), "picture": str(output)}
        print(json.dumps({**told, **named_override(verifier, chosen), **explanation.as_dict()}))
    else:
        _print(explanation, output)


def _print(explanation: Any, output: Path) -> None:
    console = wide_console()
    said = "same" if explanation.same else "different"
    console.print(f"{said}, probability of same {explanation.probability:.4f}")
    console.print(f"score {explanation.score:.4f}, threshold {explanation.threshold:.4f}")
    table = Table("blanked first")
    table.add_column("score for the answer falls by", justify="right")
    deletion = explanation.deletion
    for name, each in deletion.items():
        table.add_row(f"marked by {name}", f"{each.fall:.4f}")
    first = next(iter(deletion.values()))
    table.add_row("random places", f"{first.random_fall:.4f}")
    table.add_row("random inked places", f"{first.random_ink_fall:.4f}")
    console.print(table)
    console.print(f"falls are means over 1 to {100 * first.shares[-1]:.0f} % of the places of both images")
    console.print(f"picture: {safe(output)}")
