"""Old module names, which still import: the same module as under its new name, with a DeprecationWarning."""

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any

_ROOMS = {
    "data": "augmentation normalisation pairs",
    "evaluation": "bootstrap intervals scored scorefile",
    "inference": "estimator onnx prediction verifier",
    "parts": "backbones heads losses",
    "runs": "bundle comparison experiment jobs model_card",
    "settings": "entries protocol recipes",
    "system": "files machine",
    "training": "adam batches",
    "visualisation": "figures",
}
_RENAMED = {
    "gallery": "visualisation.pictures",
    "models": "parts.designs",
    "parallel": "system.threads",
    "report": "visualisation.html",
}
_NEW_NAMES = {name: f"{room}.{name}" for room, names in _ROOMS.items() for name in names.split()} | _RENAMED
MOVED = MappingProxyType({f"siamese_mnist.{old}": f"siamese_mnist.{new}" for old, new in _NEW_NAMES.items()})
"""New names of modules by their old ones; what lies inside a package moved with it."""


class _Finder(MetaPathFinder, Loader):
    """Finds a moved module under its old name."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if _new_name(fullname) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = _new_name(spec.name)
        assert new is not None
        warnings.warn(f"{spec.name} has moved to {new}; import it from there", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self._specs[new] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._specs[module.__name__]  # importlib put the old name's in its place


def _new_name(old: str) -> str | None:
    root, _, inner = old.partition(".")
    package, _, name = inner.partition(".")
    new = MOVED.get(f"{root}.{package}")
    return f"{new}.{name}" if new and name else new


def forwarded(package: str, module: str, names: str) -> Callable[[str], Any]:
    """A `__getattr__` for a package that was a module: its former names, out of the module that has them now.

    Args:
        package: such as "siamese_mnist.runs".
        module: the module within it.
        names: what is forwarded, with blanks between.
    """

    def get(name: str) -> Any:
        if name not in names.split():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        new = f"{package}.{module}"
        warnings.warn(f"{package}.{name} has moved to {new}; import it from there", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(new), name)

    return get


def install() -> None:
    """Lets old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        # First, as a module inside a moved package would be found there and executed a second time.
        sys.meta_path.insert(0, _Finder())
