"""The journal of a study: every finished trial, kept by Optuna, and the proposals that follow from them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Range
from siamese_mnist.studies.space import Values, rounded

Sampler = Literal["tpe", "random"]
"""How trials are proposed: by what was found so far (Bergstra et al. 2011), or independently of each other."""

ROUND = 4
"""Trials of an entry that are proposed from the same findings, so that they can run at once."""

_JOURNAL = "journal.log"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One finished trial of an entry.

    Attributes:
        number: from 0.
        values: what was tried, by name in an entry.
        accuracy: on the validation pairs, the mean over folds; None if it failed.
        failed: why it failed, in one line, else None.
        train_seconds: both phases, all folds; None if it failed.
    """

    number: int
    values: Values
    accuracy: float | None
    failed: str | None = None
    train_seconds: float | None = None

    def score(self, chance: float) -> float:
        """The accuracy; a failed trial counts as guessing does."""
        return chance if self.accuracy is None else self.accuracy


class Journal:
    """Finished trials by the key of what they tuned, in a folder that this process alone writes to.

    Args:
        folder: of the study.

    Raises:
        UsageError: if Optuna is not installed, or the journal is damaged or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        optuna = _optuna()
        self._path = folder / _JOURNAL
        try:
            _mend(self._path)
            backend = optuna.storages.journal
            lock = backend.JournalFileOpenLock(str(self._path))
            self._storage = optuna.storages.JournalStorage(backend.JournalFileBackend(str(self._path), lock))
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{self._path} cannot be read ({error}); restore it, or name another folder") from error

    def trials(self, key: str) -> list[Trial]:
        """Finished trials, by number."""
        return [_read(each) for each in self._study(key).get_trials(deepcopy=False)]

    def add(self, key: str, trial: Trial, space: Mapping[str, Range]) -> None:
        """Adds a finished trial; it is on disk whole, or not at all, when this returns."""
        optuna = _optuna()
        states = optuna.trial.TrialState
        frozen = optuna.trial.create_trial(
            state=states.COMPLETE if trial.failed is None else states.FAIL,
            value=trial.accuracy,
            params=dict(trial.values),
            distributions=_distributions(space),
            user_attrs={"failed": trial.failed, "train_seconds": trial.train_seconds},
        )
        self._study(key).add_trial(frozen)

    def _study(self, key: str) -> Any:
        return _optuna().create_study(storage=self._storage, study_name=key, direction="maximize", load_if_exists=True)


def propose(
    finished: Sequence[Trial], space: Mapping[str, Range], number: int, *, key: str, sampler: Sampler, chance: float
) -> Values:
    """What to try next; the same for the same findings, on whatever day.

    Args:
        finished: what the trials before showed.
        space: ranges by name.
        number: of the trial.
        key: of what is tuned; trials of other keys have other random numbers.
        sampler: how to propose.
        chance: accuracy of guessing, which failed trials count as.
    """
    optuna = _optuna()
    seed = int.from_bytes(hashlib.sha256(f"{key} {number}".encode()).digest()[:4])
    samplers = optuna.samplers
    kind = (
        samplers.RandomSampler(seed) if sampler == "random" else samplers.TPESampler(n_startup_trials=ROUND, seed=seed)
    )
    study = optuna.create_study(direction="maximize", sampler=kind)
    distributions = _distributions(space)
    for each in finished:
        study.add_trial(
            optuna.trial.create_trial(value=each.score(chance), params=dict(each.values), distributions=distributions)
        )
    proposed = study.ask(distributions).params
    return {name: min(max(rounded(value), space[name].low), space[name].high) for name, value in proposed.items()}


def key_of(*what: Any) -> str:
    """A short name for JSON-ready values, different for different ones."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _read(trial: Any) -> Trial:
    about = trial.user_attrs
    accuracy = None if about["failed"] is not None else float(trial.value)
    return Trial(
        number=trial.number,
        values=dict(trial.params),
        accuracy=accuracy,
        failed=about["failed"],
        train_seconds=about["train_seconds"],
    )


def _distributions(space: Mapping[str, Range]) -> dict[str, Any]:
    kinds = _optuna().distributions
    return {
        name: (kinds.IntDistribution if each.whole else kinds.FloatDistribution)(each.low, each.high, log=each.log)
        for name, each in space.items()
    }


def _mend(path: Path) -> None:
    """Takes back a last line that a killed process did not finish, and its lock."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    if path.exists():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            with path.open("r+b") as file:
                file.truncate(len(whole))


def _optuna() -> Any:
    """Optuna, silent."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError("a study needs optuna; pip install 'siamese-mnist[study]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
