"""Runs to rows: every variant under the same pairs and budget, the report's published figures on top."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.bootstrap import bootstrap_intervals
from siamese_mnist.evaluation.intervals import PairedDifference, accuracy_interval, holm, paired_difference, verdict
from siamese_mnist.runs.result import PairFigures, RunResult
from siamese_mnist.runs.store import read_scores
from siamese_mnist.settings.entries import entry_names

REPLICATES = 200

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
_BOOTSTRAPPED = ("roc_auc", "equal_error_rate")

PUBLISHED: dict[str, Any] = {
    "variant": "report, as published",
    "entry": "report, as published",
    "published": True,
    "seeds": [],
    "accuracy": 0.89,
    "accuracy_sd": None,
    "accuracy_interval": None,
    "same": {"precision": None, "recall": 0.91, "f1": 0.89},
    "different": {"precision": None, "recall": None, "f1": 0.89},
    "roc_auc": None,
    "roc_auc_sd": None,
    "roc_auc_interval": None,
    "equal_error_rate": None,
    "equal_error_rate_sd": None,
    "equal_error_rate_interval": None,
    "swap_agreement": None,
    "compared_with": None,
    "difference": None,
    "difference_interval": None,
    "p_adjusted": None,
    "verdict": None,
    "parameters": 3226 + 401_762,
    "train_seconds": None,
    "train_pairs_per_second": None,
    "score_pairs_per_second": None,
    "score_microseconds_per_pair": None,
    "pairs": 10_000,
    "pairs_digest": None,
    "run_dirs": [],
}
"""The report's figures (section 3.2.1 and Table 1), in the form of a row; None where it gives none."""

SORT_COLUMNS: Mapping[str, bool] = MappingProxyType(
    {
        "accuracy": True,
        "accuracy_sd": False,
        "roc_auc": True,
        "roc_auc_sd": False,
        "equal_error_rate": False,
        "equal_error_rate_sd": False,
        "swap_agreement": True,
        "difference": True,
        "p_adjusted": False,
        "parameters": False,
        "train_seconds": False,
        "train_pairs_per_second": True,
        "score_pairs_per_second": True,
        "score_microseconds_per_pair": False,
    }
)
"""Columns that `sort_rows` takes, and whether more is better."""


def compare(runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    """One row an entry, in order of appearance, with figures averaged over its seeds; the published row first.

    An entry is a variant with what is changed of it (`entries.entry_names`). Every entry after the first is compared
    with the first one on the same pairs and the seeds that both have. Rows are explained in docs/comparison.md.

    Raises:
        UsageError: if the runs were not tested on the same pairs, or an entry has no seed in common with the first.
        RunError: if a run's scores cannot be read.
    """
    _check_same_pairs(runs)
    groups: dict[str, list[_Scored]] = {}
    for name, run in zip(entry_names([run.config for run in runs]), runs, strict=True):
        groups.setdefault(name, []).append(_scored(run))
    rows = [_row(name, group) for name, group in groups.items()]
    _add_verdicts(rows, list(groups.values()))
    return [PUBLISHED, *rows]


def sort_rows(rows: Sequence[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Rows by a column of figures, the best first; published rows stay on top, rows without the figure come last.

    Raises:
        UsageError: if it is none of `SORT_COLUMNS`.
    """
    check_sort_column(column)
    sign = -1 if SORT_COLUMNS[column] else 1
    return sorted(
        rows,
        key=lambda row: (not row["published"], math.inf if row[column] is None else sign * row[column]),
    )


def check_sort_column(column: str) -> None:
    """Raises UsageError if `sort_rows` would."""
    if column not in SORT_COLUMNS:
        raise UsageError(f"cannot sort by {column!r}; use one of {', '.join(SORT_COLUMNS)}")


class _Scored(NamedTuple):
    """A run and what it said about its test pairs."""

    run: RunResult
    scores: dict[str, NDArray[Any]]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(P,) True where the answer was right."""
        right: NDArray[np.bool_] = self.run.decision.predict(self.scores["score"]) == self.scores["same"]
        return right


def _scored(run: RunResult) -> _Scored:
    return _Scored(run, read_scores(run.run_dir))


def _check_same_pairs(runs: Sequence[RunResult]) -> None:
    for run in runs[1:]:
        for name, one, other in (
            ("data sets", runs[0].dataset, run.dataset),
            ("test pairs", runs[0].test.pairs_digest, run.test.pairs_digest),
        ):
            if one != other:
                shown = (f"{runs[0].run_dir} ({one[:12]})", f"{run.run_dir} ({other[:12]})")
                raise UsageError(
                    f"{' and '.join(shown)} have different {name}; compare runs with the same data set and test pairs"
                )


def _row(entry: str, group: Sequence[_Scored]) -> dict[str, Any]:
    runs = [each.run for each in group]
    row: dict[str, Any] = dict.fromkeys(PUBLISHED)
    row.update(variant=runs[0].variant, entry=entry, published=False, seeds=[run.seed for run in runs])
    for path in _TEST_FIELDS:
        parent, _, name = path.rpartition(".")
        if parent:
            row[parent] = {**(row[parent] or {}), name: fmean(_at(run.test, path) for run in runs)}
        else:
            row[name] = fmean(_at(run.test, path) for run in runs)
    for name in ("accuracy", *_BOOTSTRAPPED):
        row[f"{name}_sd"] = stdev(run.test[name] for run in runs) if len(runs) > 1 else None
    for name, interval in _intervals(group).items():
        row[f"{name}_interval"] = list(interval)
    row["parameters"] = runs[0].parameters.backbone + runs[0].parameters.head
    row["train_seconds"] = fmean(run.phase1.train_seconds + run.phase2.train_seconds for run in runs)
    for name in ("train_pairs_per_second", "score_pairs_per_second"):
        row[name] = fmean(run.throughput[name] for run in runs)
    row["score_microseconds_per_pair"] = fmean(1e6 / run.throughput.score_pairs_per_second for run in runs)
    row["pairs"], row["pairs_digest"] = runs[0].test.pairs, runs[0].test.pairs_digest
    row["run_dirs"] = [run.run_dir for run in runs]
    return row


def _at(figures: PairFigures, path: str) -> float:
    value: Any = figures
    for name in path.split("."):
        value = value[name]
    return float(value)


def _intervals(group: Sequence[_Scored]) -> dict[str, tuple[float, float]]:
    """Intervals over images, and over seeds where there are several."""
    pairs = group[0].scores
    scores = _table([each.scores["score"] for each in group])
    decisions = [each.run.decision for each in group]
    return {
        "accuracy": accuracy_interval(_table([each.correct for each in group]), pairs["left"], pairs["right"]),
        **bootstrap_intervals(
            scores,
            pairs["same"],
            pairs["left"],
            pairs["right"],
            decisions if len(decisions) > 1 else decisions[0],
            rng=np.random.default_rng(0),
            statistics=_BOOTSTRAPPED,
            replicates=REPLICATES,
        ),
    }


def _table(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(P,) of one seed, or (S, P)."""
    return np.stack(rows) if len(rows) > 1 else rows[0]


def _add_verdicts(rows: Sequence[dict[str, Any]], groups: Sequence[Sequence[_Scored]]) -> None:
    """Says of every row after the first how its accuracy compares with the first one's; Holm over all rows."""
    names = [row["entry"] for row in rows]
    differences = [
        _difference(group, groups[0], (name, names[0])) for name, group in zip(names[1:], groups[1:], strict=True)
    ]
    adjusted = holm([each.p_value for each in differences]).tolist()
    for row, found, p_adjusted in zip(rows[1:], differences, adjusted, strict=True):
        row["compared_with"] = names[0]
        row["difference"] = found.difference
        row["difference_interval"] = [found.low, found.high]
        row["p_adjusted"] = p_adjusted
        row["verdict"] = verdict(found.low, found.high, p_adjusted)


def _difference(group: Sequence[_Scored], baseline: Sequence[_Scored], names: tuple[str, str]) -> PairedDifference:
    ours, theirs = ({each.run.seed: each for each in runs} for runs in (group, baseline))
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        raise UsageError(f"{names[0]!r} and {names[1]!r} have no seed in common; compare runs with the same seeds")
    pairs = baseline[0].scores
    return paired_difference(
        _table([ours[seed].correct for seed in seeds]),
        _table([theirs[seed].correct for seed in seeds]),
        pairs["left"],
        pairs["right"],
    )
