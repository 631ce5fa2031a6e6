"""Episodes of N-way k-shot classification: k examples of each of N classes, and one image of each class to be named.

The class of a query is that of the example with the highest score. Which writers the images are by changes the figure
more than most models do, so it is said: Lake et al. (2015) have all examples by one writer and all queries by another.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from siamese_mnist.evaluation.checks import BoolArray, FloatArray, IntArray
from siamese_mnist.evaluation.identification import check_labels
from siamese_mnist.evaluation.jackknife import Rate, Spread, jackknife, rate_interval

Writer = Literal["any", "other", "same"]
"""Who wrote an episode's queries: anyone, one writer who wrote none of the examples, or the writer of the examples."""

_TRIES = 1000  # of finding writers with enough classes in common


class Episodes(NamedTuple):
    """Rows of images, episode by episode.

    Attributes:
        queries: (E, W) rows, one image of each of W classes.
        examples: (E, W, k) rows, k images of each of the same classes in the same order.
    """

    queries: IntArray
    examples: IntArray

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Rows (E W W k) of all queries and of all examples of their episodes, to be scored pair by pair."""
        queries, examples = np.broadcast_arrays(self.queries[:, :, None, None], self.examples[:, None])
        return queries.ravel(), examples.ravel()


def draw_episodes(
    labels: ArrayLike,
    *,
    ways: int = 20,
    shots: int = 1,
    count: int = 400,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    writer: Writer = "any",
    within: ArrayLike | None = None,
) -> Episodes:
    """Draws episodes; no image is in one twice.

    Args:
        labels: (N,) int class of every image.
        ways: W, classes in an episode, >= 2.
        shots: k, examples of each, >= 1.
        count: E, episodes.
        rng: source of all draws.
        groups: (N,) int writer of every image, for a `writer` other than "any".
        writer: "other" has k writers for the examples, each with one of every class, and one more for all queries;
            "same" has one writer for all of them.
        within: (N,) int super-class of every image, such as its alphabet; an episode's classes are then of one.

    Raises:
        ValueError: if the images are too few for that, or an argument is out of range; the message says which.

    Example:
        >>> episodes = draw_episodes([0, 0, 1, 1, 2, 2], ways=3, count=5, rng=np.random.default_rng(0))
        >>> episodes.queries.shape, episodes.examples.shape
        ((5, 3), (5, 3, 1))
    """
    if ways < 2 or shots < 1 or count < 1:
        raise ValueError(f"ways must be >= 2, shots and count >= 1, got {ways}, {shots} and {count}")
    classes = check_labels(labels, "image")
    if writer not in ("any", "other", "same"):
        raise ValueError(f"writer must be 'any', 'other' or 'same', got {writer!r}")
    if writer != "any" and groups is None:
        raise ValueError(f"writer={writer!r} needs the groups of the images")
    writers = np.zeros_like(classes) if groups is None or writer == "any" else np.asarray(groups)
    families = np.zeros_like(classes) if within is None else np.asarray(within)
    for name, values in (("groups", writers), ("within", families)):
        if values.shape != classes.shape:
            raise ValueError(f"{name} must have one entry per image, {classes.shape}, got {values.shape}")
    pool = _Pool(classes, writers, families, shots + 1 if writer == "other" else 1, shots)
    drawn = [pool.draw(ways, rng) for _ in range(count)]
    return Episodes(*(np.stack(rows) for rows in zip(*drawn, strict=True)))


class _Pool:
    """Images by class and writer.

    Args:
        classes: (N,) class of every image.
        writers: (N,) writer of every image.
        families: (N,) super-class of every image.
        writers_needed: of an episode: one for all images, or one for each shot and one for the queries.
        shots: examples of each class.
    """

    def __init__(
        self, classes: IntArray, writers: IntArray, families: IntArray, writers_needed: int, shots: int
    ) -> None:
        self.writers_needed, self.shots = writers_needed, shots
        # Families, then their writers, then these one's classes, then the rows of one class by one writer.
        self.rows: dict[int, dict[int, dict[int, IntArray]]] = {}
        keys = np.stack([families, writers, classes])
        order = np.lexsort(keys[::-1])
        starts = np.flatnonzero(np.any(np.diff(keys[:, order], prepend=keys[:, order[:1]] - 1), axis=0))
        each = 1 if writers_needed > 1 else shots + 1
        for rows in np.split(order, starts[1:]):
            if rows.size >= each:
                family, author, label = keys[:, rows[0]].tolist()
                self.rows.setdefault(family, {}).setdefault(author, {})[label] = rows
        sizes = {family: len(set().union(*authors.values())) for family, authors in self.rows.items()}
        self.families = np.array(list(sizes))
        self.largest = max(sizes.values(), default=0)

    def draw(self, ways: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Rows of the queries (W,) and of the examples (W, k) of one episode."""
        for _ in range(_TRIES if self.families.size else 0):
            authors = self.rows[int(rng.choice(self.families))]
            if len(authors) < self.writers_needed:
                continue
            chosen = rng.choice(list(authors), self.writers_needed, replace=False).tolist()
            common = sorted(set.intersection(*(set(authors[author]) for author in chosen)))
            if len(common) >= ways:
                labels = rng.choice(common, ways, replace=False).tolist()
                images = np.array([self._images([authors[each][label] for each in chosen], rng) for label in labels])
                return images[:, 0], images[:, 1:]
        who = "one writer" if self.writers_needed == 1 else f"{self.writers_needed} writers"
        raise ValueError(
            f"{ways}-way {self.shots}-shot episodes need {ways} classes with {self.shots + 1} images each by {who}; "
            f"at most {self.largest} classes have enough; ask for fewer ways or shots, or for writer='any'"
        )

    def _images(self, by_writer: Sequence[IntArray], rng: np.random.Generator) -> list[int]:
        """Rows of one class: the query, then the examples."""
        if len(by_writer) == 1:
            found: list[int] = rng.choice(by_writer[0], self.shots + 1, replace=False).tolist()
            return found
        return [int(rng.choice(rows)) for rows in by_writer]


def episode_accuracy(
    scores: ArrayLike,
    episodes: Episodes,
    labels: ArrayLike,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Rate:
    """Share of queries whose own class has the example of the highest score; 1 / W is chance.

    Equal scores count against the right class. The interval is over classes, which are left out one by one as queries
    and as rivals, and over writers if they are given (see `jackknife`); more episodes do not make it narrower than the
    number of classes allows.

    Args:
        scores: (E W W k) of `episodes.pairs()`, higher = more alike.
        episodes: what was scored.
        labels: (N,) int class of every image.
        groups: (N,) int writer of every image, or None.
        confidence: in (0, 1).

    Raises:
        ValueError: if the shapes do not fit or a score is not finite.
    """
    count, ways, shots = episodes.examples.shape
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (count * ways * ways * shots,):
        raise ValueError(f"scores must be one for each of the {count * ways * ways * shots} pairs, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"scores must be finite, got {values[~np.isfinite(values)][0]}")
    judged = _Judged(values.reshape(count, ways, ways, shots), episodes)
    classes = check_labels(labels, "image")
    spreads, in_common = [judged.spread(classes)], 0.0
    if groups is not None:
        writers = check_labels(groups, "group")
        spreads.append(judged.spread(writers))
        in_common = judged.query_variance(np.unique(np.stack([classes, writers]), axis=1, return_inverse=True)[1])
    return rate_interval(judged.accuracy(), spreads, confidence, in_common=in_common)


class _Judged:
    """Scores (E, W, W, k) of the queries of all episodes."""

    def __init__(self, scores: FloatArray, episodes: Episodes) -> None:
        self.scores, self.episodes = scores, episodes

    def accuracy(self, without: BoolArray | None = None) -> float:
        """Share of right answers, without some of the images; queries that lose all their own examples do not count."""
        queries, examples = self.episodes
        best = self.scores.max(axis=3) if without is None else self._best(without[examples])
        own = np.diagonal(best, axis1=1, axis2=2)  # (E, W)
        counted = np.isfinite(own) if without is None else np.isfinite(own) & ~without[queries]
        right = (best >= own[:, :, None]).sum(axis=2) == 1
        return float(right[counted].mean()) if counted.any() else np.nan

    def query_variance(self, units: IntArray) -> float:
        """Variance of the accuracy over units (N,) of the images, each seen as queries alone."""
        best = self.scores.max(axis=3)
        right = (best >= np.diagonal(best, axis1=1, axis2=2)[:, :, None]).sum(axis=2) == 1
        sums = np.bincount(units[self.episodes.queries].ravel(), (right - right.mean()).ravel())
        return float(np.square(sums).sum()) / int(right.size) ** 2

    def _best(self, without: BoolArray) -> FloatArray:
        best: FloatArray = np.where(without[:, None], -np.inf, self.scores).max(axis=3)
        return best

    def spread(self, units: IntArray) -> Spread:
        """Variance of the accuracy over the units (N,) of the images, such as their classes."""
        present = np.unique(units[np.append(self.episodes.queries, self.episodes.examples)])
        return jackknife(lambda number: self.accuracy(units == present[number]), present.size)
