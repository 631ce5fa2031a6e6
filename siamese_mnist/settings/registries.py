"""All registries of parts by the plural of their kind, as `siamese-mnist list` shows them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from siamese_mnist.data import DATASETS, SPLITS
from siamese_mnist.evaluation import METRICS
from siamese_mnist.parts.backbones import BACKBONES
from siamese_mnist.parts.designs import DESIGNS
from siamese_mnist.parts.heads import HEADS
from siamese_mnist.parts.losses import LOSSES, MINERS
from siamese_mnist.registry import Registry
from siamese_mnist.settings.recipes import RECIPES, VARIANTS
from siamese_mnist.settings.schedules import SCHEDULES

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
        )
    }
)
"""Every registry; its key is also the end of its entry-point group."""

ROLES: Mapping[str, Registry[Any]] = MappingProxyType(
    {"backbone": BACKBONES, "head": HEADS, "loss": LOSSES, "miner": MINERS}
)
"""The registry of each part of a model, in the order in which one part decides about the next."""
