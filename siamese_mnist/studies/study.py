"""`study`: the same number of trials for every entry, then one look at the test pairs."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siamese_mnist.data import load_dataset, split_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Range
from siamese_mnist.runs.claims import claim
from siamese_mnist.runs.clusters import check_engine
from siamese_mnist.runs.comparison import Row, compare
from siamese_mnist.runs.jobs import attempt_runs, possible_jobs
from siamese_mnist.runs.provenance import run_name
from siamese_mnist.runs.result import Diverged, RunResult
from siamese_mnist.runs.store import check_writable
from siamese_mnist.settings.settings import Settings
from siamese_mnist.studies.budget import expected_best
from siamese_mnist.studies.journal import Sampler, Trial, key_of
from siamese_mnist.studies.looks import Look, check_folder, note_look, today
from siamese_mnist.studies.outcome import StudyResult, StudyRow
from siamese_mnist.studies.space import Tuned, tested_pairs, tuned_entries
from siamese_mnist.studies.trials import Budget, by_title, chance, one_by_one, run_trials, trial_settings
from siamese_mnist.training.phases import Progress, silent

_MEASURING = "chosen settings"

Told = Callable[[str, int, int], None]
"""Called as `told(stage, done, in all)`; the stages are "trials" and "chosen settings"."""


def study(
    entries: Sequence[str],
    *,
    trials: int = 12,
    folds: int = 1,
    seeds: int = 3,
    space: Mapping[str, str | Range] | None = None,
    sampler: Sampler = "tpe",
    seed: int = 0,
    study_dir: str | Path | None = None,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    jobs: int | None = None,
    engine: str = "local",
    address: str | None = None,
    progress: Told = silent,
    beside: Callable[[str], Progress] | None = None,
    **changes: Any,
) -> StudyResult:
    """Tunes every entry with equally many trials, then compares the chosen settings on the test pairs.

    A trial is trained and judged within the training images, see `data.within`; no test image is seen. The settings
    with the highest validation accuracy are trained with several seeds, and only then the test pairs are opened, which
    the study's folder keeps count of. A study that was stopped goes on where it was; what is finished is not repeated.

    Args:
        entries: `VARIANT` or `VARIANT:name=value,...`, the reference first. What an entry sets is not tuned.
        trials: of each entry.
        folds: folds of the training images that each trial is judged on; with 1, a quarter of the images judges.
        seeds: seeds of the chosen settings: 0, 1, ...
        space: ranges by name in an entry, such as `{"learning_rate": "1e-4..1e-2"}`, beside those that the entries'
            parts declare or in their place.
        sampler: "tpe", which learns from earlier trials, or "random".
        seed: of the proposals, and of every trial's training.
        study_dir: folder of the study; by default one below `studies` that is named by its test pairs.
        runs_dir: folder of all runs, for the chosen settings.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        device: a PyTorch device, such as "cpu" or "cuda".
        jobs: trainings at once; None is as many as processors and memory allow, one on a GPU, or the cluster's workers.
        engine: where they are trained: "local", "dask" or "ray"; see `compare`.
        address: of the cluster, see `compare`.
        progress: told how far it is.
        beside: makes the progress function of a single training on this machine, by its title.
        **changes: settings that all entries share, see `Settings.resolve`; they are not tuned.

    Raises:
        UsageError: if an entry, a setting or a range is wrong, Optuna is missing, data is missing, nothing can be
            written, or another process works at the study.
    """
    budget = Budget(trials=trials, folds=folds, sampler=sampler, seed=seed)
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise UsageError(f"seeds must be a whole number >= 1, got {seeds!r}")
    own = {name: each if isinstance(each, Range) else Range.parse(each) for name, each in (space or {}).items()}
    tuned = _entries(entries, own, changes, budget)
    pairs = tested_pairs(tuned[0].settings)
    folder = Path(study_dir) if study_dir is not None else Path("studies") / _name(pairs)
    check_engine(engine, address)
    check_folder(folder, pairs)
    for each in (tuned[0].settings, trial_settings(tuned[0], {}, budget)[-1]):
        dataset = load_dataset(each.dataset, data_dir, download, **each.dataset_options)
        split_dataset(dataset, each.split, each.fold or 0)  # too many folds show here
    for place in (folder, Path(runs_dir)):
        check_writable(place)
    if jobs is None and engine == "local":
        jobs = 1 if device.startswith("cuda") else possible_jobs()
    places = {
        **{"jobs": jobs, "engine": engine, "address": address},
        **{"data_dir": data_dir, "download": download, "device": device},
    }
    with _alone(folder):
        tried = run_trials(
            tuned, budget, folder, places=places, told=lambda *count: progress("trials", *count), beside=beside
        )
        choices = [_Choice(one, tuple(each), seeds) for one, each in zip(tuned, tried, strict=True)]
        look = _look(choices, budget, seeds)
        looks = note_look(folder, pairs, look) if look.chosen else check_folder(folder, pairs)
        rows = _measured(choices, runs_dir=runs_dir, progress=progress, beside=beside, **places)
    return StudyResult(
        rows=tuple(each.row(rows) for each in choices),
        budget=budget,
        seeds=seeds,
        looks=tuple(looks),
        look=looks.index(look) + 1 if look in looks else 0,
        folder=str(folder),
    )


@dataclass(frozen=True)
class _Choice:
    """An entry after its trials."""

    tuned: Tuned
    trials: tuple[Trial, ...]
    seeds: int

    @property
    def best(self) -> Trial | None:
        """The trial with the highest accuracy, the first of equals."""
        finished = [each for each in self.trials if each.accuracy is not None]
        return max(finished, key=lambda each: (each.accuracy, -each.number), default=None)

    @property
    def entry(self) -> str | None:
        """The entry with the best trial's values."""
        return self.tuned.chosen(self.best.values) if self.best else None

    @property
    def settings(self) -> tuple[Settings, ...]:
        """What is measured on the test pairs, a seed each; nothing if all trials failed."""
        best = self.best
        return tuple(self.tuned.resolve(best.values, seed=seed) for seed in range(self.seeds)) if best else ()

    def row(self, rows: Mapping[str, Row]) -> StudyRow:
        """What is told of the entry; `rows` has those of the test pairs by chosen entry."""
        scores = [each.score(chance(self.tuned.settings)) for each in self.trials]
        return StudyRow(
            entry=self.tuned.entry,
            space=self.tuned.space,
            trials=self.trials,
            best=self.best,
            chosen=self.entry,
            budget=tuple(expected_best(scores)),
            row=rows[self.entry] if self.entry else None,
        )


def _look(choices: Sequence[_Choice], budget: Budget, seeds: int) -> Look:
    return Look(
        chosen={each.tuned.entry: each.entry for each in choices if each.entry},
        space={each.tuned.entry: {name: str(one) for name, one in each.tuned.space.items()} for each in choices},
        trials=budget.trials,
        folds=budget.folds,
        sampler=budget.sampler,
        seed=budget.seed,
        seeds=seeds,
        date=today(),
    )


def _entries(
    entries: Sequence[str], own: Mapping[str, Range], changes: Mapping[str, Any], budget: Budget
) -> list[Tuned]:
    if isinstance(entries, str) or not entries:
        raise UsageError(f"entries must be a list of at least one, such as ['baseline', 'siamese'], got {entries!r}")
    tuned = tuned_entries(entries, own, changes, budget.seed)
    for each in tuned[1:]:
        if tested_pairs(each.settings) != tested_pairs(tuned[0].settings):
            raise UsageError(f"{tuned[0].entry!r} and {each.entry!r} are tested on different pairs; set them for all")
    return tuned


def _measured(
    choices: Sequence[_Choice], *, progress: Told, beside: Callable[[str], Progress] | None, **options: Any
) -> dict[str, Row]:
    """Rows of the test pairs by chosen entry, trained where no run is on disk yet."""
    groups = {run_name(each.settings[0]): each.settings for each in choices if each.settings}  # equal ones once
    total = sum(map(len, groups.values()))
    titles = {run_name(one): f"{each.entry}, seed {one.seed}" for each in choices for one in each.settings}
    shown = beside and by_title(beside, titles)
    outcomes: list[RunResult | Diverged] = []
    for group in groups.values() if one_by_one(options) else [sum(groups.values(), ())]:

        def overall(stage: str, done: int, of: int, at: int = len(outcomes)) -> None:  # noqa: ARG001
            progress(_MEASURING, at + done, total)

        progress(_MEASURING, len(outcomes), total)
        outcomes += attempt_runs(
            group,
            progress=shown or (lambda _: silent),
            overall=overall,
            beside=shown,
            **options,
        )
    progress(_MEASURING, total, total)
    rows = dict(zip(groups, compare(outcomes)[1:], strict=True))
    return {each.entry: rows[run_name(each.settings[0])] for each in choices if each.entry}


def _name(pairs: Mapping[str, Any]) -> str:
    """Folder name of the studies of some test pairs."""
    words = re.sub(r"[^\w.+-]+", "-", f"{pairs['dataset']}-{pairs['split']}-{pairs['fold']}")
    return f"{words}-{key_of(pairs)[:8]}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from the study meanwhile.

    Raises:
        UsageError: if one is at it.
    """
    with claim(folder, "study") as other:
        if other is not None:
            where = "of this machine" if other.here else "of another machine"
            raise UsageError(
                f"process {other.pid} {where} works at the study in {folder}; wait, or name another folder"
            )
        yield
