"""All registries of parts by the plural of their kind, as `siamese-mnist list` shows them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from siamese_mnist.kinds import BACKBONES, DATASETS, DESIGNS, HEADS, LOSSES, METRICS, MINERS, SPLITS
from siamese_mnist.registry import Registry
from siamese_mnist.settings.recipes import RECIPES, VARIANTS
from siamese_mnist.settings.schedules import SCHEDULES
from siamese_mnist.tracking import TRACKERS

REGISTRIES: Mapping[str, Registry[Any]] = MappingProxyType(
    {
        registry.group.rpartition(".")[2]: registry
        for registry in (
            VARIANTS,
            RECIPES,
            DESIGNS,
            BACKBONES,
            HEADS,
            LOSSES,
            MINERS,
            SCHEDULES,
            METRICS,
            SPLITS,
            DATASETS,
            TRACKERS,
        )
    }
)
"""Every registry; its key is also the end of its entry-point group."""
