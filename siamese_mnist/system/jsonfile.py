"""JSON objects that other hands may have written: numbers finite, nesting shallow, nothing guessed."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from siamese_mnist.system.files import read_regular

LARGEST = 1 << 24
"""Bytes of the largest file that is read as JSON."""

_DEEPEST = 20


def read_object(path: Path, limit: int = LARGEST) -> dict[str, Any]:
    """The JSON object that a file holds.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no regular file, too large, or see `parse_object`.
    """
    return parse_object(read_regular(path, limit))


def parse_object(content: bytes) -> dict[str, Any]:
    """The JSON object in a text.

    Raises:
        ValueError: if it is no JSON, no object, nested too deep, or a number in it is not finite.
    """
    try:
        values = json.loads(content.decode(), parse_float=_finite, parse_constant=_refused)
    except RecursionError:
        raise ValueError(f"it is nested more than {_DEEPEST} deep") from None
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    _check_depth(values)
    return values


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refused(text)
    return number


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a finite number")


def _check_depth(values: Any) -> None:
    level = [values]
    for _ in range(_DEEPEST):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    if level:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
