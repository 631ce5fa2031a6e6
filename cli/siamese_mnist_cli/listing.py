"""`siamese-mnist list`: every registered part, its origin, options and a line of what it is."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from siamese_mnist_cli import options
from siamese_mnist_cli.completion import kinds
from siamese_mnist_cli.tables import safe, wide_console


def list_parts(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="Kind of part, such as variants, losses or datasets.", show_default="all", autocompletion=kinds
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the parts by name, with their options and where they come from."""
    from siamese_mnist.errors import UsageError
    from siamese_mnist.settings.registries import REGISTRIES

    if kind is not None and kind not in REGISTRIES:
        raise UsageError(f"unknown kind of part {kind!r}; use one of {', '.join(REGISTRIES)}")
    found = {each: _content(each, registry) for each, registry in REGISTRIES.items() if kind in (None, each)}
    if as_json:
        print(json.dumps(found, default=str))
        return
    console = wide_console()
    for each, content in found.items():
        if kind is None:
            console.print(f"{each}\n" if console.is_terminal else each)
        _print_parts(content["parts"], console)
        for name, reason in content["broken"].items():
            console.print(f"not loaded: {name} ({reason})", soft_wrap=not console.is_terminal)
        for name, reason in content.get("not_offered", {}).items():
            console.print(f"not offered: {name} ({reason})", soft_wrap=not console.is_terminal)


def _content(kind: str, registry: Any) -> dict[str, Any]:
    from siamese_mnist.registry import options_of

    content: dict[str, Any] = {
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
    if kind == "losses":
        from siamese_mnist.parts.losses import NOT_OFFERED

        content["not_offered"] = NOT_OFFERED
    return content


def _print_parts(parts: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A name and what it is side by side in a terminal, with the options below; one line a part elsewhere."""
    width = max((len(part["name"]) for part in parts), default=0)
    grid = Table.grid(padding=(0, 2, 1, 0))
    grid.add_column(no_wrap=True, min_width=width, style="bold")
    grid.add_column(overflow="fold")
    for part in parts:
        options = ", ".join(f"{name}={value}" for name, value in part["options"].items())
        texts = [part["summary"], f"options: {options}" if options else "", _origin(part["origin"])]
        texts = [safe(text) for text in texts if text]
        grid.add_row(safe(part["name"]), "\n".join(texts))
        if not console.is_terminal:
            console.print("  ".join([f"{part['name']:<{width}}", *texts]), soft_wrap=True)
    if console.is_terminal:
        console.print(grid)


def _origin(origin: str) -> str:
    from siamese_mnist.registry import BUILT_IN

    return "" if origin == BUILT_IN else f"from {origin}"
