"""`siamese-mnist list`: every registered part, its origin, options and a line of what it is."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from siamese_mnist_cli import options
from siamese_mnist_cli.tables import wide_console


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(help="Kind of part, such as variants, losses or datasets.", show_default="all"),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the parts by name, with their options and where they come from."""
    from siamese_mnist.errors import UsageError
    from siamese_mnist.parts.losses import NOT_OFFERED
    from siamese_mnist.registry import options_of
    from siamese_mnist.settings.registries import REGISTRIES

    if kind is not None and kind not in REGISTRIES:
        raise UsageError(f"unknown kind of part {kind!r}; use one of {', '.join(REGISTRIES)}")
    shown = {kind: REGISTRIES[kind]} if kind else REGISTRIES
    found: dict[str, Any] = {
        each: {
            "parts": [
                {
                    "name": part.name,
                    "origin": part.origin,
                    "options": options_of(part.value) if callable(part.value) else {},
                    "summary": part.summary,
                }
                for part in registry.parts()
            ],
            "broken": registry.broken,
        }
        for each, registry in shown.items()
    }
    if "losses" in found:
        found["losses"]["not_offered"] = NOT_OFFERED
    if as_json:
        print(json.dumps(found, default=str))
        return
    console = wide_console()
    for each, content in found.items():
        table = Table(title=each, title_justify="left")
        table.add_column(
            "name", no_wrap=True, min_width=max((len(part["name"]) for part in content["parts"]), default=4)
        )
        for column in ("what it is", "options", "origin"):
            table.add_column(column, overflow="fold")
        for part in content["parts"]:
            settings = ", ".join(f"{name}={value}" for name, value in part["options"].items())
            table.add_row(part["name"], part["summary"], settings, part["origin"])
        console.print(table)
        for name, reason in content["broken"].items():
            console.print(f"not loaded: {name} ({reason})")
        for name, reason in content.get("not_offered", {}).items():
            console.print(f"not offered: {name} ({reason})")
