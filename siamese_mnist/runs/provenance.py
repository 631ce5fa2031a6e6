"""Where a result comes from: names, versions, sizes, the course of the training."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from siamese_mnist.kinds import ROLES
from siamese_mnist.registry import BUILT_IN, UnknownPartError
from siamese_mnist.settings.registries import REGISTRIES
from siamese_mnist.settings.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from siamese_mnist.training.curve import Curve


def run_name(settings: Settings) -> str:
    """Folder name that tells variant, recipe and seed, and differs for different settings."""
    digest = hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{settings.variant}-{settings.recipe}-s{settings.seed}-{digest}"


class Origin(NamedTuple):
    """Where a part comes from that is not built in."""

    kind: str  # such as "head"
    name: str
    package: str  # distribution and version


def origins(settings: Settings) -> list[Origin]:
    """Parts of other packages that a run is made with."""
    named = {
        "variants": settings.variant,
        "recipes": settings.recipe,
        "designs": settings.design,
        "schedules": settings.protocol.schedule,
        "splits": settings.split,
        "datasets": settings.dataset,
    }
    chosen = [(REGISTRIES[plural], name) for plural, name in named.items()]
    chosen += [(registry, name) for role, registry in ROLES.items() if (name := getattr(settings.parts, role))]
    parts = ((registry.kind, registry.part(name.partition(":")[0])) for registry, name in chosen)
    return [Origin(kind, part.name, part.origin) for kind, part in parts if part.origin != BUILT_IN]


def missing_part(error: UnknownPartError, recorded: Any) -> str:
    """What a run needs that is not there, in words.

    Args:
        error: says which part is unknown.
        recorded: the run's `origins`, as its config.json holds them, or whatever stands there.
    """
    if isinstance(recorded, list):
        for each in recorded:
            if isinstance(each, Mapping) and (each.get("kind"), each.get("name")) == (error.kind, error.name):
                return f"{error.kind} {error.name!r} of {each.get('package')}, which is not installed"
    return f"a part that is not installed: {error}"


def versions(others: Iterable[Origin] = ()) -> dict[str, str]:
    """Versions of what a result depends on: of this library, those below it, and the packages of other parts."""
    packages = ("siamese-mnist", "torch", "pytorch-metric-learning", "scikit-learn", "numpy")
    found = {name: version(name) for name in packages} | dict(each.package.rsplit(" ", 1) for each in others)
    return {"python": platform.python_version(), **{name.replace("-", "_"): number for name, number in found.items()}}


def count_parameters(module: nn.Module) -> int:
    """Numbers in a module as Keras counts them: weights and the moving statistics of batch norm."""
    return sum(tensor.numel() for tensor in module.state_dict().values() if tensor.is_floating_point())


def history(first: Curve, second: Curve) -> Iterator[Sequence[Any]]:
    """Rows of `history.csv`, the header first; a cell is empty where nothing finite was measured."""
    yield "phase", "update", *first._fields
    for phase, curve in ((1, first), (2, second)):
        columns = [column.tolist() for column in curve]
        count = len(columns[0])
        columns = [column or [""] * count for column in columns]
        for update, row in enumerate(zip(*columns, strict=True), start=1):
            yield phase, update, *(each if each == "" or math.isfinite(each) else "" for each in row)


def peak_rss_bytes() -> int | None:
    """Largest resident memory of this process so far, or None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
