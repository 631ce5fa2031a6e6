"""Settings as fields of frozen dataclasses that say themselves what they take: one place for type, range and help.

Commands, entries, checks and the command reference are all made from these fields, so a new one appears everywhere.
"""

import dataclasses
import math
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Range

_NOUNS: Mapping[Any, str] = MappingProxyType(
    {int: "a whole number", float: "a number", bool: "true or false", str: "text", Mapping: "names with values"}
)


_READ: dict[type, Mapping[str, "Field"]] = {}  # what `fields_of` has read already


@dataclass(frozen=True, kw_only=True)
class Field:
    """What one setting takes.

    Attributes:
        name: of the field and of the Python keyword.
        kind: type of a value: int, float, bool, str, Mapping, or a dataclass of numbers.
        optional: whether None is a value too.
        choices: the words that it takes; none for any.
        help: what it sets, for `--help` and the command reference.
        panel: heading that its option stands below.
        option: its name on the command line and in entries, with "_" for "-".
        at_least, above, at_most, below: its bounds; None where there is none.
        added: whether runs of version 0.1.0 lack it; they had its default.
        space: what a study chooses among unless told otherwise; None leaves the setting as it is.
    """

    name: str
    kind: Any
    optional: bool
    choices: tuple[str, ...]
    help: str
    panel: str
    option: str
    at_least: float | None
    above: float | None
    at_most: float | None
    below: float | None
    added: bool
    space: Range | None

    def checked(self, value: Any) -> Any:
        """`value` as the setting's own type.

        Raises:
            UsageError: if it is of another type, no known word, or out of range.
        """
        if value is None and self.optional:
            return None
        value = self._typed(value)
        if self.choices and value not in self.choices:
            raise UsageError(f"unknown {self.name} {value!r}; use one of {', '.join(self.choices)}")
        if self.kind in (int, float):
            self._check_range(value)
        return value

    def _typed(self, value: Any) -> Any:
        is_bool = isinstance(value, bool)
        if self.kind is int and isinstance(value, Integral) and not is_bool:
            return int(value)
        if self.kind is float and isinstance(value, Real) and not is_bool:
            return float(value)
        if self.kind in (bool, str, Mapping) and isinstance(value, self.kind):
            return dict(value) if self.kind is Mapping else value
        if self.kind not in _NOUNS and isinstance(value, self.kind):
            return value
        raise UsageError(f"{self.name} must be {_NOUNS.get(self.kind, self.kind.__name__)}, got {value!r}")

    def _check_range(self, value: float) -> None:
        bounds = {
            ">=": (operator.ge, self.at_least),
            ">": (operator.gt, self.above),
            "<=": (operator.le, self.at_most),
            "<": (operator.lt, self.below),
        }
        given = [(sign, holds, bound) for sign, (holds, bound) in bounds.items() if bound is not None]
        if not all(holds(value, bound) for _, holds, bound in given):
            wanted = " and ".join(f"{sign} {bound}" for sign, _, bound in given)
            raise UsageError(f"{self.name} must be {wanted}, got {value}")
        if not math.isfinite(value):
            raise UsageError(f"{self.name} must be finite, got {value}")


def setting(
    default: Any,
    help: str,
    *,
    panel: str,
    option: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    added: bool = False,
    space: Range | None = None,
) -> Any:
    """A dataclass field that is a setting; see `Field`. A class as `default` makes a new default each time."""
    metadata = {
        "help": help,
        "panel": panel,
        "option": option,
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
        "below": below,
        "added": added,
        "space": space,
    }
    if isinstance(default, type):
        return dataclasses.field(default_factory=default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def fields_of(owner: type) -> Mapping[str, Field]:
    """The settings among a dataclass's fields, by name."""
    if owner not in _READ:
        _READ[owner] = MappingProxyType(dict(_read_fields(owner)))
    return _READ[owner]


def check_fields(owner: Any) -> None:
    """Checks every setting of a frozen dataclass and brings it to its own type; for `__post_init__`.

    Raises:
        UsageError: see `Field.checked`.
    """
    for name, field in fields_of(type(owner)).items():
        object.__setattr__(owner, name, field.checked(getattr(owner, name)))


def _read_fields(owner: Any) -> Iterator[tuple[str, Field]]:
    hints = get_type_hints(owner)
    for field in dataclasses.fields(owner):
        if "help" in field.metadata:
            kind, optional, choices = _read_hint(hints[field.name])
            metadata = {**field.metadata, "option": field.metadata["option"] or field.name}
            yield field.name, Field(name=field.name, kind=kind, optional=optional, choices=choices, **metadata)


def _read_hint(hint: Any) -> tuple[Any, bool, tuple[str, ...]]:
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    (kind,) = (each for each in members if each is not NoneType)
    optional = len(members) > 1
    if get_origin(kind) is Literal:
        return str, optional, get_args(kind)
    origin = get_origin(kind)
    return (Mapping if origin is not None and issubclass(origin, Mapping) else kind), optional, ()
