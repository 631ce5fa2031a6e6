"""Entries of a comparison: a variant and what is changed of it, in one word, such as `siamese:loss=triplet`."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from siamese_mnist.data.augmentation import Augmentation
from siamese_mnist.errors import UsageError
from siamese_mnist.parts.backbones import BACKBONES
from siamese_mnist.parts.heads import HEADS
from siamese_mnist.parts.losses import LOSSES, MINERS
from siamese_mnist.registry import Registry, options_of, parse_options
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.recipes import RECIPES
from siamese_mnist.settings.settings import Settings

_ROLES: Mapping[str, Registry[Any]] = {"backbone": BACKBONES, "head": HEADS, "loss": LOSSES, "miner": MINERS}
_SHORT = {"backbone_lr": "backbone_learning_rate"}  # as the command line has it
_AUGMENT = "augment"

Texts = Mapping[str, Sequence[str]]


def read_entry(text: str, **base: Any) -> Settings:
    """Settings of an entry.

    Args:
        text: `VARIANT`, or `VARIANT:name=value,name=value`, where a name is a field of `Parts` or `TrainingProtocol`,
            "recipe", an option of a part as `backbone.blocks`, or a strength of a distortion as `augment.rotate`.
        **base: settings of all entries, see `Settings.resolve`; the entry's own come first.

    Raises:
        UsageError: if a name or a value is unknown or out of range.
    """
    variant, _, changes = text.partition(":")
    plain: list[str] = []
    of_parts: dict[str, list[str]] = {}
    for item in filter(None, changes.split(",")):
        role, dot, option = item.partition("=")[0].partition(".")
        if dot and role in (*_ROLES, _AUGMENT):
            of_parts.setdefault(role, []).append(item.removeprefix(f"{role}."))
        elif dot:
            raise UsageError(f"{text!r} names {role}.{option}; only {', '.join((*_ROLES, _AUGMENT))} have options")
        else:
            plain.append(item.replace("-", "_", item.partition("=")[0].count("-")))
    recipe = next((item.partition("=")[2] for item in plain if item.startswith("recipe=")), base.get("recipe"))
    protocol = RECIPES[recipe or "report"].protocol
    defaults = {name: getattr(protocol, name) for name in _fields(TrainingProtocol)}
    named = parse_options(plain, {**defaults, **{short: defaults[name] for short, name in _SHORT.items()}})
    return resolve(variant, of_parts, **{**base, **{_SHORT.get(name, name): value for name, value in named.items()}})


def resolve(variant: str, options: Texts, **changes: Any) -> Settings:
    """`Settings.resolve` with the options of parts as texts.

    Args:
        variant: name in `VARIANTS`.
        options: texts such as "blocks=3" for "backbone", "head", "loss", "miner" and "augment".
        **changes: see `Settings.resolve`.

    Raises:
        UsageError: if a name or a value is unknown or out of range, or a change would have no effect.
    """
    parts = Settings.resolve(variant, **changes).parts
    for role, registry in _ROLES.items():
        if texts := options.get(role):
            name = getattr(parts, role)
            defaults = options_of(registry[name.partition(":")[0]]) if name else {}
            changes[f"{role}_options"] = parse_options(texts, defaults)
    if texts := options.get(_AUGMENT):
        changes["augmentation"] = Augmentation.of(parse_options(texts, dict.fromkeys(_fields(Augmentation), 0.0)))
    return Settings.resolve(variant, **changes)


def entry_names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What to call runs side by side: the variant, and what is changed of it unless all share that change.

    Runs that differ in their seed alone have one name, all others different ones.

    Args:
        configs: settings of the runs, as `Settings.as_dict` gives them.

    Returns:
        A name for each; `read_entry` takes it.
    """
    first = {config["variant"]: config for config in reversed(configs)}
    changes = [dict(_changes(config, first[config["variant"]])) for config in configs]
    several = len({str(_without_seed(config)) for config in configs}) > 1
    shared = set.intersection(*(set(each.items()) for each in changes)) if several else set()
    names = []
    for config, each in zip(configs, changes, strict=True):
        own = [f"{path}={value}" for path, value in each.items() if (path, value) not in shared]
        names.append(f"{config['variant']}{':' if own else ''}{','.join(own)}")
    return names


def _changes(config: Mapping[str, Any], first: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Settings that are not what the variant has under its recipe or, if it is not installed, in its first run."""
    recipe = config["recipe"]
    if recipe != "report":
        yield "recipe", recipe
    try:
        plain = Settings.resolve(config["variant"], recipe=recipe).as_dict()
    except (UsageError, TypeError):
        plain = dict(first)
    usual = dict(_flat(plain))
    for path, value in _flat(config):
        if str(value) != str(usual.get(path, "")) and value is not None:
            yield path, str(value)


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in {**config.get("parts", {}), **config.get("protocol", {})}.items():
        if isinstance(value, Mapping):
            owner = _AUGMENT if name == "augmentation" else name.removesuffix("_options")
            yield from ((f"{owner}.{option}", each) for option, each in value.items())
        else:
            yield name, value


def _without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "seed"}


def _fields(kind: Any) -> list[str]:
    return [each.name for each in dataclasses.fields(kind)]
