"""Options that several commands share."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from siamese_mnist_cli.completion import names_of

Entry = Annotated[
    str,
    typer.Argument(
        help="Variant, or a variant with changes as `VARIANT:name=value,...`, such as `siamese:loss=triplet`; "
        "`siamese-mnist list variants` names them.",
        autocompletion=names_of("variants"),
    ),
]
Device = Annotated[str, typer.Option(help="PyTorch device.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder with the data set's files.", show_default="user cache")]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing data files.")]
RunsDir = Annotated[Path, typer.Option(help="Folder of all runs.")]
Jobs = Annotated[
    int | None,
    typer.Option(help="Runs trained at once.", min=1, show_default="as many as processors and memory allow"),
]
Engine = Annotated[
    str,
    typer.Option(help="Where runs are trained: `local`, `dask` or `ray`.", metavar="local|dask|ray"),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Address of the cluster, such as `tcp://10.0.0.1:8786`.",
        show_default="the engine's own configuration, else a cluster on this machine",
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TRACKER", help="Give each new run to a tracker, such as `tensorboard` or `mlflow`, when it has ended."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Normalise = Annotated[
    bool | None,
    typer.Option(
        "--normalise/--no-normalise",
        help="Bring images to MNIST's convention: light on dark, 20 x 20, centred by mass; or just resize them.",
        show_default="as the run's training images were prepared",
    ),
]

_POINT = "Operating point"
MaxFmr = Annotated[
    float | None,
    typer.Option(help="Accept at most this share of different pairs.", rich_help_panel=_POINT, show_default=False),
]
Prior = Annotated[
    float | None,
    typer.Option(
        help="Share of same pairs where the answers are used; probabilities and threshold move to it.",
        rich_help_panel=_POINT,
        show_default=False,
    ),
]
CostFalseMatch = Annotated[
    float | None,
    typer.Option(
        help="Cost of a different pair answered same; with the other cost, 1 if not given.",
        rich_help_panel=_POINT,
        show_default=False,
    ),
]
CostFalseNonMatch = Annotated[
    float | None,
    typer.Option(help="Cost of a same pair answered different.", rich_help_panel=_POINT, show_default=False),
]
MaxError = Annotated[
    float | None,
    typer.Option(
        help="Leave pairs unsure so that at most this share of the other answers is wrong.",
        rich_help_panel=_POINT,
        show_default=False,
    ),
]


def folder(runs_dir: Path) -> str:
    """The option for a folder of runs as one types it, nothing for the usual one."""
    return "" if runs_dir == Path("runs") else f" --runs-dir {shlex.quote(str(runs_dir))}"
