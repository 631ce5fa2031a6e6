"""Trials: each entry's proposals, trained and judged on validation pairs, in rounds that can run at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siamese_mnist.data import DataError
from siamese_mnist.data.within import FOLDS, within
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.elsewhere import LostWorkerError
from siamese_mnist.runs.jobs import attempt_runs
from siamese_mnist.runs.provenance import run_name
from siamese_mnist.runs.result import Diverged, RunResult
from siamese_mnist.runs.store import RunError
from siamese_mnist.settings.settings import Settings
from siamese_mnist.studies.journal import ROUND, Journal, Sampler, Trial, key_of, propose
from siamese_mnist.studies.space import Tuned, Values
from siamese_mnist.training.phases import Progress, silent

Outcome = RunResult | Diverged
Told = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every entry is given alike.

    Attributes:
        trials: of each entry, >= 1.
        folds: folds of the training images that each trial is judged on; with 1, a quarter of the images judges.
        sampler: how trials are proposed.
        seed: of the proposals, and of every trial's training.
    """

    trials: int
    folds: int = 1
    sampler: Sampler = "tpe"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("folds", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"{name} must be a whole number >= {least}, got {value!r}")
        if self.sampler not in ("tpe", "random"):
            raise UsageError(f"unknown sampler {self.sampler!r}; use tpe or random")

    @property
    def parts(self) -> int:
        """Parts that the training images are divided into."""
        return FOLDS if self.folds == 1 else self.folds


@dataclass(frozen=True, kw_only=True)
class _Proposal:
    tuned: Tuned
    key: str
    number: int
    values: Values


def run_trials(
    entries: Sequence[Tuned],
    budget: Budget,
    folder: Path,
    *,
    places: Mapping[str, Any],
    told: Told,
    beside: Callable[[str], Progress] | None = None,
) -> list[list[Trial]]:
    """The trials of every entry; those in the folder's journal are not run again.

    Trials go in rounds: what is proposed in a round depends on the rounds before, and on nothing else, so neither the
    number of jobs nor a stop in between changes what is tried.

    Args:
        entries: what is tuned.
        budget: how often, and how it is judged.
        folder: of the study, which this process alone writes to.
        places: `jobs`, `engine`, `data_dir` and what else `attempt_runs` takes.
        told: called with the number of trials done and in all.
        beside: makes the progress function of a single training on this machine, by its title.

    Raises:
        UsageError: if data is missing, or nothing can be written.
    """
    journal = Journal(folder)
    total = len(entries) * budget.trials
    for start in range(0, budget.trials, ROUND):
        end = min(start + ROUND, budget.trials)
        missing = [each for one in entries for each in _missing(one, budget, journal, start, end)]
        done = end * len(entries) - len(missing)
        told(done, total)
        runs_dir = folder / "trials" / f"{start // ROUND:03}"
        size = 1 if one_by_one(places) else max(1, len(missing))
        for first in range(0, len(missing), size):
            batch = missing[first : first + size]

            def overall(stage: str, count: int, of: int, at: int = done) -> None:  # noqa: ARG001
                told(at + count // budget.folds, total)

            settings = [trial_settings(one.tuned, one.values, budget) for one in batch]
            titles = {
                run_name(each): f"{one.tuned.entry}, trial {one.number + 1}, fold {fold}"
                for one, folds in zip(batch, settings, strict=True)
                for fold, each in enumerate(folds)
            }
            outcomes = _attempt(
                [each for folds in settings for each in folds],
                runs_dir=runs_dir,
                overall=overall,
                beside=beside and by_title(beside, titles),
                **places,
            )
            for index, proposal in enumerate(batch):
                trial = _trial(proposal, outcomes[index * budget.folds : (index + 1) * budget.folds])
                journal.add(proposal.key, trial, proposal.tuned.space)
            done += len(batch)
            told(done, total)
    return [journal.trials(trial_key(each, budget))[: budget.trials] for each in entries]


def by_title(beside: Callable[[str], Progress], titles: Mapping[str, str]) -> Callable[[Settings], Progress]:
    """Makes progress functions by the titles of runs, of which each has its name."""
    return lambda settings: beside(titles[run_name(settings)])


def _missing(tuned: Tuned, budget: Budget, journal: Journal, start: int, end: int) -> list[_Proposal]:
    """Proposals of a round that are not in the journal, `start` <= number < `end`."""
    key = trial_key(tuned, budget)
    done = journal.trials(key)
    return [
        _Proposal(tuned=tuned, key=key, number=number, values=_values(tuned, key, done[:start], number, budget))
        for number in range(max(start, len(done)), end)
    ]


def trial_key(tuned: Tuned, budget: Budget) -> str:
    """Names what trials are of: entry, space and how they are judged; more trials of the same go on where it ended."""
    space = {name: str(values) for name, values in tuned.space.items()}
    return key_of(tuned.settings.as_dict(), space, budget.folds, budget.sampler, budget.seed)


def trial_settings(tuned: Tuned, values: Values, budget: Budget) -> list[Settings]:
    """What a trial of some values trains, a fold each: the test pairs of these settings are of training images."""
    name = within(tuned.settings.split, tuned.settings.fold or 0, budget.parts)
    conditions = {"split": name, "curve": False, "seed": budget.seed}
    return [tuned.resolve(values, fold=fold, **conditions) for fold in range(budget.folds)]


def one_by_one(places: Mapping[str, Any]) -> bool:
    """Whether runs are trained in this process, so that each can be noted as soon as it ends."""
    return (places["jobs"], places["engine"]) == (1, "local")


def chance(settings: Settings) -> float:
    """Accuracy of the better constant answer."""
    share = settings.protocol.same_fraction
    return max(share, 1 - share)


def _values(tuned: Tuned, key: str, before: Sequence[Trial], number: int, budget: Budget) -> Values:
    """The entry as it stands first, if it lies in its space; proposals then."""
    first = tuned.as_it_stands() if number == 0 else None
    if first is not None:
        return first
    guess = chance(tuned.settings)
    return propose(before, tuned.space, number, key=key, sampler=budget.sampler, chance=guess)


def _trial(proposal: _Proposal, outcomes: Sequence[Outcome | str]) -> Trial:
    runs = [each for each in outcomes if isinstance(each, RunResult)]
    lost = [each.reason if isinstance(each, Diverged) else each for each in outcomes if not isinstance(each, RunResult)]
    if lost:
        return Trial(number=proposal.number, values=proposal.values, accuracy=None, failed=lost[0])
    return Trial(
        number=proposal.number,
        values=proposal.values,
        accuracy=sum(run.test.accuracy for run in runs) / len(runs),
        train_seconds=sum(run.phase1.train_seconds + run.phase2.train_seconds for run in runs),
    )


def _attempt(settings: Sequence[Settings], **options: Any) -> list[Outcome | str]:
    """The outcome of each of `settings`, the reason in words where one was refused or broke down."""
    try:
        return list(attempt_runs(settings, progress=options["beside"] or (lambda _: silent), **options))
    except (LostWorkerError, RunError, DataError, OSError):
        raise
    # A part of other hands can raise anything, and one trial must not end a study of hundreds.
    except Exception as error:
        if len(settings) == 1:
            kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
            return [f"{kind}{error}".partition("\n")[0]]
    return [outcome for each in settings for outcome in _attempt([each], **{**options, "jobs": 1})]
