"""Settings: what a run trains and how, as frozen values; the named variants and recipes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Registry

Design = Literal["stacked", "siamese"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training protocol.

    Attributes:
        train_pairs: pairs drawn from the training images.
        test_pairs: pairs drawn from the test images.
        same_fraction: share of genuine pairs, in [0, 1].
        pair_seed: seed of all pairs; one for all runs, so that every design sees the same pairs.
        pretrain_epochs: passes over the training images in phase 1; 0 skips it.
        pretrain_batch_size: images per update in phase 1.
        pretrain_learning_rate: Adam's step size in phase 1.
        epochs: passes over the pairs in phase 2.
        batch_size: pairs per update in phase 2.
        learning_rate: Adam's step size in phase 2.
        curve: whether one random batch of test pairs is measured after every update (report, section 3.2.2);
            it decides nothing.
    """

    train_pairs: int = 100_000
    test_pairs: int = 10_000
    same_fraction: float = 0.5
    pair_seed: int = 0
    pretrain_epochs: int = 2
    pretrain_batch_size: int = 64
    pretrain_learning_rate: float = 1e-3
    epochs: int = 2
    batch_size: int = 64
    learning_rate: float = 1e-3
    curve: bool = True

    def __post_init__(self) -> None:
        for name in ("train_pairs", "test_pairs", "pretrain_batch_size", "batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.pretrain_epochs < 0:
            raise UsageError(f"pretrain_epochs must be >= 0, got {self.pretrain_epochs}")
        for name in ("pretrain_learning_rate", "learning_rate"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be > 0, got {getattr(self, name)}")
        if not 0 < self.same_fraction < 1:
            raise UsageError(f"same_fraction must lie between 0 and 1, got {self.same_fraction}")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A design with its parts.

    Attributes:
        design: "stacked" or "siamese".
        backbone: name in `BACKBONES`.
        head: name in `HEADS`, of the same design.
        loss: name in `LOSSES` for heads that train with one.
    """

    design: Design
    backbone: str = "report"
    head: str
    loss: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a run depends on; equal settings on one machine give equal results.

    Attributes:
        variant: name in `VARIANTS` that the parts come from.
        dataset: name in `DATASETS`.
        design: "stacked" or "siamese".
        backbone: name in `BACKBONES`.
        backbone_options: the backbone's options.
        head: name in `HEADS`.
        head_options: the head's options.
        loss: name in `LOSSES`, or None where the head brings its own.
        loss_options: the loss's options.
        recipe_name: name in `RECIPES` that the protocol starts from.
        recipe: the protocol.
        seed: seed of initial values, order and sampling of batches.
    """

    variant: str
    dataset: str = "mnist-tenth"
    design: Design
    backbone: str
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    head: str
    head_options: Mapping[str, Any] = field(default_factory=dict)
    loss: str | None = None
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    recipe_name: str = "report"
    recipe: Recipe
    seed: int = 0

    @classmethod
    def resolve(cls, variant: str, *, recipe: str = "report", **changes: Any) -> Self:
        """Settings of a variant under a recipe, with changes to any field of `Settings` or `Recipe`.

        Args:
            variant: name in `VARIANTS`.
            recipe: name in `RECIPES`.
            **changes: fields by name; None leaves a field as it is.

        Raises:
            UsageError: if a name or a value is unknown or out of range, or a change would have no effect.
        """
        parts: Variant = VARIANTS[variant]
        protocol: Recipe = RECIPES[recipe]
        changes = {name: value for name, value in changes.items() if value is not None}
        known = {each.name for each in dataclasses.fields(Recipe)}
        protocol = dataclasses.replace(
            protocol, **{name: changes.pop(name) for name in known.intersection(changes)}
        )
        unknown = sorted(set(changes) - {each.name for each in dataclasses.fields(cls)})
        if unknown:
            raise UsageError(f"unknown setting {unknown[0]!r}; known: {', '.join(sorted(known))}")
        chosen = {**dataclasses.asdict(parts), **changes}
        return cls(variant=variant, recipe_name=recipe, recipe=protocol, **chosen)

    def parts(self) -> dict[str, Any]:
        """The fields that say which parts a model is made of."""
        names = ("design", "backbone", "backbone_options", "head", "head_options", "loss", "loss_options")
        return {name: getattr(self, name) for name in names}

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings that `as_dict` described.

        Raises:
            UsageError: if a value is missing, unknown or out of range.
        """
        try:
            return cls(**{**values, "recipe": Recipe(**values["recipe"])})
        except (TypeError, KeyError) as error:
            raise UsageError(f"these settings are not of this version of siamese-mnist: {error}") from error


VARIANTS: Registry = Registry("variant", "siamese_mnist.variants")
"""`Variant` objects by name."""

RECIPES: Registry = Registry("recipe", "siamese_mnist.recipes")
"""`Recipe` objects by name."""

VARIANTS.add(
    "baseline",
    Variant(design="stacked", head="classifier"),
    summary="The report's: both images stacked as two channels of its CNN, 2-class head.",
)
VARIANTS.add(
    "siamese",
    Variant(design="siamese", head="distance", loss="contrastive"),
    summary="The report's CNN with shared weights, a learned projection, compared by distance.",
)
RECIPES.add(
    "report",
    Recipe(),
    summary="The report's two phases: 2 epochs of ten classes, 2 epochs of 100,000 pairs on the frozen backbone.",
)
