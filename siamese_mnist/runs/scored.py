"""A run beside the scores of its test pairs, and the intervals of its figures."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.evaluation import METRICS, JudgedPairs
from siamese_mnist.evaluation.bootstrap import bootstrap_intervals
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.evaluation.metrics import compute
from siamese_mnist.runs.reading import RunError, read_scores
from siamese_mnist.runs.result import RunResult

REPLICATES = 200


@dataclass(frozen=True, eq=False)
class ScoredRun:
    """A run and what it said about its test pairs.

    Attributes:
        run: the run.
        columns: left, right, same, score and swapped_score (P,) of its test pairs; left_group and right_group where the
            images have groups, left_class and right_class where the test classes are new.
    """

    run: RunResult
    columns: Mapping[str, NDArray[Any]]

    @cached_property
    def pairs(self) -> JudgedPairs:
        """The test pairs with the run's scores and decision."""
        return JudgedPairs(
            scores=self.columns["score"].astype(np.float64),
            same=self.columns["same"],
            decision=self.run.decision,
            swapped_scores=self.columns["swapped_score"].astype(np.float64),
        )

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(P,) True where the answer was right."""
        right: NDArray[np.bool_] = self.pairs.predicted == self.pairs.same
        return right

    @property
    def units(self) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """What the test pairs are a sample of where the test classes are new, else nothing.

        Of both sides (P,) the class, by name, and the group where there are groups.
        """
        if self.run.split.test_classes is None or "left_class" not in self.columns:
            return {}
        names = np.array(self.run.split.test_classes)
        found = {"class": (names[self.columns["left_class"]], names[self.columns["right_class"]])}
        if "left_group" in self.columns:
            found["group"] = (self.columns["left_group"], self.columns["right_group"])
        return found

    @property
    def clusters(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """What makes test pairs dependent, of both sides (P,): the group where there are groups, else the image."""
        name = "{}_group" if "left_group" in self.columns else "{}"
        left, right = (self.columns[name.format(side)] for side in ("left", "right"))
        return left, right

    def figure(self, name: str) -> float | None:
        """A metric as the run states it, computed from its scores where the metric is younger than the run."""
        value: Any = self.run.test
        try:
            for key in name.split("/"):
                value = value[key]
        except KeyError:
            return compute(name, self.pairs)
        return None if value is None else float(value)


def scored_run(run: RunResult) -> ScoredRun:
    """Reads the scores of a run's test pairs.

    Raises:
        RunError: if they cannot be read.
    """
    columns, classes = read_scores(run.run_dir), run.split.test_classes or ()
    for name in ("left_class", "right_class"):
        if name in columns and not 0 <= columns[name].min() <= columns[name].max() < len(classes):
            raise RunError(f"{run.run_dir} is damaged ({name} names none of {len(classes)} classes); train it again")
    return ScoredRun(run, columns)


def run_intervals(runs: Sequence[ScoredRun], metrics: Collection[str]) -> dict[str, tuple[float, float]]:
    """95 % intervals of metrics over images and, with several runs on the same pairs, over seeds.

    Args:
        runs: one, or one for each seed.
        metrics: names in `METRICS`; those without an interval are left out.
    """
    columns = runs[0].columns
    left, right = runs[0].clusters
    found = {}
    if "accuracy" in metrics:
        found["accuracy"] = accuracy_interval(stacked([each.correct for each in runs]), left, right)
    decisions = [each.pairs.decision for each in runs]
    bootstrapped = bootstrap_intervals(
        stacked([each.columns["score"] for each in runs]),
        columns["same"],
        left,
        right,
        decisions if len(decisions) > 1 else decisions[0],
        rng=np.random.default_rng(0),
        statistics=[name for name in metrics if METRICS[name].interval == "bootstrap"],
        replicates=REPLICATES,
        swapped_scores=stacked([each.columns["swapped_score"] for each in runs]),
    )
    return {**found, **bootstrapped}


def stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(P,) of one seed, or (S, P) of several."""
    return np.stack(rows) if len(rows) > 1 else rows[0]
