"""Imports that wait until they are needed."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """Lets packages that are imported in here have the module `name` without its import, which waits for its first use.

    A stand-in takes its place meanwhile, and fetches the module for whoever asks it for anything. Python's own
    `importlib.util.LazyLoader` loads a module as soon as it is imported a second time.

    Args:
        name: a module in a package that imports its modules when they are asked for, such as `scipy.stats`.
    """
    if name in sys.modules:
        yield
        return

    def away() -> None:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]

    def fetched(attribute: str) -> Any:
        away()
        return getattr(importlib.import_module(name), attribute)

    stand_in = ModuleType(name)
    stand_in.__getattr__ = fetched  # type: ignore[method-assign]
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        away()
