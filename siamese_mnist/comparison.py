"""Runs to rows: every variant under the same pairs and budget, the report's published figures on top."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from siamese_mnist.experiment import find_run, run_settings
from siamese_mnist.recipes import Settings
from siamese_mnist.runs import RunResult
from siamese_mnist.training import Progress

_TEST_FIELDS = (
    "accuracy",
    "same.precision",
    "same.recall",
    "same.f1",
    "different.precision",
    "different.recall",
    "different.f1",
    "roc_auc",
    "equal_error_rate",
    "swap_agreement",
)

PUBLISHED: dict[str, Any] = {
    "variant": "report, as published",
    "published": True,
    "seeds": [],
    "accuracy": 0.89,
    "same": {"precision": None, "recall": 0.91, "f1": 0.89},
    "different": {"precision": None, "recall": None, "f1": 0.89},
    "roc_auc": None,
    "equal_error_rate": None,
    "swap_agreement": None,
    "parameters": 3226 + 401_762,
    "train_seconds": None,
    "score_pairs_per_second": None,
}
"""The report's figures (section 3.2.1 and Table 1), in the form of a row; None where it gives none."""


def ensure_runs(
    settings: Sequence[Settings],
    *,
    runs_dir: str | Path,
    data_dir: str | Path | None = None,
    download: bool = False,
    progress: Callable[[Settings], Progress],
) -> Iterator[RunResult]:
    """Yields one run for each of `settings`, in order: the one on disk, or a new one where there is none.

    Args:
        settings: what to run.
        runs_dir: folder of all runs.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        progress: makes the progress function of a run that has to be trained.

    Raises:
        UsageError: see `run`.
    """
    for each in settings:
        yield find_run(each, runs_dir) or run_settings(
            each, runs_dir=runs_dir, data_dir=data_dir, download=download, progress=progress(each)
        )


def compare(runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    """One row a variant, in order of appearance, with figures averaged over its seeds; the published row first."""
    groups: dict[str, list[RunResult]] = {}
    for run in runs:
        groups.setdefault(run.variant, []).append(run)
    return [PUBLISHED, *(_row(variant, group) for variant, group in groups.items())]


def _row(variant: str, runs: Sequence[RunResult]) -> dict[str, Any]:
    row: dict[str, Any] = {"variant": variant, "published": False, "seeds": [run.seed for run in runs]}
    for path in _TEST_FIELDS:
        *parents, name = path.split(".")
        place = row
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = fmean(_at(run.test, path) for run in runs)
    row["parameters"] = runs[0].parameters.backbone + runs[0].parameters.head
    row["train_seconds"] = fmean(run.phase1.train_seconds + run.phase2.train_seconds for run in runs)
    row["score_pairs_per_second"] = fmean(run.throughput.score_pairs_per_second for run in runs)
    row["run_dirs"] = [run.run_dir for run in runs]
    return row


def _at(values: dict[str, Any], path: str) -> float:
    for name in path.split("."):
        values = values[name]
    return float(values)  # type: ignore[arg-type]
