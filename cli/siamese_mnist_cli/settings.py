"""The options of `run` and `compare`, made from the settings themselves."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from siamese_mnist.settings.conditions import Conditions
from siamese_mnist.settings.fields import Field, fields_of
from siamese_mnist.settings.grammar import GROUPS, SETTINGS, parse_texts
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist_cli.completion import names_of
from siamese_mnist_cli.options import with_parameters

_PLACE = "settings"
_KINDS = {
    "recipe": "recipes",
    "dataset": "datasets",
    "split": "splits",
    "schedule": "schedules",
    "backbone": "backbones",
    "head": "heads",
    "loss": "losses",
    "miner": "miners",
}
"""Settings that are names of parts, with the plural of their kind."""


def with_settings(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator that gives a command an option for every setting but those left out.

    The command has a parameter `settings`, which takes those that were given, by the name of the setting.
    """
    fields = {field.option: field for field in SETTINGS.values() if field.name not in left_out}

    added = [_parameter(field) for field in fields.values()]
    return lambda command: with_parameters(command, _PLACE, added, functools.partial(_read, fields))


def _read(fields: Mapping[str, Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given; options of parts are texts, which the settings read by the part's own defaults."""
    return {
        fields[option].name: parse_texts(value) if isinstance(value, list) else value
        for option, value in given.items()
        if value is not None and value != []
    }


def _parameter(field: Field) -> inspect.Parameter:
    name = f"--{field.option.replace('_', '-')}"
    option = typer.Option(
        f"{name}/--no-{name.removeprefix('--')}" if field.kind is bool else name,
        help=field.help,
        show_default=_default(field),
        rich_help_panel=field.panel,
        autocompletion=names_of(_KINDS[field.name]) if field.name in _KINDS else None,
    )
    kind: Any = list[str] if field in GROUPS.values() else field.kind
    return inspect.Parameter(
        field.option, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _default(field: Field) -> str | bool:
    if field.name in fields_of(TrainingProtocol):
        return "recipe's"
    default = getattr(Conditions, field.name, None)
    return False if default is None else str(default)
