"""Options that several commands share."""

import functools
import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_type_hints

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
_WISHES = {
    "max_fmr": "Accept at most this share of different pairs.",
    "prior": "Share of same pairs where the answers are used; probabilities and threshold move to it.",
    "cost_false_match": "Cost of a different pair answered same; with the other cost, 1 if not given.",
    "cost_false_non_match": "Cost of a same pair answered different.",
    "max_error": "Leave pairs unsure so that at most this share of the other answers is wrong.",
}


def with_operating_point(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of an operating point; its parameter `wish` takes those that were given."""
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                float | None,
                typer.Option(f"--{name.replace('_', '-')}", help=told, rich_help_panel=_POINT, show_default=False),
            ],
        )
        for name, told in _WISHES.items()
    ]
    return with_parameters(command, "wish", added, _given)


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def with_parameters(
    command: Callable[..., None],
    place: str,
    added: Sequence[inspect.Parameter],
    read: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> Callable[..., None]:
    """A command with further options, which it takes together, as `read` makes them, in the parameter `place`."""

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        values = {each.name: given.pop(each.name) for each in added}
        command(**given, **{place: read(values)})

    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    own = [each.replace(annotation=hints[name]) for name, each in signature.parameters.items() if name != place]
    keyword = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *added)]
    wrapper.__signature__ = signature.replace(parameters=keyword)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {each.name: each.annotation for each in keyword} | {"return": None}
    return wrapper


def folder(runs_dir: Path) -> str:
    """The option for a folder of runs as one types it, nothing for the usual one."""
    return "" if runs_dir == Path("runs") else f" --runs-dir {shlex.quote(str(runs_dir))}"
