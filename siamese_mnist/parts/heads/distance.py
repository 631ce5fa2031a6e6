"""Heads that compare two embeddings by a distance, trained with a metric loss."""

import copy
import itertools
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads.base import HEADS, SiameseHead, linear_layers, multilayer
from siamese_mnist.parts.losses import MetricLoss

_SHRINKAGE = 0.3  # of the covariance within classes towards its mean variance
_TINY = 1e-12  # least feature that has a root with a gradient


@HEADS.register("distance")
class DistanceHead(SiameseHead):
    """A learned projection, scored by the distance of the loss it is trained with.

    Args:
        feature_dim: D, features of one image.
        classes: number of classes; not used.
        loss: the training loss; its distance scores the pairs.
        embedding_dim: E, length of an embedding.
        hidden_dim: width of a hidden ReLU layer before the projection; 0 projects linearly.
        members: networks of an ensemble whose features are concatenated; each gets a projection of its own, and their
            scores are averaged.
        views: views of an image whose features are concatenated, the members' of each together; all are embedded alike,
            each is compared with the view of the other image that is most like it, and the loss is of the first ones.
        whitened: whether embeddings are changed after training so that those of one class spread alike in all
            directions (within-class covariance normalisation, Hatch, Kajarekar and Stolcke 2006).
        projected: whether embeddings are projections. Else the projection serves the training alone (Chen et al. 2020,
            arXiv 2002.05709): what is compared are the features, square-rooted (Perronnin et al. 2010) and of length 1;
            E is their number then.

    Raises:
        UsageError: if an option is out of range, `loss` is missing, or the features cannot be split into `views` and
            `members`.
    """

    losses = True
    centres: Tensor
    whitening: Tensor

    def __init__(
        self,
        feature_dim: int,
        classes: int,
        loss: MetricLoss | None,
        *,
        embedding_dim: int = 64,
        hidden_dim: int = 256,
        members: int = 1,
        views: int = 1,
        whitened: bool = False,
        projected: bool = True,
    ) -> None:
        super().__init__()
        if loss is None:
            raise UsageError("the distance head needs a loss; name one with --loss")
        if embedding_dim < 1 or hidden_dim < 0:
            raise UsageError(f"embedding_dim must be >= 1 and hidden_dim >= 0, got {embedding_dim} and {hidden_dim}")
        if views < 1 or feature_dim % views:
            raise UsageError(f"views must divide the {feature_dim} features of the backbone, got {views}")
        if members < 1 or feature_dim // views % members:
            raise UsageError(f"members must divide the {feature_dim // views} features of the backbone, got {members}")
        self.loss = loss
        self.supervisions = loss.supervisions
        self.grouped = loss.grouped
        self.members = members
        self.views = views
        self.finishes = whitened
        self.projected = projected
        own = feature_dim // views // members
        sizes = (own, hidden_dim, embedding_dim) if hidden_dim else (own, embedding_dim)
        self.project = multilayer(*sizes) if members == 1 else nn.ModuleList(multilayer(*sizes) for _ in range(members))
        if not projected:
            self.register_buffer("centres", torch.zeros(members, own))
            self.register_buffer("whitening", torch.eye(own).repeat(members, 1, 1))

    def embed(self, features: Tensor) -> Tensor:
        """Maps features of images (N, D) to embeddings (N, views * members * E), before the distance normalises."""
        parts = zip(itertools.cycle(self._maps()), self._chunks(features), strict=False)
        embeddings = [embed(part) for embed, part in parts]
        return embeddings[0] if len(embeddings) == 1 else torch.cat(embeddings, 1)

    @torch.no_grad()
    def finish(self, features: Tensor, labels: Tensor) -> None:
        """Whitens embeddings by what differs within classes, see the option `whitened`."""
        chunks, shown = self._chunks(features), self.shown(labels)
        for number, project in enumerate(self._projections()):
            known = shown[:, number]
            own = torch.cat([chunk[known] for chunk in chunks[number :: self.members]])
            classes = labels[known].repeat(self.views)
            if not self.projected:
                points = _power_normalised(own)
                self.centres[number].copy_(points.mean(0))
                self.whitening[number].copy_(_whitening(points, classes))
                continue
            whitening = _whitening(F.normalize(project(own)), classes)
            last = [layer for layer in project.children() if isinstance(layer, nn.Linear)][-1]
            last.weight.copy_(whitening @ last.weight)
            last.bias.copy_(whitening @ last.bias)

    def dense_layers(self) -> Sequence[nn.Linear]:
        """Both layers of the projection, where one is hidden and no subclass makes something else of them."""
        plain = type(self).embed is DistanceHead.embed and self.views * self.members == 1 and self.projected
        return linear_layers(self.project) if plain else ()

    def score(self, left: Tensor, right: Tensor) -> Tensor:
        """Similarity, or the negative distance, of embeddings (P, views * members * E): (P,), higher = more alike."""
        return self._compared(self.loss.similarity, left, right)

    def score_matrix(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores of every embedding (A, views * members * E) against every one of (B, views * members * E): (A, B)."""
        return self._compared(self.loss.similarity_matrix, left, right)

    def matrix_sides(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """What the distance needs of every embedding, member beside member, view beside view."""
        parts = zip(self._chunks(left), self._chunks(right), strict=True)
        sides = [self.loss.matrix_sides(*each) for each in parts]
        return torch.cat([one for one, _ in sides], 1), torch.cat([other for _, other in sides], 1)

    def matrix_block(self, left: Tensor, right: Tensor) -> Tensor:
        """Scores (a, b) of some rows of both sides."""
        return self._compared(self.loss.matrix_block, left, right)

    def pair_loss(self, left: Tensor, right: Tensor, same: Tensor, anchors: Tensor) -> Tensor:
        """The metric loss over explicit pairs of embeddings, see `MetricLoss.of_pairs`: scalar, mean of members."""
        sides = (self._by_view(each)[0] for each in (left, right))
        return self._mean(lambda one, other: self.loss.of_pairs(one, other, same, anchors), *sides)

    def label_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The metric loss over the pairs of a batch of embeddings with labels (N,): scalar, mean of members."""
        own = self._by_view(embeddings)[0]
        if self.left_out is None:
            return self._mean(lambda part: self.loss.of_labels(part, labels), own)
        shown = zip(own.chunk(self.members, 1), self.shown(labels).unbind(1), strict=True)
        return torch.stack([self.loss.of_labels(part[known], labels[known]) for part, known in shown]).mean(0)

    def blanked(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (N, views * members * E), with zeros in place of a member's that leaves the class out."""
        if self.left_out is None:
            return embeddings
        shown = self.shown(labels).repeat(1, self.views)[:, :, None]
        return (embeddings.view(*shown.shape[:2], -1) * shown).flatten(1)

    def member(self, number: int) -> "DistanceHead | None":
        """The head of one member alone, which shares its weights, where no subclass makes something else of them."""
        if type(self).embed is not DistanceHead.embed:
            return None
        alone = copy.copy(self)
        alone.members, alone.left_out = 1, None
        alone._modules = {**self._modules, "project": self._projections()[number]}
        alone._buffers = {
            name: each if each is None else each[number : number + 1] for name, each in self._buffers.items()
        }
        return alone

    def _compared(self, compare: Callable[..., Tensor], left: Tensor, right: Tensor) -> Tensor:
        """The mean, over all views of both images, of a view's highest score with one of the other image."""
        rights = self._by_view(right)
        scores = [[self._mean(compare, one, other) for other in rights] for one in self._by_view(left)]
        if self.views == 1:
            return scores[0][0]
        sides = [
            torch.stack([reduce(torch.maximum, row) for row in rows]).mean(0)
            for rows in (scores, zip(*scores, strict=True))
        ]
        return (sides[0] + sides[1]) / 2

    def _maps(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """What makes each member's embeddings of its features."""
        if self.projected or self.training:
            return self._projections()
        pairs = zip(self.centres, self.whitening, strict=True)
        return [partial(_whitened, centre=centre, whitening=whitening) for centre, whitening in pairs]

    def _projections(self) -> list[nn.Sequential]:
        return cast(list[nn.Sequential], [self.project] if self.members == 1 else list(self.project))

    def _chunks(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Each member's share of each view's share of rows."""
        return rows.chunk(self.views * self.members, 1)

    def _by_view(self, embeddings: Tensor) -> tuple[Tensor, ...]:
        return embeddings.chunk(self.views, 1)

    def _mean(self, value: Callable[..., Tensor], *embeddings: Tensor) -> Tensor:
        """The mean over members of what `value` makes of their shares of embeddings (N, members * E)."""
        parts = zip(*(each.chunk(self.members, 1) for each in embeddings), strict=True)
        values = [value(*each) for each in parts]
        return values[0] if self.members == 1 else torch.stack(values).mean(0)


def _power_normalised(features: Tensor) -> Tensor:
    """Features (N, D), square-rooted with their sign, of length 1."""
    return F.normalize(features.sign() * features.abs().clamp(min=_TINY).sqrt())


def _whitened(features: Tensor, centre: Tensor, whitening: Tensor) -> Tensor:
    return (_power_normalised(features) - centre) @ whitening


def _whitening(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The symmetric map (E, E) after which embeddings (N, E) of one class spread alike, and on the whole as before.

    Their covariance within classes is shrunk towards its mean variance, as there are few images.
    """
    _, number, sizes = labels.unique(return_inverse=True, return_counts=True)
    points = embeddings.double()
    means = points.new_zeros(len(sizes), points.shape[1]).index_add_(0, number, points) / sizes[:, None]
    within = points - means[number]
    covariance = within.T @ within / len(within)
    spread = covariance.trace() / len(covariance)
    even = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    if not spread > 0:  # every class is a point
        return even.to(embeddings.dtype)
    variances, directions = torch.linalg.eigh((covariance / spread + _SHRINKAGE * even) / (1 + _SHRINKAGE))
    whitening: Tensor = directions / variances.sqrt() @ directions.T
    return whitening.to(embeddings.dtype)
