"""The grammar of settings: `VARIANT` or `VARIANT:name=value,...`, and every name that it knows.

A name is a setting, such as `loss` or `batch_size`, or an option of a part, a data set or a distortion, such as
`backbone.blocks`, `dataset.size` or `augment.rotate`. A value with a comma or a quote is written as a JSON string.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import parse_options
from siamese_mnist.settings.conditions import Conditions
from siamese_mnist.settings.fields import Field, fields_of
from siamese_mnist.settings.parts import Parts
from siamese_mnist.settings.protocol import TrainingProtocol

SETTINGS: Mapping[str, Field] = MappingProxyType(
    {name: field for owner in (Conditions, Parts, TrainingProtocol) for name, field in fields_of(owner).items()}
)
"""Every setting by its name in Python."""

GROUPS: Mapping[str, Field] = MappingProxyType(
    {
        field.option.removesuffix("_arg"): field
        for field in SETTINGS.values()
        if field.kind not in (int, float, bool, str)
    }
)
"""Settings that are names with values, by what stands before the dot: "backbone" in `backbone.blocks`."""

_STRING = r'"(?:\\.|[^"\\])*"'
_ITEM = re.compile(rf'(?:{_STRING}|\[(?:{_STRING}|[^"\]])*\]|[^,"\[])+')
_PLAIN = re.compile(r"[\w.:/ @+-]+")
_BOOLS: Mapping[str, bool] = MappingProxyType(
    {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
)


class Text(str):
    """A value as somebody wrote it, not yet read as the type of its setting."""

    __slots__ = ()


def find_setting(name: str) -> Field:
    """The setting of a name, "-" and "_" alike, or of its short form on the command line.

    Raises:
        UsageError: if there is none; the message suggests the nearest.
    """
    plain = name.replace("-", "_")
    for field in SETTINGS.values():
        if plain in (field.name, field.option):
            return field
    near = difflib.get_close_matches(plain, SETTINGS, n=1)
    raise UsageError(f"unknown setting {name!r}{f'; did you mean {near[0]!r}?' if near else ''}")


def parse_entry(entry: str) -> tuple[str, dict[str, Any]]:
    """An entry's variant, and its changes by the name of the setting, their values still texts.

    Raises:
        UsageError: if it is not of the grammar, or names something unknown, or something twice.
    """
    if not isinstance(entry, str):
        raise UsageError(f"a variant is named by text, such as 'siamese' or 'siamese:loss=triplet', got {entry!r}")
    variant, _, rest = entry.partition(":")
    changes: dict[str, Any] = {}
    for name, value in _items(entry, rest):
        owner, dot, option = name.partition(".")
        if not dot:
            field = find_setting(name)
            if field in GROUPS.values():
                prefix = next(prefix for prefix, group in GROUPS.items() if group == field)
                raise UsageError(f"{entry!r} names {name} as a whole; write {prefix}.NAME=VALUE")
            target, key = changes, field.name
        elif owner in GROUPS:
            target, key = changes.setdefault(GROUPS[owner].name, {}), option
        else:
            raise UsageError(f"{entry!r} names {name}; only {', '.join(GROUPS)} have options")
        if key in target:
            raise UsageError(f"{entry!r} names {name} twice; name it once")
        target[key] = value
    return variant, changes


def changed_entry(entry: str, values: Mapping[str, Any]) -> str:
    """An entry with other values.

    Args:
        entry: `VARIANT` or `VARIANT:name=value,...`.
        values: by name in an entry, such as "learning_rate" or "loss.margin".

    Raises:
        UsageError: see `parse_entry`.

    Example:
        >>> changed_entry("siamese:loss=triplet,epochs=1", {"epochs": 2, "loss.margin": 0.1})
        'siamese:loss=triplet,epochs=2,loss.margin=0.1'
    """
    variant, own = parse_entry(entry)
    prefixes = {field.name: prefix for prefix, field in GROUPS.items()}
    texts: dict[str, str] = {}
    for name, value in own.items():
        options = (
            {f"{prefixes[name]}.{key}": text for key, text in value.items()} if name in prefixes else {name: value}
        )
        texts |= options
    texts |= {name: write_value(value) for name, value in values.items()}
    return ":".join([variant, ",".join(f"{name}={text}" for name, text in texts.items())]).rstrip(":")


def parse_texts(texts: Sequence[str]) -> dict[str, Text]:
    """Options written as "name=value", their values still texts.

    Raises:
        UsageError: if one has no "=" or no name.
    """
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"options are written name=value, got {text!r}")
        options[name.replace("-", "_")] = Text(value)
    return options


def _items(entry: str, rest: str) -> Iterator[tuple[str, Text]]:
    end = 0
    for found in _ITEM.finditer(rest):
        if rest[end : found.start()].strip(","):
            break
        end = found.end()
        yield from parse_texts([found.group()]).items()
    if rest[end:].strip(","):
        raise UsageError(f'{entry!r} has a " or [ without its other end')


def read_value(field: Field, value: Any) -> Any:
    """A setting's value, read if it is a text, and checked.

    Raises:
        UsageError: see `Field.checked`.
    """
    if not isinstance(value, Text):
        return field.checked(value)
    if field.optional and value.lower() == "none":
        return None
    readers: Mapping[Any, Callable[[str], Any]] = {int: int, float: float, bool: lambda text: _BOOLS[text.lower()]}
    if field.kind not in readers:
        return field.checked(_unquoted(value))
    try:
        read = readers[field.kind](value)
    except (ValueError, KeyError):
        read = str(value)  # the check says what it should have been
    return field.checked(read)


def read_option(name: str, value: Any, default: Any) -> Any:
    """An option's value, read as the type of its default if it is a text.

    Raises:
        UsageError: if it is of another type than the default.
    """
    if isinstance(value, Text):
        quoted = value.startswith(('"', "["))
        return _unquoted(value) if quoted else parse_options([f"{name}={value}"], {name: default})[name]
    kinds: tuple[tuple[Any, Any, str], ...] = (
        (bool, bool, "true or false"),
        (int | float, int | float, "a number"),
        (str, str, "text"),
    )
    for kind, wanted, noun in kinds:
        if isinstance(default, kind):
            fits = isinstance(value, wanted) and isinstance(value, bool) == isinstance(default, bool)
            if value is not None and not fits:
                raise UsageError(f"option {name} must be {noun}, got {value!r}")
            break
    return value


def write_value(value: Any) -> str:
    """A value as an entry has it; reading it gives the value again."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _reads_otherwise(value):
        return value
    return json.dumps(value)


def _unquoted(text: str) -> Any:
    if not text.startswith(('"', "[")):
        return str(text)
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{text} is no JSON ({error})") from error


def _reads_otherwise(text: str) -> bool:
    """Whether an unquoted text could be taken for a number, a truth value or nothing."""
    try:
        float(text)
    except ValueError:
        return text.lower() in {"none", "true", "false"}
    return True
