"""Text of other hands, safe to show."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def printable(text: str) -> str:
    r"""A text without control characters or halves of letters: these are written as escapes, such as `\x1b`."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode() for letter in text
    )


def unprintable(values: Any, place: str = "") -> Iterator[str]:
    """Places of texts, names included, within JSON values that cannot be shown as they are, such as "test.name"."""
    if isinstance(values, str):
        if not values.isprintable():
            yield place
        return
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(values, Mapping):
        items = values.items()
    elif isinstance(values, list | tuple):
        items = enumerate(values)
    for name, value in items:
        inner = f"{place}.{name}".lstrip(".")
        if not str(name).isprintable():
            yield printable(inner)
        yield from unprintable(value, inner)
