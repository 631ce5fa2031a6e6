"""A gallery: names with examples, and whose an image is, or nobody's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation.costs import check_prior, effective_prior
from siamese_mnist.evaluation.identification import (
    expected_false_positives,
    false_positive_threshold,
    guarded_threshold,
)
from siamese_mnist.inference.search import Examples, Index, Nearest, exact
from siamese_mnist.inference.verifier import Images, Verifier

MAX_FPIR = 0.1
"""The false positive identification rate that is allowed unless another is named."""

_TOGETHER = 2  # names that are alike alarm both, as each is compared with the other
_PROBED = 1000  # examples that the false positive identification rate is estimated from
_LARGEST_EXACT = 1_000_000  # examples; beyond, an index proposes candidates


class Example(NamedTuple):
    """An enrolled example near to an image."""

    name: str
    source: str  # such as its file
    score: float


class Expected(NamedTuple):
    """What to expect of images of nobody in the gallery, at a threshold.

    Attributes:
        threshold: what the best example must reach for its name to be given.
        rate: false positive identification rate to expect; None where the gallery has one name and the model was made
            before calibration pairs were kept.
        low: lower bound of its interval.
        high: upper bound of its interval.
        basis: what it is estimated from.
        of: what the threshold is of: the "score", or the "probability" that the name is right.
    """

    threshold: float
    rate: float | None
    low: float | None
    high: float | None
    basis: str
    of: Literal["score", "probability"] = "score"


class Identification(NamedTuple):
    """Whose an image is.

    Attributes:
        name: the name, or None for "unknown": no example reaches the threshold, see `Expected`.
        probability: that the nearest example's name is right, in [0, 1], if a share of `prior` of the images is of
            somebody in the gallery, every second one unless said, and all its names are equally likely.
        score: of the nearest example, higher = more alike.
        nearest: the nearest examples, the nearest first.
    """

    name: str | None
    probability: float
    score: float
    nearest: tuple[Example, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {**self._asdict(), "nearest": [each._asdict() for each in self.nearest]}


class Gallery:
    """Names with one or more examples each, compared by a verifier; see `galleryfile` for keeping it.

    A name's score for an image is that of its nearest example, as `Verifier.score_matrix` gives it with the image as
    the left one. Examples are kept as embeddings, or as images for designs that have none.

    Args:
        verifier: what compares.
        run: path of the run or bundle that the verifier is of, for its file.
        preprocessing: how picture files become its images; None for the verifier's own way.

    Example:
        ```python
        gallery = Gallery(verifier)
        gallery.enrol("seven", images)
        gallery.identify(others)[0].name  # "seven"
        ```
    """

    def __init__(self, verifier: Verifier, *, run: str = "", preprocessing: Preprocessing | None = None) -> None:
        self.verifier = verifier
        self.run = run
        self.preprocessing = preprocessing or verifier.preprocessing
        self._kept: Tensor | None = None  # as from `Verifier.prepare`
        self._owners: list[str] = []  # name of every example
        self._sources: list[str] = []
        self._index: Index | None = None  # of all examples, built when it is first needed

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._owners)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of their first examples."""
        return tuple(dict.fromkeys(self._owners))

    @property
    def kept(self) -> Tensor | None:
        """What is kept of the examples, row by row, see `Verifier.prepare`; None without any."""
        return self._kept

    @property
    def examples(self) -> list[tuple[str, str]]:
        """Name and source of every example, row by row."""
        return list(zip(self._owners, self._sources, strict=True))

    def counts(self) -> dict[str, int]:
        """Number of examples by name."""
        counts = dict.fromkeys(self.names, 0)
        for name in self._owners:
            counts[name] += 1
        return counts

    def enrol(self, name: str, images: Images, sources: Sequence[str] | None = None) -> None:
        """Adds examples of a name, which may be there already.

        Args:
            name: any text but none and "unknown".
            images: (N, H, W) or (N, C, H, W) uint8.
            sources: what to call each example, such as its file.

        Raises:
            UsageError: if the name or the images cannot be used; nothing is added then.
        """
        kept = self.verifier.prepare(images)
        called = [""] * len(kept) if sources is None else list(sources)
        if len(called) != len(kept):
            raise UsageError(f"sources must be one for each image, {len(kept)}, got {len(called)}")
        self.add(kept, [(name, source) for source in called])

    def add(self, kept: Tensor, examples: Sequence[tuple[str, str]]) -> None:
        """Adds examples that `Verifier.prepare` has made.

        Args:
            kept: (N, ...) what is kept of each.
            examples: name and source of each.

        Raises:
            UsageError: if a name cannot be used; nothing is added then.
        """
        for name, _ in examples:
            if not name.strip() or name == "unknown":
                raise UsageError(f"a name must be some text other than 'unknown', got {name!r}")
        self._kept = kept if self._kept is None else torch.cat([self._kept, kept])
        self._owners += [name for name, _ in examples]
        self._sources += [source for _, source in examples]
        self._index = None

    def remove(self, name: str) -> None:
        """Removes a name with all its examples.

        Raises:
            UsageError: if it is not in the gallery.
        """
        if name not in self._owners:
            raise UsageError(f"the gallery has no {name!r}; it has {_some(self.names)}")
        assert self._kept is not None
        left = [row for row, owner in enumerate(self._owners) if owner != name]
        self._kept = self._kept[left] if left else None
        self._owners = [self._owners[row] for row in left]
        self._sources = [self._sources[row] for row in left]
        self._index = None

    def merge(self, other: Gallery) -> None:
        """Adds all examples of another gallery of the same model; those that are in both are kept once."""
        if other.kept is None:
            return
        seen = set(self._identities())
        new = [row for row, identity in enumerate(other._identities()) if identity not in seen]
        self.add(other.kept[new], [other.examples[row] for row in new])

    def _identities(self) -> list[tuple[str, str, bytes]]:
        contents = [] if self._kept is None else [row.tobytes() for row in self._kept.numpy()]
        return [(*example, content) for example, content in zip(self.examples, contents, strict=True)]

    def expect(self, max_fpir: float = MAX_FPIR) -> Expected:
        """The threshold for a limit on the false positive identification rate, and the rate to expect at it.

        A stranger meets this gallery as one of its own names meets the others, if the names are drawn like strangers;
        so the highest score that each name has with any other name tells how often strangers reach a threshold,
        without taking the comparisons with many names as independent. Of n independent names, the rate to expect at
        the (k + 1)th of these scores would be (k + 1) / (n + 1) (Vovk et al. 2005); two names that are alike alarm
        both, so that it is (k + 2) / (n + 1). The interval is of the rate among all strangers there could be; the
        share among a few of them varies more. With one name, the rate is the false match rate of the calibration
        pairs, times the number of its examples, which is at most what several examples accept. No name is given
        below the model's own threshold for pairs. With few names no threshold can be shown to keep a low limit; the
        rate says so.

        Args:
            max_fpir: the limit, in (0, 1).

        Raises:
            UsageError: if the limit is out of range, or the gallery is empty.
        """
        if not 0 < max_fpir < 1:
            raise UsageError(f"the limit on the false positive identification rate must be in (0, 1), got {max_fpir}")
        own, alarms = self.verifier.decision.threshold, self._alarms()
        if alarms is None:
            return self._expect_of_one_name(max_fpir)
        return self._expected(max(own, guarded_threshold(*alarms, max_fpir, _TOGETHER)), alarms)

    def expect_at(self, threshold: float) -> Expected:
        """The false positive identification rate to expect at a threshold, such as that of an operating point.

        Args:
            threshold: the score that the best example must reach for its name to be given.

        Raises:
            UsageError: if the gallery is empty.
        """
        return self._expected(threshold, self._alarms())

    def expect_costs(
        self, *, cost_false_match: float = 1.0, cost_false_non_match: float = 1.0, prior: float = 0.5
    ) -> Expected:
        """The probability from which it is cheaper to give a name than none, and the rate to expect at it.

        A name that is right with probability p costs (1 - p) times `cost_false_match` if it is given, and p times
        `cost_false_non_match` if it is withheld (Bayes' decision).

        Args:
            cost_false_match: > 0, of a wrong name, or of any name of a stranger.
            cost_false_non_match: > 0, of a right name that is not given.
            prior: share of images that are of somebody in the gallery, in (0, 1).

        Raises:
            UsageError: if a number is out of its range, or the gallery is empty.
        """
        check_prior(prior)
        least = 1 - effective_prior(0.5, cost_false_match, cost_false_non_match)
        examples = self._searched()
        if len(self.names) < 2:
            return Expected(least, None, None, None, "one name cannot tell; enrol more", "probability")
        rows, found = self._probed(examples)
        own = self._own_evidence(examples.kept[rows], examples, found)
        values = [self._probability(*each, prior) for each in zip(own.tolist(), found.evidence.tolist(), strict=True)]
        return self._expected(least, (np.array(values), examples.owners[rows].numpy()))._replace(of="probability")

    def _alarms(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """The highest score of examples with any other name, and their owners; None of one name."""
        examples = self._searched()
        if len(self.names) < 2:
            return None
        rows, found = self._probed(examples)
        return found.scores[:, 0].numpy(), examples.owners[rows].numpy()

    def _probed(self, examples: Examples) -> tuple[Tensor, Nearest]:
        """Rows of some examples, and the nearest example of another name to each."""
        rows = _spread_over_names(examples.owners, _PROBED)
        return rows, exact(self.verifier, examples.kept[rows], examples, 1, without=examples.owners[rows])

    def _expected(self, threshold: float, alarms: tuple[NDArray[Any], NDArray[Any]] | None) -> Expected:
        if alarms is None:
            return self._expected_of_one_name(threshold)
        rate = expected_false_positives(*alarms, threshold, _TOGETHER)
        names = np.unique(alarms[1]).size
        return Expected(threshold, *rate, f"{names} names of the gallery, each compared with all others")

    def _expect_of_one_name(self, max_fpir: float) -> Expected:
        own, calibration = self.verifier.decision.threshold, self.verifier.calibration
        if calibration is not None:
            impostors = calibration.scores[~calibration.same]
            own = max(own, false_positive_threshold(impostors, max_fpir / len(self)))
        return self._expected_of_one_name(own)

    def _expected_of_one_name(self, threshold: float) -> Expected:
        calibration, examples = self.verifier.calibration, len(self)
        if calibration is None:
            return Expected(threshold, None, None, None, "one name cannot tell; enrol more")
        found = calibration.false_match_rate(threshold)
        rate, low, high = (min(1.0, examples * each) for each in (found.rate, *found.interval))
        times = f", for each of {examples} examples" if examples > 1 else ""
        return Expected(threshold, rate, low, high, f"{found.pairs:,} different pairs of calibration images{times}")

    def identify(
        self,
        images: Images,
        *,
        max_fpir: float = MAX_FPIR,
        nearest: int = 3,
        expected: Expected | None = None,
        prior: float = 0.5,
    ) -> list[Identification]:
        """Whose each image is.

        Args:
            images: (N, H, W) or (N, C, H, W) uint8.
            max_fpir: limit on the false positive identification rate, see `expect`.
            nearest: how many examples to give, >= 1.
            expected: what `expect` gave before, to spare its work, or `expect_at` or `expect_costs` for another
                threshold.
            prior: share of images that are of somebody in the gallery, in (0, 1); the probabilities are for it.

        Raises:
            UsageError: if the images or a number cannot be used, or the gallery is empty.
        """
        if nearest < 1:
            raise UsageError(f"nearest must be >= 1, got {nearest}")
        check_prior(prior)
        expected = expected or self.expect(max_fpir)
        queries, examples = self.verifier.prepare(images), self._searched()
        found = self._search(queries, examples, min(nearest, len(self)))
        own = self._own_evidence(queries, examples, found)
        return [
            self._identification(Nearest(*(each[row] for each in found)), float(own[row]), expected, prior)
            for row in range(len(queries))
        ]

    def _search(self, queries: Tensor, examples: Examples, count: int) -> Nearest:
        if len(self) > _LARGEST_EXACT and self.verifier.model.embeds:
            if self._index is None:
                self._index = Index(self.verifier, examples)
            return self._index.search(queries, count)
        return exact(self.verifier, queries, examples, count)

    def _own_evidence(self, queries: Tensor, examples: Examples, found: Nearest) -> Tensor:
        """Evidence (Q,) of all examples of the name that is nearest to each query."""
        owners = examples.owners[found.rows[:, 0]]
        evidence = torch.empty(len(queries))
        for owner in owners.unique():
            mine = Examples(*(column[examples.owners == owner] for column in examples))
            evidence[owners == owner] = exact(self.verifier, queries[owners == owner], mine, 1).evidence
        return evidence

    def _identification(self, found: Nearest, own: float, expected: Expected, prior: float) -> Identification:
        """Of one image: its nearest examples, and the evidence of the nearest name."""
        score, probability = float(found.scores[0]), self._probability(own, float(found.evidence), prior)
        near = [
            Example(self._owners[row], self._sources[row], value)
            for row, value in zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        ]
        reached = (score if expected.of == "score" else probability) >= expected.threshold
        return Identification(near[0].name if reached else None, probability, score, tuple(near))

    def _probability(self, own: float, whole: float, prior: float) -> float:
        """Of a name, from the logarithms of its and of all names' likelihood ratios, by Bayes' rule."""
        each = math.log(prior / len(self.names))
        return math.exp(each + own - np.logaddexp(math.log(1 - prior), each + max(whole, own)))

    def _searched(self) -> Examples:
        if self._kept is None:
            raise UsageError("the gallery is empty; enrol a name first")
        numbers = {name: number for number, name in enumerate(self.names)}
        owners = torch.tensor([numbers[name] for name in self._owners])
        return Examples(self._kept, owners, -torch.log(torch.bincount(owners).float())[owners])


def _spread_over_names(owners: Tensor, most: int) -> Tensor:
    """At most so many rows, the same ones every time, with about as many of each name."""
    order = torch.randperm(len(owners), generator=torch.Generator().manual_seed(0))
    by_owner = order[owners[order].argsort(stable=True)]
    counts = torch.bincount(owners)
    turn = torch.arange(len(owners)) - (counts.cumsum(0) - counts)[owners[by_owner]]
    return by_owner[turn.argsort(stable=True)][:most]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5]) or "no names"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
