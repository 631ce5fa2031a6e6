"""What is tuned of an entry: the ranges that its settings and parts declare, or those of the caller."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.kinds import ROLES
from siamese_mnist.registry import Range, options_of, space_of
from siamese_mnist.settings.grammar import GROUPS, SETTINGS, changed_entry, find_setting, parse_entry
from siamese_mnist.settings.settings import Settings

Values = Mapping[str, float]
"""Numbers by name in an entry, such as {"learning_rate": 0.003, "loss.margin": 0.2}."""

DIGITS = 3
"""Significant digits of a proposed number, so that it can be cited as it was trained."""

_RATE, _BACKBONE_RATE = "learning_rate", "backbone_learning_rate"


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """An entry and what is tuned of it.

    Attributes:
        entry: as it was asked for.
        changes: settings that all entries share.
        settings: what both describe.
        space: ranges by name in an entry.
        rate_ratio: the backbone's step size over the head's where it follows that, else None.
    """

    entry: str
    changes: Mapping[str, Any]
    settings: Settings
    space: Mapping[str, Range]
    rate_ratio: float | None

    def as_it_stands(self) -> Values | None:
        """The entry's own values of what is tuned; None where one of them lies outside its range."""
        values = {name: _value(self.settings, name) for name in self.space}
        inside = all(self.space[name].low <= value <= self.space[name].high for name, value in values.items())
        return values if inside else None

    def chosen(self, values: Values) -> str:
        """The entry with values of what is tuned; `Settings.resolve` and every command take it."""
        if self.rate_ratio is not None and _RATE in values:
            values = {**values, _BACKBONE_RATE: rounded(self.rate_ratio * values[_RATE])}
        return changed_entry(self.entry, values)

    def resolve(self, values: Values, **conditions: Any) -> Settings:
        """Settings of the entry with these values under other conditions, such as `seed` or `split`.

        Raises:
            UsageError: if the entry refuses a value.
        """
        return Settings.resolve(self.chosen(values), **{**self.changes, **conditions})


def tuned_entries(
    entries: Sequence[str], own: Mapping[str, Range], changes: Mapping[str, Any], seed: int
) -> list[Tuned]:
    """What is tuned of each entry.

    It is the step size and what the entry's parts declare, without what the entry or `changes` set, and `own`, where
    an entry has such a setting.

    Args:
        entries: at least one, all different.
        own: the caller's ranges by name in an entry; they come before declared ones.
        changes: settings that all entries share.
        seed: of the trials.

    Raises:
        UsageError: if an entry is wrong or leaves nothing to tune, or a range fits no entry.
    """
    ranges = {_full_name(name): values for name, values in own.items()}
    found = [_tuned(entry, ranges, changes, seed) for entry in entries]
    for name, values in ranges.items():
        if not any(name in each.space for each in found):
            _check_range(found[0], name, values)
    for one, other in ((a, b) for i, a in enumerate(found) for b in found[:i]):
        if one.settings == other.settings:
            raise UsageError(f"{other.entry!r} and {one.entry!r} are the same; name each once")
    for each in found:
        if not each.space:
            raise UsageError(f"{each.entry!r} leaves nothing to tune; set less of it, or name a range with --space")
    return found


def rounded(value: float) -> float:
    """The number with `DIGITS` significant digits; whole ones stay as they are."""
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


def _tuned(entry: str, own: Mapping[str, Range], changes: Mapping[str, Any], seed: int) -> Tuned:
    settings = Settings.resolve(entry, **changes, seed=seed)
    given = set(_given(entry, changes))
    plain = Tuned(entry=entry, changes=changes, settings=settings, space={}, rate_ratio=None)
    space = {name: values for name, values in _declared(settings) if name not in given}
    for name, values in own.items():
        try:
            space[name] = _check_range(plain, name, values)
        except UsageError:
            if "." not in name:
                raise
    rates = settings.protocol.learning_rate, settings.protocol.backbone_learning_rate
    follows = _RATE in space and rates[1] and _BACKBONE_RATE not in {*space, *given}
    return Tuned(
        entry=entry,
        changes=changes,
        settings=settings,
        space=space,
        rate_ratio=rates[1] / rates[0] if follows else None,
    )


def _declared(settings: Settings) -> Iterator[tuple[str, Range]]:
    """Ranges that settings and parts declare themselves; those of a part hold while its other options are default."""
    for name, field in SETTINGS.items():
        if field.space is not None:
            yield name, field.space
    for role, registry in ROLES.items():
        part = getattr(settings.parts, role)
        if part is None:
            continue
        factory = registry[part.partition(":")[0]]
        space, defaults = space_of(factory), options_of(factory)
        own = {name: value for name, value in getattr(settings.parts, f"{role}_options").items() if name not in space}
        if all(defaults.get(name) == value or isinstance(value, int | float) for name, value in own.items()):
            yield from ((f"{role}.{option}", values) for option, values in space.items())


def _given(entry: str, changes: Mapping[str, Any]) -> Iterator[str]:
    """Names of what an entry and the shared changes set."""
    prefixes = {field.name: prefix for prefix, field in GROUPS.items()}
    for name, value in (*changes.items(), *parse_entry(entry)[1].items()):
        if name in prefixes and isinstance(value, Mapping):
            yield from (f"{prefixes[name]}.{option}" for option in value)
        elif value is not None:
            yield find_setting(name).name


def _full_name(name: str) -> str:
    owner, dot, option = name.partition(".")
    if not dot:
        return find_setting(name).name
    if owner not in GROUPS:
        raise UsageError(f"{name!r} names no setting; only {', '.join(GROUPS)} have options")
    return f"{owner}.{option.replace('-', '_')}"


def _check_range(plain: Tuned, name: str, values: Range) -> Range:
    """The range as the entry takes it: whole numbers only where the setting is one.

    Raises:
        UsageError: if the entry has no such number, refuses an end, or it would change what is chosen on or tested.
    """
    ends = [plain.resolve({name: end}) for end in (values.low, values.high)]
    present = _value(plain.settings, name)
    if isinstance(present, bool) or not isinstance(present, int | float):
        raise UsageError(f"{name} cannot be tuned in a range: it is {present!r}, no number")
    if any(tested_pairs(each) != tested_pairs(plain.settings) for each in ends) or name == "seed":
        raise UsageError(f"{name} cannot be tuned: it decides which pairs are tested")
    whole = SETTINGS[name].kind is int if name in SETTINGS else isinstance(present, int) and values.whole
    if whole and not values.whole:
        raise UsageError(f"{name} takes whole numbers, got the range {values}")
    return values if whole else Range(float(values.low), float(values.high))


def tested_pairs(settings: Settings) -> dict[str, Any]:
    """All that decides which pairs are tested."""
    protocol = settings.protocol
    return {
        "dataset": settings.dataset,
        "dataset_options": dict(settings.dataset_options),
        "split": settings.split,
        "fold": settings.fold or 0,
        "test_protocol": protocol.test_protocol,
        "test_pairs": protocol.test_pairs,
        "same_fraction": protocol.same_fraction,
        "pair_seed": protocol.pair_seed,
    }


def _value(settings: Settings, name: str) -> Any:
    """What a setting is, by its name in an entry."""
    owner, dot, option = name.partition(".")
    if not dot:
        for holder in (settings, settings.parts, settings.protocol):
            if hasattr(holder, name):
                return getattr(holder, name)
    if owner in ROLES:
        registry, part = ROLES[owner], getattr(settings.parts, owner)
        defaults = options_of(registry[part.partition(":")[0]])
        return {**defaults, **getattr(settings.parts, f"{owner}_options")}.get(option)
    return (
        getattr(settings.protocol.augmentation, option) if owner == "augment" else settings.dataset_options.get(option)
    )
