"""A miner: which pairs of a batch are worth learning from."""

import torch
from torch import Tensor

import siamese_mnist as sm


class NearestImpostors(sm.Miner):
    """All genuine pairs of a batch, and each image's nearest impostors.

    Args:
        loss: the loss that it works for; its similarity tells what is near.
        count: impostors of each image.

    Raises:
        UsageError: if `count` is less than 1.
    """

    def __init__(self, loss: sm.MetricLoss, *, count: int = 3) -> None:
        super().__init__()
        if count < 1:
            raise sm.UsageError(f"count must be >= 1, got {count}")
        self.similarity_matrix = loss.similarity_matrix
        self.count = count

    def forward(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Rows of the genuine (A,), (A,) and of the impostor pairs (B,), (B,) of a batch (N, E), (N,)."""
        same = labels[:, None] == labels
        near = self.similarity_matrix(embeddings, embeddings).masked_fill(same, -torch.inf)
        count = min(self.count, int((~same).sum(1).min()))
        rows = torch.arange(len(labels), device=labels.device).repeat_interleave(count)
        return *same.fill_diagonal_(False).nonzero().unbind(1), rows, near.topk(count).indices.flatten()
