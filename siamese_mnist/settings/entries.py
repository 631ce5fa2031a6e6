"""Entries side by side: the settings of each, and what to call settings that are compared."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.kinds import ROLES
from siamese_mnist.registry import options_of
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.conditions import Conditions
from siamese_mnist.settings.fields import fields_of
from siamese_mnist.settings.grammar import GROUPS, write_value
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings, assemble, read_entry

_PREFIXES = {field.name: prefix for prefix, field in GROUPS.items()}

Changes = Mapping[str, Any]


def resolve_entries(entries: Sequence[str], seeds: int, folds: int | None = None, **changes: Any) -> list[Settings]:
    """Settings of every entry with each of its seeds in each fold, those of one entry together.

    Raises:
        UsageError: if an entry or a setting is wrong, or two entries are the same.
    """
    if isinstance(entries, str) or not entries:
        raise UsageError(f"entries must be a list of at least one, such as ['baseline', 'siamese'], got {entries!r}")
    for name, count in (("seeds", seeds), ("folds", 1 if folds is None else folds)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"{name} must be a whole number >= 1, got {count!r}")
    for entry in entries:
        read_entry(entry, changes)  # of all, before the first part is imported
    resolved: dict[str, Settings] = {}
    for entry in entries:
        settings = Settings.resolve(entry, **changes, seed=0)
        for other, its_settings in resolved.items():
            if settings == its_settings:
                raise UsageError(f"{other!r} and {entry!r} are the same; name each once")
        resolved[entry] = settings
    if folds is None:
        return [Settings.resolve(entry, **changes, seed=seed) for entry in entries for seed in range(seeds)]
    _check_folds(resolved, folds)
    return [
        Settings.resolve(entry, **{**changes, "fold": fold}, seed=seed)
        for entry in entries
        for fold in range(folds)
        for seed in range(seeds)
    ]


def _check_folds(entries: Mapping[str, Settings], folds: int) -> None:
    from siamese_mnist.data.splits import make_split  # with PyTorch, which a mistake in a name does not wait for

    for entry, settings in entries.items():
        if settings.fold is not None:
            raise UsageError(f"{entry!r} names fold {settings.fold}, and folds joins several; give one of them")
        there = make_split(settings.split).folds
        if folds > there:
            what = f"{there} folds" if there > 1 else "one fold only"
            raise UsageError(f"split {settings.split!r} has {what}; folds must be <= {there}, got {folds}")


def entry_names(settings: Sequence[Settings]) -> list[str]:
    """What to call settings side by side: the variant, and what is changed of it unless all share that change.

    Settings that differ in their seed alone have one name, all others different ones. `Settings.resolve` takes the
    names; with what all share it gives the settings again.

    Args:
        settings: what is named.

    Returns:
        A name for each.
    """
    changes = [_changes(each, settings) for each in settings]
    several = any(not same_but_for_seed(each, settings[0]) for each in settings)
    shared = {
        path: value
        for path, value in (changes[0] if several else {}).items()
        if all(path in other and other[path] == value for other in changes)
    }
    names = []
    for each, own in zip(settings, changes, strict=True):
        written = [f"{path}={write_value(value)}" for path, value in own.items() if path not in shared]
        names.append(f"{each.variant}:{','.join(written)}" if written else each.variant)
    return names


def same_but_for_seed(one: Settings, other: Settings) -> bool:
    """Whether two settings are equal in everything but their seeds."""
    return dataclasses.replace(one, seed=other.seed) == other


def _changes(settings: Settings, table: Sequence[Settings]) -> Changes:
    """What `settings` have that their variant has not by itself under its recipe, by name in an entry.

    Where the variant, its recipe or its head is not installed, it is what the variant's settings in `table` differ in.
    """
    try:
        return _changes_of_variant(settings)
    except UsageError:
        own = [_flat(each) for each in table if each.variant == settings.variant]
        values = _flat(settings)
        paths = {path: None for flat in own for path in flat}
        return {path: values.get(path) for path in paths if any(flat.get(path) != own[0].get(path) for flat in own)}


def _changes_of_variant(settings: Settings) -> Changes:
    changes: dict[str, Any] = {
        name: value
        for name, field in fields_of(Conditions).items()
        if name not in ("seed", "dataset_options") and (value := getattr(settings, name)) != _default(field.name)
    }
    given = dict(changes)
    _add_options(changes, "dataset_options", settings.dataset_options, {})
    for role, registry in ROLES.items():
        name = getattr(settings.parts, role)
        if name != getattr(assemble(settings.variant, given).parts, role):
            changes[role] = given[role] = name
        usual = getattr(assemble(settings.variant, given).parts, f"{role}_options")
        options = getattr(settings.parts, f"{role}_options")
        dropped = {option: None for option in usual if option not in options}
        if dropped:
            dropped |= {k: v for k, v in options_of(registry[name]).items() if k in dropped}
        _add_options(changes, f"{role}_options", {**options, **dropped}, usual)
    protocol = assemble(settings.variant, given).protocol
    for name in fields_of(TrainingProtocol):
        value, usual = getattr(settings.protocol, name), getattr(protocol, name)
        if isinstance(value, Augmentation):
            _add_options(changes, name, dataclasses.asdict(value), dataclasses.asdict(usual))
        elif value != usual:
            changes[name] = value
    return changes


def _default(name: str) -> Any:
    return getattr(Conditions(), name)


def _add_options(changes: dict[str, Any], group: str, options: Changes, usual: Changes) -> None:
    for name, value in options.items():
        if name not in usual or usual[name] != value:
            changes[f"{_PREFIXES[group]}.{name}"] = value


def _flat(settings: Settings) -> dict[str, Any]:
    """Every setting but the seed by its name in an entry."""
    values = settings.as_dict()
    flat: dict[str, Any] = {}
    for name, value in {**values, **values["parts"], **values["protocol"]}.items():
        if name in _PREFIXES:
            _add_options(flat, name, value, {})
        elif name not in ("variant", "design", "parts", "protocol", "seed"):
            flat[name] = value
    return flat
