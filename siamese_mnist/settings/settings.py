"""All that a run depends on, in one frozen value."""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from siamese_mnist.data.augmentation import Augmentation
from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads import HEADS
from siamese_mnist.settings.protocol import SEEDS, TrainingProtocol
from siamese_mnist.settings.recipes import RECIPES, VARIANTS, Parts, Recipe, Variant


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a run depends on; equal settings on one machine give equal results.

    Attributes:
        variant: name in `VARIANTS`.
        recipe: name in `RECIPES`.
        dataset: name in `DATASETS`.
        seed: seed of initial values, order and sampling of batches.
        design: name in `DESIGNS`.
        parts: the model's parts, none left open.
        protocol: how they are trained.
    """

    variant: str
    recipe: str
    dataset: str
    seed: int
    design: str
    parts: Parts
    protocol: TrainingProtocol

    @classmethod
    def resolve(
        cls, variant: str, *, recipe: str = "report", dataset: str = "mnist-tenth", seed: int = 0, **changes: Any
    ) -> Self:
        """Settings of a variant under a recipe, with changes to any field of `Parts` or `TrainingProtocol`.

        A part is the one that `changes` name, else the variant's, else the recipe's. Options go with their part.

        Args:
            variant: name in `VARIANTS`.
            recipe: name in `RECIPES`.
            dataset: name in `DATASETS`.
            seed: seed of initial values, order and sampling of batches, >= 0.
            **changes: fields by name; None leaves a field as it is.

        Raises:
            UsageError: if a name or a value is unknown or out of range, or a change would have no effect.
        """
        if not 0 <= seed < SEEDS:
            raise UsageError(f"seed must lie in 0..{SEEDS - 1}, got {seed}")
        kind: Variant = VARIANTS[variant]
        base: Recipe = RECIPES[recipe]
        if base.designs and kind.design not in base.designs:
            raise UsageError(
                f"recipe {recipe!r} is for {' and '.join(base.designs)} designs; {variant!r} is {kind.design}"
            )
        changes = {name: value for name, value in changes.items() if value is not None}
        names = [each.name for each in dataclasses.fields(TrainingProtocol)]
        protocol = dataclasses.replace(base.protocol, **{name: changes.pop(name) for name in names if name in changes})
        part_names = [each.name for each in dataclasses.fields(Parts)]
        for name in changes:
            if name not in part_names:
                near = difflib.get_close_matches(name, [*names, *part_names], n=1)
                raise UsageError(f"unknown setting {name!r}{f'; did you mean {near[0]!r}?' if near else ''}")
        parts = _chosen(kind, base, changes)
        for role in ("backbone", "head"):
            if getattr(parts, role) is None:
                raise UsageError(f"neither variant {variant!r} nor recipe {recipe!r} has a {role}; name one")
        return cls(
            variant=variant,
            recipe=recipe,
            dataset=dataset,
            seed=seed,
            design=kind.design,
            parts=parts,
            protocol=protocol,
        )

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
            protocol = dict(values["protocol"])
            protocol["augmentation"] = Augmentation(**protocol["augmentation"])
            return cls(**{**values, "parts": Parts(**values["parts"]), "protocol": TrainingProtocol(**protocol)})
        except (TypeError, KeyError) as error:
            raise UsageError(f"these settings are not of this version of siamese-mnist: {error}") from error


def _chosen(kind: Variant, base: Recipe, changes: Mapping[str, Any]) -> Parts:
    """Parts and options of the first of changes, variant and recipe that names the part."""
    chosen: dict[str, Any] = {}
    for role in ("backbone", "head", "loss", "miner"):
        for source in (kind.parts, base.parts):
            name = getattr(source, role)
            if name is None or (role in ("loss", "miner") and not _wants_loss(chosen["head"], source.head)):
                continue
            chosen[role], chosen[f"{role}_options"] = name, getattr(source, f"{role}_options")
            break
        if role in changes and changes[role] != chosen.get(role):
            chosen[role], chosen[f"{role}_options"] = changes[role], {}
        if f"{role}_options" in changes:
            if chosen.get(role) is None:
                raise UsageError(f"options for a {role} have no effect without one; name it")
            chosen[f"{role}_options"] = {**chosen[f"{role}_options"], **changes[f"{role}_options"]}
    return Parts(**chosen)


def _wants_loss(head: str, meant_for: str | None) -> bool:
    """Whether a head takes a loss that was named together with the head `meant_for`."""
    kind = HEADS[head]
    return head == meant_for or (kind.losses and not kind.loss_optional)
