"""The contrastive loss of explicit pairs (Hadsell et al. 2006), by written-out gradients.

pytorch-metric-learning takes the distances of all images of a batch to use those of the pairs, in many small steps
that autograd then goes back one by one: more than half of an update on a frozen backbone. The arithmetic here is the
library's own, so that a training ends with the same weights.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SHORTEST = 1e-12  # embedding that is made a unit vector, as in `torch.nn.functional.normalize`


def contrastive(left: Tensor, right: Tensor, same: Tensor, *, pos_margin: float = 0, neg_margin: float = 1) -> Tensor:
    """Scalar loss of pairs of embeddings, differentiable once.

    Args:
        left: (P, E) embeddings of the first images; their directions are compared.
        right: (P, E) embeddings of the second images.
        same: (P,) bool, True = same class.
        pos_margin: distance from which genuine pairs cost something.
        neg_margin: distance up to which impostor pairs cost something.

    Returns:
        Mean of the genuine pairs that cost something, plus mean of the impostor pairs that do.
    """
    return cast(Tensor, _Contrastive.apply(left, right, same, pos_margin, neg_margin))


class _Contrastive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, same: Tensor, pos_margin: float, neg_margin: float) -> Tensor:
        images = torch.cat([left, right])
        lengths = torch.linalg.vector_norm(images, dim=1, keepdim=True)
        divisors = lengths.clamp_min(_SHORTEST)
        units = images / divisors
        distances = torch.cdist(*units.chunk(2)).diagonal()
        costs = torch.where(same, distances - pos_margin, neg_margin - distances).relu()
        loss, slopes = (images * 0).sum(), torch.zeros_like(costs)  # not finite if an embedding is not
        for kind, sign in ((same, 1.0), (~same, -1.0)):
            costly = kind & (costs > 0)
            if count := int(costly.sum()):
                loss = loss + costs[costly].mean()
                slopes[costly] = sign / count
        if any(ctx.needs_input_grad[:2]):
            one, other = units.chunk(2)
            pull = (slopes / distances).masked_fill(distances == 0, 0)[:, None]
            by_units = torch.cat([pull * one - pull * other, pull * other - pull * one])
            by_lengths = (-by_units * (units / divisors)).sum(1, keepdim=True).masked_fill(lengths < _SHORTEST, 0)
            ctx.save_for_backward(by_units / divisors + by_lengths * (images / lengths).masked_fill(lengths == 0, 0))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        left, right = (slope * ctx.saved_tensors[0]).chunk(2)
        return left, right, None, None, None
