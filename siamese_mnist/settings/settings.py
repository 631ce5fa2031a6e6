"""All that a run depends on, in one frozen value."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.kinds import DATASETS, HEADS, ROLES, SPLITS
from siamese_mnist.registry import Registry, options_of
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.conditions import Conditions
from siamese_mnist.settings.fields import fields_of
from siamese_mnist.settings.grammar import GROUPS, find_setting, parse_entry, read_option, read_value
from siamese_mnist.settings.parts import Parts
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.recipes import RECIPES, VARIANTS, Recipe, Variant
from siamese_mnist.settings.schedules import SCHEDULES


@dataclass(frozen=True, kw_only=True)
class Settings(Conditions):
    """All that a run depends on; equal settings on one machine give equal results.

    Attributes:
        variant: name in `VARIANTS`.
        design: name in `DESIGNS`.
        parts: the model's parts, none left open.
        protocol: how they are trained.
    """

    variant: str
    design: str
    parts: Parts
    protocol: TrainingProtocol

    @classmethod
    def resolve(cls, entry: str, **base: Any) -> "Settings":
        """Settings of an entry, see `siamese_mnist.settings.grammar`.

        A part is the one that the entry names, else the one in `base`, else the variant's, else the recipe's. Options
        go with their part.

        Args:
            entry: `VARIANT`, or `VARIANT:name=value,name=value`.
            **base: settings by name, such as `loss="triplet"` or `backbone_options={"blocks": 3}`; None leaves one as
                it is, and the entry's own come first.

        Raises:
            UsageError: if a name or a value is unknown or out of range, or a change would have no effect.
        """
        variant, changes = read_entry(entry, base)
        settings = assemble(variant, changes)
        _check_complete(settings)
        parts: dict[str, Any] = {
            f"{role}_options": _read_options(
                registry, getattr(settings.parts, role), getattr(settings.parts, f"{role}_options")
            )
            for role, registry in ROLES.items()
        }
        return dataclasses.replace(
            settings,
            dataset_options=_read_options(DATASETS, settings.dataset, settings.dataset_options),
            parts=dataclasses.replace(settings.parts, **parts),
        )

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Settings":
        """The settings that `as_dict` described; what runs of version 0.1.0 lack is what it was for them.

        Raises:
            UsageError: if a value is missing, unknown or out of range.
        """
        try:
            inner = {"validation": 0.0, **values["protocol"]}  # runs of before kept no images
            inner["augmentation"] = Augmentation(**_known(Augmentation, inner["augmentation"]))
            return cls(
                variant=values["variant"],
                design=values["design"],
                parts=Parts(**_known(Parts, values["parts"])),
                protocol=TrainingProtocol(**_known(TrainingProtocol, inner)),
                **_known(Conditions, {name: values[name] for name in values if name not in _OWN}),
            )
        except (TypeError, KeyError, ValueError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise UsageError(f"these settings are not of this version of siamese-mnist: {reason}") from error


_OWN = ("variant", "design", "parts", "protocol")


def assemble(variant: str, changes: Mapping[str, Any]) -> Settings:
    """A variant under its recipe with changes, whether or not the parts are complete and known.

    Raises:
        UsageError: if the variant, the recipe or a head is unknown, or a value is out of range.
    """
    values = {name: changes[name] for name in fields_of(Conditions) if name in changes}
    conditions = Conditions(**values)
    kind: Variant = VARIANTS[variant]
    recipe: Recipe = RECIPES[conditions.recipe]
    protocol = {name: changes[name] for name in fields_of(TrainingProtocol) if name in changes}
    if strengths := protocol.pop("augmentation", None):
        protocol["augmentation"] = recipe.protocol.augmentation.changed(strengths)
    return Settings(
        **{name: getattr(conditions, name) for name in fields_of(Conditions)},
        variant=variant,
        design=kind.design,
        parts=_chosen(kind, recipe, changes),
        protocol=dataclasses.replace(recipe.protocol, **protocol),
    )


def read_entry(entry: str, base: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """An entry's variant and changes, those of `base` included; all names are known, and no part is imported yet.

    Raises:
        UsageError: if a name is unknown, or the value of a setting, but for options of parts.
    """
    variant, own = parse_entry(entry)
    changes = _merged(base, own)
    VARIANTS.check_name(variant)
    named: dict[str, Registry[Any]] = {
        "recipe": RECIPES,
        "dataset": DATASETS,
        "split": SPLITS,
        "schedule": SCHEDULES,
        **ROLES,
    }
    for setting, registry in named.items():
        if changes.get(setting) is not None:
            registry.check_name(changes[setting].partition(":")[0])
    return variant, changes


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Changes by the name of their setting, read and checked except for options; the entry's own come first."""
    changes: dict[str, Any] = {}
    for source in ({name: value for name, value in base.items() if value is not None}, own):
        for name, value in source.items():
            field = find_setting(name)
            if field not in GROUPS.values():
                changes[field.name] = read_value(field, value)
                continue
            given = dataclasses.asdict(value) if isinstance(value, Augmentation) else value
            if not isinstance(given, Mapping):
                raise UsageError(f"{name} must be names with values, got {value!r}")
            changes[field.name] = {**changes.get(field.name, {}), **given}
    known = fields_of(Augmentation)
    if strengths := changes.get("augmentation"):
        changes["augmentation"] = {
            name: read_value(known[name], value) if name in known else value for name, value in strengths.items()
        }
    return changes


def _read_options(registry: Registry[Any], name: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    kind = (name or "").partition(":")[0]
    if kind not in registry or not options:
        return dict(options)
    known = options_of(registry[kind])
    registry.check_options(kind, options)
    return {option: read_option(option, value, known.get(option, "")) for option, value in options.items()}


def _check_complete(settings: Settings) -> None:
    variant, recipe = settings.variant, settings.recipe
    designs = RECIPES[recipe].designs
    if designs and settings.design not in designs:
        raise UsageError(f"recipe {recipe!r} is for {' and '.join(designs)} designs; {variant!r} is {settings.design}")
    for role in ("backbone", "head"):
        if getattr(settings.parts, role) is None:
            raise UsageError(f"neither variant {variant!r} nor recipe {recipe!r} has a {role}; name one")
    SCHEDULES.part(settings.protocol.schedule)
    SPLITS.part(settings.split.partition(":")[0])


def _chosen(kind: Variant, recipe: Recipe, changes: Mapping[str, Any]) -> Parts:
    """Parts and options of the first of changes, variant and recipe that names the part."""
    chosen: dict[str, Any] = {}
    for role in ROLES:
        for source in (kind.parts, recipe.parts):
            name = getattr(source, role)
            if name is None or (role in ("loss", "miner") and not _wants_loss(chosen.get("head"), source.head)):
                continue
            chosen[role], chosen[f"{role}_options"] = name, getattr(source, f"{role}_options")
            break
        if role in changes and changes[role] != chosen.get(role):
            chosen[role], chosen[f"{role}_options"] = changes[role], {}
        if options := changes.get(f"{role}_options"):
            if chosen.get(role) is None:
                raise UsageError(f"options for a {role} have no effect without one; name it")
            chosen[f"{role}_options"] = {**chosen[f"{role}_options"], **options}
    return Parts(**chosen)


def _wants_loss(head: str | None, meant_for: str | None) -> bool:
    """Whether a head takes a loss that was named together with the head `meant_for`."""
    if head is None or head == meant_for:
        return head is not None
    kind = HEADS[head]
    return kind.losses and not kind.loss_optional


def _known(owner: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` for the fields of `owner`, all of them known, and none missing that every version had."""
    fields = fields_of(owner)
    for name in values:
        if name not in fields:
            raise ValueError(f"{name!r} is unknown")
    for name, field in fields.items():
        if name not in values and not field.added:
            raise KeyError(name)
    return dict(values)
