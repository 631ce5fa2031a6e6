"""What the audit measures before it judges: runs over seeds, their curves, and phase 1 measured twice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.audit.finding import Measure, Measured
from siamese_mnist.audit.phase1 import PhaseOne, phase_one_twice
from siamese_mnist.data import Dataset, load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.verdicts import paired_difference
from siamese_mnist.runs.jobs import ensure_runs
from siamese_mnist.runs.scored import ScoredRun, scored_run
from siamese_mnist.runs.store import RunResult, read_history
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.threads import RUN_THREADS, threads
from siamese_mnist.training.phases import Progress, silent

REPORT = "baseline"
ENTRIES: Mapping[str, str] = {
    "report": REPORT,
    "bytes": f"{REPORT}:backbone.pixel_max=255",
    "one block": f"{REPORT}:backbone.blocks=1",
    "three blocks": f"{REPORT}:backbone.blocks=3",
    "no phase 1": f"{REPORT}:pretrain_epochs=0",
    "trained backbone": f"{REPORT}:backbone_learning_rate=0.0001,backbone_every=2",
}
"""What the audit runs, each with every seed, as entries of a comparison."""

Curve = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was measured.

    Attributes:
        runs: by key of `ENTRIES`, one for every seed.
        scored: the same beside the answers to their test pairs.
        curves: phase 2 of the report's design, for every seed, see `runs.read_history`.
        phase_one: phase 1 of the report's design measured twice, for every seed.
        dataset: the images of all runs.
    """

    runs: Mapping[str, Sequence[RunResult]]
    scored: Mapping[str, Sequence[ScoredRun]]
    curves: Sequence[Curve]
    phase_one: Sequence[PhaseOne]
    dataset: Dataset

    def each(self, pick: Callable[[RunResult], float], entry: str = "report") -> list[float]:
        """A figure of every seed of an entry."""
        return [float(pick(run)) for run in self.runs[entry]]

    def gain(self, entry: str, over: str = "report") -> Measure:
        """Accuracy of one entry less that of another, on the same pairs and seeds."""
        ours, theirs = (np.stack([each.correct for each in self.scored[name]]) for name in (entry, over))
        left, right = self.scored[entry][0].clusters
        return lambda confidence: Measured(*paired_difference(ours, theirs, left, right, confidence)[:3])


def gather(
    seeds: int,
    *,
    runs_dir: str | Path,
    data_dir: str | Path | None = None,
    dataset: str = "mnist-tenth",
    recipe: str = "report",
    jobs: int = 1,
    progress: Callable[[Settings], Progress] = lambda settings: silent,  # noqa: ARG005
    overall: Progress = silent,
    phase_one: Progress = silent,
) -> Evidence:
    """Trains what is missing of `ENTRIES` and measures it.

    Args:
        seeds: number of seeds, 0, 1, ..., at least two.
        runs_dir: folder of all runs.
        data_dir: folder of the data set's files.
        dataset: data set of all runs.
        recipe: training protocol of all runs.
        jobs: runs trained at once.
        progress: see `jobs.ensure_runs`.
        overall: see `jobs.ensure_runs`.
        phase_one: told after every phase 1 that is measured twice.

    Raises:
        UsageError: with fewer than two seeds, or see `run`.
    """
    if seeds < 2:
        raise UsageError(f"an audit needs the spread between seeds; seeds must be >= 2, got {seeds}")
    settings = {
        key: [Settings.resolve(entry, dataset=dataset, recipe=recipe, seed=seed) for seed in range(seeds)]
        for key, entry in ENTRIES.items()
    }
    flat = [each for group in settings.values() for each in group]
    done = list(ensure_runs(flat, runs_dir=runs_dir, data_dir=data_dir, progress=progress, jobs=jobs, overall=overall))
    runs = {key: done[number * seeds : (number + 1) * seeds] for number, key in enumerate(settings)}
    images = load_dataset(dataset, data_dir)
    twice: list[PhaseOne] = []
    with threads(RUN_THREADS):
        for each in settings["report"]:
            phase_one("phase 1 measured twice", len(twice), seeds)
            twice.append(phase_one_twice(each, images))
        phase_one("phase 1 measured twice", seeds, seeds)
    return Evidence(
        runs=runs,
        scored={key: [scored_run(run) for run in group] for key, group in runs.items()},
        curves=[read_history(run.run_dir) for run in runs["report"]],
        phase_one=twice,
        dataset=images,
    )
