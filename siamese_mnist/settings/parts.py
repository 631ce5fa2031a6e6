"""The parts of a model by name, as a frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siamese_mnist.settings.fields import check_fields, setting

_PANEL = "Parts"


def _part(role: str) -> Any:
    return setting(None, f"{role.capitalize()} in place of the variant's or the recipe's.", panel=_PANEL)


def _options(role: str) -> Any:
    return setting(dict, f"Option of the {role}, as name=value.", panel=_PANEL, option=f"{role}_arg")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a model by name, with their options.

    None leaves a part to the recipe, or to nothing where none is needed: a loss for heads that train with one, a miner
    for losses that take one.
    """

    backbone: str | None = _part("backbone")
    backbone_options: Mapping[str, Any] = _options("backbone")
    head: str | None = _part("head")
    head_options: Mapping[str, Any] = _options("head")
    loss: str | None = _part("loss")
    loss_options: Mapping[str, Any] = _options("loss")
    miner: str | None = _part("miner")
    miner_options: Mapping[str, Any] = _options("miner")

    def __post_init__(self) -> None:
        check_fields(self)
