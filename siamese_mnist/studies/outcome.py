"""What a study found, as frozen values; JSON only at the edge."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from siamese_mnist.registry import Range
from siamese_mnist.runs.comparison import Row
from siamese_mnist.studies.budget import BestOf
from siamese_mnist.studies.journal import Trial
from siamese_mnist.studies.looks import Look
from siamese_mnist.studies.trials import Budget


@dataclass(frozen=True, kw_only=True)
class StudyRow:
    """One entry of a study.

    Attributes:
        entry: as it was asked for.
        space: what was tuned of it, by name in an entry.
        trials: all of them, by number.
        best: the trial with the highest validation accuracy, the first of equals; None if all failed.
        chosen: the entry with the best trial's values, as commands take it.
        budget: expected best validation accuracy of 1, 2, ... trials; failed ones count as guessing.
        row: the chosen settings on the test pairs, with the verdict against the first entry; None if all trials failed.
    """

    entry: str
    space: Mapping[str, Range]
    trials: tuple[Trial, ...]
    best: Trial | None
    chosen: str | None
    budget: tuple[BestOf, ...]
    row: Row | None

    @property
    def failed(self) -> int:
        """How many trials failed."""
        return sum(each.failed is not None for each in self.trials)

    @property
    def verdict(self) -> str | None:
        """What the comparison with the first entry shows, or why there is none."""
        if self.row is None:
            return "all trials failed"
        return None if self.row["verdict"] is None else str(self.row["verdict"])

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "entry": self.entry,
            "space": {name: [each.low, each.high] for name, each in self.space.items()},
            "trials": [asdict(each) for each in self.trials],
            "failed": self.failed,
            "best": self.best and asdict(self.best),
            "chosen": self.chosen,
            "budget": [asdict(each) for each in self.budget],
            "verdict": self.verdict,
            "test": self.row and self.row.as_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class StudyResult:
    """What `study` gives.

    Attributes:
        rows: one for each entry, in their order; verdicts are against the first.
        budget: what every entry was given.
        seeds: of the chosen settings' runs: 0, 1, ...
        looks: every opening of the test pairs for this study, oldest first.
        look: number of the one that these rows are from, from 1.
        folder: of the study.
    """

    rows: tuple[StudyRow, ...]
    budget: Budget
    seeds: int
    looks: tuple[Look, ...]
    look: int
    folder: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "format": 1,
            **asdict(self.budget),
            "seeds": self.seeds,
            "opened": {"times": len(self.looks), "look": self.look, "looks": [each.as_dict() for each in self.looks]},
            "rows": [each.as_dict() for each in self.rows],
            "folder": self.folder,
        }

    def opened(self) -> str:
        """How often the test pairs were opened for this study, and whether these figures are of a later look."""
        if not self.looks:
            return "The test pairs were not opened: no entry has a trial that did not fail."
        times = "once" if len(self.looks) == 1 else f"{len(self.looks)} times"
        sentence = f"The test pairs were opened {times} for this study"
        if self.look > 1:
            first = self.looks[self.look - 1].differs_from(self.looks[0])
            return f"{sentence}. LOOK {self.look}: {', '.join(first)}; these figures are no first look."
        return f"{sentence}, these figures are of the first look." if len(self.looks) > 1 else f"{sentence}."
