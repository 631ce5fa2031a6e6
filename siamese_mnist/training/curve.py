"""What the updates of a phase leave behind."""

from typing import NamedTuple

import torch
from torch import Tensor

from siamese_mnist.training.observers import HeldOutCurve
from siamese_mnist.training.tape import Tape


class Curve(NamedTuple):
    """What every update of a phase left behind, one row an update."""

    epoch: Tensor  # (U,) int64
    loss: Tensor  # (U,) of the training batch, before the update
    accuracy: Tensor  # (U,) of the training batch, in [0, 1]
    validation_loss: Tensor  # (U,) of one random batch of test pairs after the update; empty where not measured
    validation_accuracy: Tensor  # (U,)
    learning_rate: Tensor  # (U,) step size of what is not the backbone, or of all in phase 1
    seconds: Tensor  # (U,) from one update to the next, without what is measured between them


class TrainedPairs:
    """Loss, scores and truth of every batch of phase 2, evaluated together at the end to keep the loop lean."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.losses, self.scores, self.same = Tape(), Tape(), Tape()
        self.learning_rates: list[float] = []
        self.seconds: list[float] = []

    def add(self, epoch: int, loss: Tensor, scores: Tensor, same: Tensor, learning_rate: float, seconds: float) -> None:
        """Notes what an update left behind."""
        self.epochs.append(epoch)
        self.losses.add(loss)
        self.scores.add(scores)
        self.same.add(same)
        self.learning_rates.append(learning_rate)
        self.seconds.append(seconds)

    def curve(self, threshold: float | None, held_out: HeldOutCurve | None) -> Curve:
        """The course of the training.

        Args:
            threshold: score at which the model itself decides "same"; None takes for each batch the point halfway
                between its mean genuine and its mean impostor score.
            held_out: what was measured on test pairs, if anything was.
        """
        thresholds = _thresholds(threshold, self.scores, self.same)
        nothing = torch.empty(0)
        return Curve(
            torch.tensor(self.epochs),
            self.losses.all(),
            _accuracy(self.scores, self.same, thresholds),
            held_out.losses.all() if held_out else nothing,
            _accuracy(held_out.scores, held_out.same, thresholds) if held_out else nothing,
            torch.tensor(self.learning_rates, dtype=torch.float64),
            torch.tensor(self.seconds, dtype=torch.float64),
        )


def _thresholds(fixed: float | None, scores: Tape, same: Tape) -> list[float]:
    """One per batch; a batch of one kind only takes over the threshold before it."""
    if fixed is not None:
        return [fixed] * len(scores)
    found: list[float] = []
    for values, truth in zip(scores.updates(), same.updates(), strict=True):
        one_kind = bool(truth.all()) or not bool(truth.any())
        before = found[-1] if found else 0.0
        found.append(before if one_kind else float((values[truth].mean() + values[~truth].mean()) / 2))
    return found


def _accuracy(scores: Tape, same: Tape, thresholds: list[float]) -> Tensor:
    """Share of right answers of every batch, (U,)."""
    rows = zip(scores.updates(), same.updates(), thresholds, strict=True)
    shares = torch.empty(len(scores), device=scores.device)
    for update, (values, truth, cut) in enumerate(rows):
        shares[update] = ((values >= cut) == truth).float().mean()
    return shares.cpu()
