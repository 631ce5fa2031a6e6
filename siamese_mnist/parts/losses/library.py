"""The bridge to pytorch-metric-learning: its losses, miners and distances in this library's terms.

It is imported when a loss is made, so that naming parts stays fast.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.losses.base import LossFactory, MetricLoss, MinerFactory, Supervision
from siamese_mnist.registry import Range
from siamese_mnist.system.imports import put_off

Distance = Literal["euclidean", "squared-euclidean", "cosine", "cosine-below-1", "snr"]


_HIGHEST_COSINE = 1 - 1e-6


class LibraryLoss(MetricLoss):
    """A loss of pytorch-metric-learning.

    Args:
        loss: the library's loss module.
        distance: the library's distance module that scores pairs, as a rule the loss's own.
        supervisions: what it can train on, best first.
        grouped: whether it contrasts the pairs of one first image.
        takes_miner: whether it can be told which pairs or triplets to use.
        one_positive: whether, without a miner, every image of a batch meets one image of its class, not all.
        written_out: the same loss of explicit pairs of embeddings (P, E) and (P, E), of which `same` (P,) show one
            class, faster than the library computes it.
    """

    def __init__(
        self,
        loss: nn.Module,
        distance: nn.Module,
        supervisions: tuple[Supervision, ...],
        *,
        grouped: bool = False,
        takes_miner: bool = False,
        one_positive: bool = False,
        written_out: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.distance = distance
        self.supervisions = supervisions
        self.grouped = grouped
        self.takes_miner = takes_miner
        self.one_positive = one_positive
        self.written_out = written_out

    def similarity(self, left: Tensor, right: Tensor) -> Tensor:
        """Similarity or negative distance of embeddings (P, E) and (P, E): (P,), higher = more alike."""
        distance: Any = self.distance
        left, right = distance.maybe_normalize(left), distance.maybe_normalize(right)
        if isinstance(distance, library().distances.LpDistance):
            # The library's own adds 1e-6 to every difference, which makes (a, b) and (b, a) differ.
            values: Tensor = torch.linalg.vector_norm(left - right, ord=distance.p, dim=1)
            return -values
        values = distance.pairwise_distance(left, right)
        if isinstance(distance, library().distances.SNRDistance):  # the only one that depends on the order
            values = (values + distance.pairwise_distance(right, left)) / 2
        return values if distance.is_inverted else -values

    def similarity_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Similarity or negative distance of every embedding (A, E) and every embedding (B, E): (A, B)."""
        return self.matrix_block(*self.matrix_sides(left, right))

    def matrix_sides(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """What a product makes of two embeddings: their cosine, or their distance squared."""
        distance: Any = self.distance
        if self._kind() == "cosine":
            return distance.maybe_normalize(left), distance.maybe_normalize(right)
        if self._kind() == "euclidean":
            # |a - b|^2 = |a|^2 + |b|^2 - 2ab loses most digits where a is close to b; in float64 enough are left.
            left, right = distance.maybe_normalize(left).double(), distance.maybe_normalize(right).double()
            lengths, others = (each.square().sum(1, keepdim=True) for each in (left, right))
            ones, other_ones = torch.ones_like(lengths), torch.ones_like(others)
            return torch.cat([-2 * left, lengths, ones], 1), torch.cat([right, other_ones, others], 1)
        return left, right

    def matrix_block(self, left: Tensor, right: Tensor) -> Tensor:
        """Similarity or negative distance (a, b) of some rows of both sides."""
        if self._kind() == "cosine":
            return left @ right.T
        if self._kind() == "euclidean":
            return (left @ right.T).float().clamp_(min=0).sqrt_().neg_()
        return super().similarity_matrix(left, right)

    def _kind(self) -> str:
        distance, kinds = self.distance, library().distances
        if isinstance(distance, kinds.CosineSimilarity):
            return "cosine"
        return "euclidean" if isinstance(distance, kinds.LpDistance) and distance.p == 2 else ""

    def of_pairs(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """Scalar loss of explicit pairs, see `MetricLoss.of_pairs`."""
        if self.written_out is not None:
            return self.written_out(left, right, same)
        row = torch.arange(len(same), device=same.device)
        first = row
        if self.grouped:  # the library compares row numbers, so one image has to be one row
            group = anchors.to(same.device).unique(return_inverse=True)[1]
            first = torch.full_like(row, len(row)).scatter_reduce(0, group, row, "amin")[group]
        other = row + len(row)
        indices = (first[same], other[same], first[~same], other[~same])
        with _library_warnings_hidden():
            value: Tensor = self.loss(torch.cat([left, right]), indices_tuple=indices)
        return value

    def of_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss over the pairs of a batch (N, E) with class labels (N,) int64."""
        chosen = None
        if self.miner is not None:
            chosen = self.miner(embeddings, labels)
            if self.one_positive and len(chosen) == 3:
                chosen = _one_positive_of(*chosen)
        elif self.one_positive:
            chosen = _one_positive(labels)
        with _library_warnings_hidden():
            value: Tensor = self.loss(embeddings, labels, chosen)
        histogram = getattr(self.loss, "hist_", None)
        if isinstance(histogram, Tensor):  # DynamicSoftMarginLoss carries its running histogram's graph over
            self.loss.hist_ = histogram.detach()
        return value


@dataclass(frozen=True, kw_only=True)
class LibraryLossFactory(LossFactory):
    """Makes one loss of pytorch-metric-learning.

    Attributes:
        class_name: class in `pytorch_metric_learning.losses`.
        distances: the distances that fit it, the library's own for it first.
        computed_with: distance that the loss is computed with, where that is not the first of `distances`.
        supervisions: what it can train on, best first.
        grouped: whether it contrasts the pairs of one first image.
        takes_miner: whether it can be told which pairs or triplets to use.
        one_positive: whether every image of a batch meets one image of its class, not all.
        sizes: its arguments for the number of classes and the length of an embedding, where it has weights of its own.
        scored_by: distance that scores pairs, where it is not the one the loss is computed with.
        miner: class in `pytorch_metric_learning.miners` that picks for it where no miner is named.
        defaults: arguments in place of the library's, by distance.
        tuned: options that a study tunes, with their ranges; they are for the first of `distances`.
        written_out: by distance, a faster way to the loss of explicit pairs; it takes the loss's options, too.
    """

    class_name: str
    distances: tuple[Distance, ...] = ("cosine",)
    supervisions: tuple[Supervision, ...] = ("labels",)
    grouped: bool = False
    takes_miner: bool = False
    one_positive: bool = False
    sizes: tuple[str, ...] = ()
    computed_with: Distance | None = None
    scored_by: Distance | None = None
    miner: str | None = None
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tuned: Mapping[str, Range] = field(default_factory=dict)
    written_out: Mapping[str, Callable[..., Tensor]] = field(default_factory=dict)

    def space(self) -> Mapping[str, Range]:
        """Options that a study tunes, with their ranges."""
        return self.tuned

    def options(self) -> dict[str, Any]:
        """Its options with their defaults."""
        own = {
            name: parameter.default
            for name, parameter in inspect.signature(self._maker()).parameters.items()
            if parameter.default is not parameter.empty
        }
        return {"distance": self.distances[0], **own, **self.defaults.get(self.distances[0], {})}

    def __call__(  # type: ignore[override]
        self, *, classes: int, embedding_dim: int, distance: str | None = None, **options: Any
    ) -> LibraryLoss:
        """Makes the loss.

        Args:
            classes: number of classes.
            embedding_dim: E, length of an embedding.
            distance: one of `distances`.
            **options: arguments of the library's class.

        Raises:
            UsageError: if an option or the distance does not fit this loss.
        """
        distance = distance or self.distances[0]
        if distance not in self.distances:
            raise UsageError(f"{self.class_name} cannot use distance {distance!r}; use {' or '.join(self.distances)}")
        chosen = {**self.defaults.get(distance, {}), **options}
        arguments = {**dict(zip(self.sizes, (classes, embedding_dim), strict=False)), **chosen}
        if self.computed_with or distance != self.distances[0]:
            arguments["distance"] = _distance(self.computed_with or distance)
        try:
            with _library_warnings_hidden():
                loss = self._maker()(**arguments)
        except (AssertionError, TypeError, ValueError) as error:
            raise UsageError(f"{self.class_name} refuses {_said(options)}: {error}") from error
        scorer: Any = _distance(self.scored_by) if self.scored_by else loss.distance
        made = LibraryLoss(
            loss,
            scorer,
            self.supervisions,
            grouped=self.grouped,
            takes_miner=self.takes_miner,
            one_positive=self.one_positive,
            written_out=functools.partial(self.written_out[distance], **chosen)
            if distance in self.written_out
            else None,
        )
        if self.miner:
            made.miner = getattr(library().miners, self.miner)(distance=loss.distance)
        return made

    def _maker(self) -> Callable[..., nn.Module]:
        maker: Callable[..., nn.Module] = getattr(library().losses, self.class_name)
        return maker


@dataclass(frozen=True, kw_only=True)
class LibraryMinerFactory(MinerFactory):
    """Makes one miner of pytorch-metric-learning, with the distance of the loss it works for.

    Attributes:
        class_name: class in `pytorch_metric_learning.miners`.
        distance_only: whether it needs a Euclidean distance.
        defaults: arguments in place of the library's, by "distance" or "similarity".
    """

    class_name: str
    distance_only: bool = False
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Its options with their defaults."""
        return {
            name: parameter.default
            for name, parameter in inspect.signature(getattr(library().miners, self.class_name)).parameters.items()
            if parameter.default is not parameter.empty
        }

    def __call__(self, *, loss: MetricLoss, **options: Any) -> nn.Module:  # type: ignore[override]
        """Makes the miner.

        Args:
            loss: the loss that the mined pairs or triplets are for.
            **options: arguments of the library's class.

        Raises:
            UsageError: if an option or the loss's distance does not fit this miner.
        """
        distance: Any = loss.distance if isinstance(loss, LibraryLoss) else None
        kind = "similarity" if distance is None or distance.is_inverted else "distance"
        if self.distance_only and not isinstance(distance, library().distances.LpDistance):
            raise UsageError(f"{self.class_name} needs a loss with a Euclidean distance; try triplet or margin")
        try:
            miner: nn.Module = getattr(library().miners, self.class_name)(
                distance=distance, **{**self.defaults.get(kind, {}), **options}
            )
        except (AssertionError, TypeError, ValueError) as error:
            raise UsageError(f"{self.class_name} refuses {_said(options)}: {error}") from error
        return miner


@contextmanager
def _library_warnings_hidden() -> Iterator[None]:
    """Hides what only the library's authors can mend: its use of NumPy and PyTorch in ways that will change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pytorch_metric_learning")
        warnings.filterwarnings("ignore", message="Using a non-tuple sequence", category=UserWarning)
        yield


@functools.cache
def library() -> Any:
    """The library, its losses, miners and distances: imported when it is first asked for."""
    with put_off("scipy.stats"):  # most of the import's time, for one function that no part here calls
        import pytorch_metric_learning
        import pytorch_metric_learning.distances
        import pytorch_metric_learning.losses
        import pytorch_metric_learning.miners

    return pytorch_metric_learning


def _distance(name: str) -> nn.Module:
    distances = library().distances
    makers: dict[str, Callable[[], nn.Module]] = {
        "euclidean": distances.LpDistance,
        "squared-euclidean": lambda: distances.LpDistance(power=2),
        "cosine": distances.CosineSimilarity,
        "cosine-below-1": lambda: _below_one(distances.CosineSimilarity),
        "snr": distances.SNRDistance,
    }
    return makers[name]()


def _below_one(cosine: Any) -> nn.Module:
    """A cosine that stays below 1, which an image paired with itself reaches: some losses are not finite there."""

    class CosineBelowOne(cosine):  # type: ignore[misc]
        def compute_mat(self, query: Tensor, reference: Tensor) -> Tensor:
            values: Tensor = super().compute_mat(query, reference)
            return values.clamp(max=_HIGHEST_COSINE)

        def pairwise_distance(self, query: Tensor, reference: Tensor) -> Tensor:
            values: Tensor = super().pairwise_distance(query, reference)
            return values.clamp(max=_HIGHEST_COSINE)

    made: nn.Module = CosineBelowOne()
    return made


def _one_positive(labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every image with one random other image of its class, and with all images of other classes."""
    same = labels[:, None] == labels[None]
    mates = same.float().fill_diagonal_(0.0)
    anchors = mates.any(1).nonzero().squeeze(1)
    impostor, other = (~same).nonzero(as_tuple=True)
    return anchors, mates[anchors].multinomial(1).squeeze(1), impostor, other


def _one_positive_of(anchors: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, ...]:
    """Mined triplets as pairs: every anchor with one of its positives, at random, and with each of its negatives once.

    A loss that sets all genuine pairs of a batch against all impostor pairs would else do so for every two triplets.
    """
    rows = int(torch.cat([anchors, positives, negatives]).max()) + 1 if len(anchors) else 0
    mate = torch.full((rows,), -1, device=anchors.device)
    order = torch.randperm(len(anchors), device=anchors.device)
    mate[anchors[order]] = positives[order]
    chosen = (mate >= 0).nonzero().squeeze(1)
    impostors = (anchors * rows + negatives).unique()
    return chosen, mate[chosen], impostors // max(1, rows), impostors % max(1, rows)


def _said(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "its defaults"
