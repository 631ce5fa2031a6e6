"""Runs to rows: every variant under the same pairs and budget, the report's published figures on top."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import METRICS
from siamese_mnist.evaluation.metrics import headline_metrics, nested
from siamese_mnist.evaluation.verdicts import Comparison, Verdict, judge_family
from siamese_mnist.runs.folds import (
    Folds,
    by_fold,
    entry_intervals,
    fold_clusters,
    fold_comparison,
    over_units,
)
from siamese_mnist.runs.reading import read_run
from siamese_mnist.runs.result import Diverged, RunResult
from siamese_mnist.runs.scored import scored_run, stacked
from siamese_mnist.runs.store import scan_runs
from siamese_mnist.settings.entries import entry_names
from siamese_mnist.settings.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure, the mean over seeds.

    Attributes:
        mean: None where there is no figure.
        sd: standard deviation over the seeds, None with one seed.
        interval: 95 % interval, None where the metric has none.
    """

    mean: float | None = None
    sd: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Accuracy less that of the first entry, on the same pairs and seeds.

    Attributes:
        compared_with: the first entry.
        mean: the difference in accuracy.
        interval: its interval, simultaneous with those of the other entries: all hold at once in 95 % of tables.
        p_adjusted: p-value of "no difference", adjusted for the number of entries.
        verdict: what it shows; a side is taken if and only if the interval leaves out 0.
    """

    compared_with: str
    mean: float
    interval: tuple[float, float]
    p_adjusted: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry of a comparison, its figures averaged over seeds; docs/comparison.md explains each.

    `row["accuracy"]` reads a value by its key in JSON.

    Attributes:
        variant: what was trained, without the changes.
        entry: a variant with what is changed of it (`entries.entry_names`).
        published: whether it is the report's own.
        diverged: whether the training of a seed diverged; there are no figures then, as a mean over the other seeds
            would flatter the entry.
        seeds: of the runs that it is the mean of.
        folds: of the split, each with every seed.
        vary: what differs between these runs, see the setting of that name.
        figures: by name in `METRICS`.
        versus_first: the comparison with the first entry; None for the first itself.
        parameters: numbers in backbone and head.
        train_seconds: both phases.
        train_pairs_per_second: of phase 2.
        score_pairs_per_second: when the test pairs are scored.
        score_microseconds_per_pair: the same, turned over.
        pairs: number of test pairs.
        pairs_digest: which ones.
        run_dirs: where the runs are.
    """

    variant: str
    entry: str
    published: bool = False
    diverged: bool = False
    seeds: tuple[int, ...] = ()
    folds: tuple[int, ...] = ()
    vary: str | None = None
    figures: Mapping[str, Estimate] = field(default_factory=dict)
    versus_first: Difference | None = None
    parameters: int | None = None
    train_seconds: float | None = None
    train_pairs_per_second: float | None = None
    score_pairs_per_second: float | None = None
    score_microseconds_per_pair: float | None = None
    pairs: int | None = None
    pairs_digest: str | None = None
    run_dirs: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        return self._json[key]

    def figure(self, name: str) -> Estimate:
        """A metric's figure; one without a value where the row has none."""
        return self.figures.get(name, Estimate())

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON holds it; all rows have the same keys."""
        return dict(self._json)

    @property
    def _json(self) -> dict[str, Any]:
        first = self.versus_first
        return {
            "variant": self.variant,
            "entry": self.entry,
            "published": self.published,
            "diverged": self.diverged,
            "seeds": list(self.seeds),
            "folds": list(self.folds),
            "vary": self.vary,
            **nested(self._flat_figures()),
            "compared_with": first and first.compared_with,
            "difference": first and first.mean,
            "difference_interval": first and list(first.interval),
            "p_adjusted": first and first.p_adjusted,
            "verdict": "diverged" if self.diverged else first and first.verdict,
            **{name: getattr(self, name) for name in (*_COSTS, "pairs", "pairs_digest")},
            "run_dirs": list(self.run_dirs),
        }

    def _flat_figures(self) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for name in METRICS:
            if not METRICS[name].headline:
                continue
            estimate = self.figure(name)
            flat[name] = estimate.mean
            if _has_spread(name):
                flat[f"{name}_sd"] = estimate.sd
                flat[f"{name}_interval"] = estimate.interval and list(estimate.interval)
        return flat


_COSTS: Mapping[str, bool] = {
    "parameters": False,
    "train_seconds": False,
    "train_pairs_per_second": True,
    "score_pairs_per_second": True,
    "score_microseconds_per_pair": False,
}
"""Columns of cost, and whether more is better."""

PUBLISHED = Row(
    variant="report, as published",
    entry="report, as published",
    published=True,
    figures={
        "accuracy": Estimate(mean=0.89),
        "same/recall": Estimate(mean=0.91),
        "same/f1": Estimate(mean=0.89),
        "different/f1": Estimate(mean=0.89),
    },
    parameters=3226 + 401_762,
    pairs=10_000,
)
"""The report's figures (section 3.2.1 and Table 1)."""


def compare(outcomes: Sequence[RunResult | Diverged]) -> list[Row]:
    """One row an entry, in order of appearance, with figures averaged over its seeds; the published row first.

    Runs that differ in their fold alone are of one entry, too. Every entry after the first is compared with the first
    one on the same pairs, in the folds and with the seeds that both have. An entry
    with a diverged training has no figures, and if that is the first one, no entry is compared with it.

    Raises:
        UsageError: if the runs were not tested on the same pairs, or an entry has no seed in common with the first.
        RunError: if a run's scores cannot be read.
    """
    for fold in _folds_of(outcomes):
        check_comparable([each for each in fold if isinstance(each, RunResult)])
    groups: dict[str, list[RunResult | Diverged]] = {}
    names = _names([Settings.from_dict(each.config) for each in outcomes])
    for name, outcome in zip(names, outcomes, strict=True):
        groups.setdefault(name, []).append(outcome)
    rows: list[Row] = []
    compared: dict[str, Folds] = {}
    for name, group in groups.items():
        runs = [each for each in group if isinstance(each, RunResult)]
        if len(runs) < len(group):
            rows.append(Row(variant=str(group[0].config["variant"]), entry=name, diverged=True))
        else:
            compared[name] = by_fold([scored_run(run) for run in runs])
            rows.append(_row(name, compared[name]))
    if not rows or rows[0].diverged:
        return [replace(PUBLISHED), *rows]
    judged = iter(_with_verdicts([row for row in rows if not row.diverged], list(compared.values())))
    return [replace(PUBLISHED), *(row if row.diverged else next(judged) for row in rows)]


def _folds_of(outcomes: Sequence[RunResult | Diverged]) -> list[list[RunResult | Diverged]]:
    """Outcomes fold by fold."""
    folds: dict[int, list[RunResult | Diverged]] = {}
    for each in outcomes:
        folds.setdefault(each.config.get("fold") or 0, []).append(each)
    return list(folds.values())


def _names(settings: Sequence[Settings]) -> list[str]:
    """What to call entries; where several folds are there, runs that differ in their fold alone are of one."""
    if len({each.fold or 0 for each in settings}) > 1:
        settings = [replace(each, fold=None) for each in settings]
    return entry_names(settings)


def choose_runs(run_dirs: Sequence[str | Path], runs_dir: str | Path) -> list[RunResult]:
    """The named runs or, where none is named, the newest run of all settings below `runs_dir`.

    Returns:
        Runs by entry, in the order named or with the baseline first, and by seed. Verdicts compare every entry with the
        first.

    Raises:
        RunError: if a named run is not complete, or damaged.
        UsageError: if there is no run, or the runs cannot be set side by side.
    """
    if run_dirs:
        runs = [read_run(each) for each in dict.fromkeys(Path(each) for each in run_dirs)]
    else:
        newest = {str(run.config): run for run in scan_runs(runs_dir, whole=True).runs}
        runs = list(newest.values())
    if not runs:
        raise UsageError(f"no complete run below {runs_dir}; train one with `siamese-mnist run`, or see --runs-dir")
    check_comparable(runs)
    named = list(zip(entry_names([Settings.from_dict(run.config) for run in runs]), runs, strict=True))
    order = list(dict.fromkeys(name for name, _ in named))
    if not run_dirs:
        order.sort(key=lambda name: (name != "baseline", name.partition(":")[0] != "baseline"))
    return [run for _, run in sorted(named, key=lambda each: (order.index(each[0]), each[1].seed))]


def what_seeds_vary(rows: Sequence[Row]) -> list[str]:
    """Sentences that say what the spread over seeds is of; none where every entry has one seed."""
    varied = dict.fromkeys(row.vary for row in rows if row.vary and len(row.seeds) > 1)
    return [f"the seeds of an entry differ in: {_VARIED[each]}" for each in varied]


_VARIED = {
    "seed": "initial values and batch order; training pairs and images are the same",
    "seed,pairs": "initial values, batch order and training pairs; training images are the same",
    "seed,images": "initial values, batch order and training images (resampled)",
    "seed,pairs,images": "initial values, batch order, training pairs and training images (resampled)",
}


def check_comparable(runs: Sequence[RunResult]) -> None:
    """Raises UsageError unless all runs have the same data set and test pairs."""
    for run in runs[1:]:
        for what, one, other in (
            ("data sets", runs[0].dataset, run.dataset),
            ("test pairs", runs[0].test.pairs_digest, run.test.pairs_digest),
        ):
            if one != other:
                raise UsageError(
                    f"{runs[0].run_dir} ({one[:12]}) and {run.run_dir} ({other[:12]}) have different {what}; "
                    "compare runs with the same data set and test pairs"
                )


def sort_columns() -> dict[str, bool]:
    """Columns that `sort_rows` takes, and whether more is better."""
    columns: dict[str, bool] = {}
    for name, metric in headline_metrics().items():
        columns[name] = metric.higher_is_better
        if _has_spread(name):
            columns[f"{name}_sd"] = False
    return {**columns, "difference": True, "p_adjusted": False, **_COSTS}


def sort_rows(rows: Sequence[Row], column: str) -> list[Row]:
    """Rows by a column of figures, the best first; published rows stay on top, rows without the figure come last.

    Raises:
        UsageError: if it is none of `sort_columns`.
    """
    check_sort_column(column)
    sign = -1 if sort_columns()[column] else 1
    return sorted(rows, key=lambda row: (not row.published, math.inf if row[column] is None else sign * row[column]))


def check_sort_column(column: str) -> None:
    """Raises UsageError if `sort_rows` would."""
    if column not in sort_columns():
        raise UsageError(f"cannot sort by {column!r}; use one of {', '.join(sort_columns())}")


def _has_spread(name: str) -> bool:
    """Whether a metric's standard deviation and interval are given in a row."""
    return METRICS[name].interval is not None and "/" not in name


def _row(entry: str, folds: Folds) -> Row:
    runs = [each.run for seeds in folds for each in seeds]
    intervals = entry_intervals(folds, headline_metrics())
    digests = [seeds[0].run.test.pairs_digest for seeds in folds]
    return Row(
        variant=runs[0].variant,
        entry=entry,
        seeds=tuple(each.run.seed for each in folds[0]),
        folds=tuple(seeds[0].run.split.fold for seeds in folds),
        vary=str(runs[0].config.get("vary", "seed")),
        figures={name: _estimate(name, folds, intervals) for name in METRICS if METRICS[name].headline},
        parameters=runs[0].parameters.backbone + runs[0].parameters.head,
        train_seconds=fmean(run.phase1.train_seconds + run.phase2.train_seconds for run in runs),
        train_pairs_per_second=fmean(run.throughput.train_pairs_per_second for run in runs),
        score_pairs_per_second=fmean(run.throughput.score_pairs_per_second for run in runs),
        score_microseconds_per_pair=fmean(1e6 / run.throughput.score_pairs_per_second for run in runs),
        pairs=sum(seeds[0].run.test.pairs for seeds in folds),
        pairs_digest=digests[0] if len(folds) == 1 else sha256("".join(digests).encode()).hexdigest(),
        run_dirs=tuple(run.run_dir for run in runs),
    )


def _estimate(name: str, folds: Folds, intervals: Mapping[str, tuple[float, float]]) -> Estimate:
    values = [[each.figure(name) for each in seeds] for seeds in folds]
    if any(value is None for seeds in values for value in seeds):
        return Estimate()
    by_seed = [fmean(value for value in seed if value is not None) for seed in zip(*values, strict=True)]
    sd = stdev(by_seed) if _has_spread(name) and len(by_seed) > 1 else None
    return Estimate(mean=fmean(by_seed), sd=sd, interval=intervals.get(name))


def _with_verdicts(rows: Sequence[Row], groups: Sequence[Folds]) -> list[Row]:
    """Rows that say how their accuracy compares with the first one's, all as one family."""
    names = [row.entry for row in rows]
    comparisons = [
        _comparison(group, groups[0], (name, names[0])) for name, group in zip(names[1:], groups[1:], strict=True)
    ]
    judged = judge_family(comparisons, *fold_clusters(groups[0]))
    compared = [
        replace(
            row,
            versus_first=Difference(
                compared_with=names[0],
                mean=found.difference,
                interval=(found.low, found.high),
                p_adjusted=found.p_adjusted,
                verdict=found.verdict,
            ),
        )
        for row, found in zip(rows[1:], judged, strict=True)
    ]
    return [*rows[:1], *compared]


def _comparison(ours: Folds, theirs: Folds, names: tuple[str, str]) -> Comparison:
    if [seeds[0].run.split.fold for seeds in ours] != [seeds[0].run.split.fold for seeds in theirs]:
        raise UsageError(f"{names[0]!r} and {names[1]!r} have different folds; compare runs of the same folds")
    known = {each.run.seed for each in theirs[0]}
    seeds = {each.run.seed for each in ours[0] if each.run.seed in known}
    if not seeds:
        raise UsageError(f"{names[0]!r} and {names[1]!r} have no seed in common; compare runs with the same seeds")
    one, other = ([[each for each in runs if each.run.seed in seeds] for runs in folds] for folds in (ours, theirs))
    if over_units(ours):
        return fold_comparison(one, other)
    return Comparison(stacked([each.correct for each in one[0]]), stacked([each.correct for each in other[0]]))
