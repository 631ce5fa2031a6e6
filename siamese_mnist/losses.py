"""The one bridge to pytorch-metric-learning: losses, miners and distances by name.

pytorch-metric-learning is imported when a loss is made, so that naming and listing parts stays fast.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Registry

Supervision = Literal["pairs", "labels"]
DistanceName = Literal["euclidean", "cosine", "dot", "snr"]

LOSSES: Registry = Registry("loss", "siamese_mnist.losses")
"""Factories by name: `loss(classes=..., embedding_dim=..., **options) -> MetricLoss`."""

MINERS: Registry = Registry("miner", "siamese_mnist.miners")
"""Factories by name: `miner(**options)` makes a module (embeddings, labels) -> tuple of indices."""


class MetricLoss(nn.Module):
    """A training loss over embeddings, and the similarity that belongs to it.

    A subclass implements `of_pairs`, `of_labels` or both and says so in `supervisions`.

    Attributes:
        supervisions: what it trains on, best first.
    """

    supervisions: tuple[Supervision, ...] = ("pairs",)

    def similarity(self, left: Tensor, right: Tensor) -> Tensor:
        """Cosine of embeddings (P, E) and (P, E): (P,), higher = more alike."""
        return F.cosine_similarity(left, right)

    def of_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        """Scalar loss of explicit pairs (P, E), (P, E) with truth (P,) bool."""
        raise NotImplementedError

    def of_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss over the pairs of a batch (N, E) with class labels (N,) int64."""
        raise NotImplementedError


class LibraryLoss(MetricLoss):
    """A loss of pytorch-metric-learning, with its own distance as the similarity.

    Args:
        loss: the library's loss module.
        supervisions: what it can train on, best first.
        miner: picks pairs or triplets of a batch under label supervision.
    """

    def __init__(self, loss: nn.Module, supervisions: tuple[Supervision, ...], miner: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        self.supervisions = supervisions

    def similarity(self, left: Tensor, right: Tensor) -> Tensor:
        """Similarity or negative distance of embeddings (P, E) and (P, E): (P,), higher = more alike."""
        distance: Any = self.loss.distance
        left, right = distance.maybe_normalize(left), distance.maybe_normalize(right)
        if isinstance(distance, _library().distances.LpDistance):
            # The library's own adds 1e-6 to every difference, which makes (a, b) and (b, a) differ.
            return -torch.linalg.vector_norm(left - right, ord=distance.p, dim=1)
        values: Tensor = distance.pairwise_distance(left, right)
        if isinstance(distance, _library().distances.SNRDistance):  # the only one that depends on the order
            values = (values + distance.pairwise_distance(right, left)) / 2
        return values if distance.is_inverted else -values

    def of_pairs(self, left: Tensor, right: Tensor, same: Tensor) -> Tensor:
        """Scalar loss of explicit pairs (P, E), (P, E) with truth (P,) bool."""
        row = torch.arange(len(same), device=same.device)
        genuine, impostor = row[same], row[~same]
        indices = (genuine, genuine + len(same), impostor, impostor + len(same))
        value: Tensor = self.loss(torch.cat([left, right]), indices_tuple=indices)
        return value

    def of_labels(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss over the pairs of a batch (N, E) with class labels (N,) int64."""
        if self.miner is None:
            value: Tensor = self.loss(embeddings, labels)
        else:
            value = self.loss(embeddings, labels, self.miner(embeddings, labels))
        return value


@dataclass(frozen=True, kw_only=True)
class LibraryLossFactory:
    """Makes one loss of pytorch-metric-learning.

    Attributes:
        class_name: class in `pytorch_metric_learning.losses`.
        distances: the distances it accepts, its own first.
        supervisions: what it can train on, best first.
        defaults: arguments that differ from the library's, by distance.
    """

    class_name: str
    distances: tuple[DistanceName, ...]
    supervisions: tuple[Supervision, ...]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))

    def options(self) -> dict[str, Any]:
        """Its options with their defaults."""
        own = {
            name: parameter.default
            for name, parameter in inspect.signature(self._maker()).parameters.items()
            if parameter.default is not parameter.empty
        }
        return {"distance": self.distances[0], **own, **self.defaults.get(self.distances[0], {})}

    def _maker(self) -> Callable[..., nn.Module]:
        maker: Callable[..., nn.Module] = getattr(_library().losses, self.class_name)
        return maker

    def __call__(
        self,
        *,
        classes: int,
        embedding_dim: int,
        distance: str | None = None,
        miner: nn.Module | None = None,
        **options: Any,
    ) -> LibraryLoss:
        """Makes the loss.

        Args:
            classes: number of classes, for losses with a weight vector per class.
            embedding_dim: E, length of an embedding.
            distance: one of `distances`.
            miner: picks pairs or triplets of a batch under label supervision.
            **options: arguments of the library's class.

        Raises:
            UsageError: if an option or the distance does not fit this loss.
        """
        distance = distance or self.distances[0]
        if distance not in self.distances:
            raise UsageError(
                f"distance {distance!r} does not fit loss {self.class_name}; use {' or '.join(self.distances)}"
            )
        maker = self._maker()
        parameters = inspect.signature(maker).parameters
        given = {"num_classes": classes, "embedding_size": embedding_dim, "descriptors_dim": embedding_dim}
        arguments = {name: value for name, value in given.items() if name in parameters}
        arguments |= {**self.defaults.get(distance, {}), **options}
        try:
            loss = maker(distance=_make_distance(distance), **arguments)
        except (AssertionError, TypeError, ValueError) as error:
            raise UsageError(f"loss {self.class_name} refuses {options}: {error}") from error
        return LibraryLoss(loss, self.supervisions, miner)


def _library() -> Any:
    import pytorch_metric_learning
    import pytorch_metric_learning.distances
    import pytorch_metric_learning.losses
    import pytorch_metric_learning.miners

    return pytorch_metric_learning


def _make_distance(name: str) -> nn.Module:
    distances = _library().distances
    makers: dict[str, Callable[[], nn.Module]] = {
        "euclidean": distances.LpDistance,
        "cosine": distances.CosineSimilarity,
        "dot": lambda: distances.DotProductSimilarity(normalize_embeddings=False),
        "snr": distances.SNRDistance,
    }
    return makers[name]()


LOSSES.add(
    "contrastive",
    LibraryLossFactory(
        class_name="ContrastiveLoss",
        distances=("euclidean", "cosine"),
        supervisions=("pairs", "labels"),
        defaults={"euclidean": {"neg_margin": 0.5}, "cosine": {"pos_margin": 1.0, "neg_margin": 0.5}},
    ),
    summary="Contrastive (Hadsell et al. 2006): genuine pairs together, impostor pairs a margin apart.",
)
