"""How often the test pairs were opened for a study, and with what: written down before they are."""

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.system.files import unfinished
from siamese_mnist.system.jsonfile import read_object

_LOOKS, _FORMAT = "looks.json", 1


@dataclass(frozen=True, kw_only=True)
class Look:
    """One opening of the test pairs.

    Attributes:
        chosen: settings that were measured, by entry.
        space: the ranges that they were chosen from, by entry and setting.
        trials: of each entry.
        folds: that each trial was judged on.
        sampler: how trials were proposed.
        seed: of the proposals.
        seeds: of the measured runs.
        date: of the opening.
    """

    chosen: Mapping[str, str]
    space: Mapping[str, Mapping[str, str]]
    trials: int
    folds: int
    sampler: str
    seed: int
    seeds: int
    date: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return asdict(self)

    def differs_from(self, other: "Look") -> list[str]:
        """What this look has otherwise, in words."""
        words = []
        if self.chosen.keys() != other.chosen.keys():
            words.append("other entries")
        if any(other.space.get(entry, space) != space for entry, space in self.space.items()):
            words.append("another space")
        for name, noun in (
            ("trials", "trials"),
            ("folds", "folds"),
            ("seeds", "seeds"),
            ("seed", "as the study's seed"),
        ):
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                words.append(f"{mine} {noun} after {others}")
        if self.sampler != other.sampler:
            words.append(f"sampler {self.sampler} after {other.sampler}")
        return words or ["other chosen settings"]


def check_folder(folder: Path, pairs: Mapping[str, Any]) -> list[Look]:
    """The looks at these test pairs that a study's folder knows of.

    Args:
        folder: of the study.
        pairs: what decides which pairs are tested.

    Raises:
        UsageError: if the folder's looks were at other pairs, or its file is damaged.
    """
    place = folder / _LOOKS
    if not place.exists():
        return []
    try:
        found = read_object(place)
        known = found["test_pairs"]
        looks = [Look(**each) for each in found["looks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{place} is damaged ({error}); restore it, or name another folder with --study-dir"
        ) from error
    if known != pairs:
        changed = next(name for name in pairs if known.get(name) != pairs[name])
        raise UsageError(
            f"{folder} is a study of other test pairs ({changed} {known.get(changed)!r}, not {pairs[changed]!r}); name "
            "another folder with --study-dir"
        )
    return looks


def note_look(folder: Path, pairs: Mapping[str, Any], look: Look) -> list[Look]:
    """Writes down that the test pairs are opened, unless they were opened for the same already; all looks so far.

    Raises:
        UsageError: see `check_folder`, or if it cannot be written.
    """
    looks = check_folder(folder, pairs)
    if look in looks:
        return looks
    looks = [*looks, look]
    content = {"format": _FORMAT, "test_pairs": dict(pairs), "looks": [each.as_dict() for each in looks]}
    try:
        with unfinished(folder / _LOOKS) as path:
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {folder / _LOOKS} ({error.strerror or error})") from error
    return looks


def today() -> str:
    """The date, as a look has it."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
