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
        scores, same = self.scores.updates(), self.same.updates()
        thresholds = _thresholds(threshold, scores, same)
        nothing = torch.empty(0)
        return Curve(
            torch.tensor(self.epochs),
            self.losses.all().cpu(),
            _accuracy(scores, same, thresholds),
            held_out.losses.all().cpu() if held_out else nothing,
            _accuracy(held_out.scores.updates(), held_out.same.updates(), thresholds) if held_out else nothing,
            torch.tensor(self.learning_rates, dtype=torch.float64),
            torch.tensor(self.seconds, dtype=torch.float64),
        )


def _thresholds(fixed: float | None, scores: list[Tensor], same: list[Tensor]) -> list[Tensor]:
    """One per batch; a batch of one kind only takes over the threshold before it."""
    if fixed is not None:
        return [torch.tensor(fixed)] * len(scores)
    found: list[Tensor] = []
    for values, truth in zip(scores, same, strict=True):
        one_kind = bool(truth.all()) or not bool(truth.any())
        before = found[-1] if found else torch.zeros(())
        found.append(before if one_kind else (values[truth].mean() + values[~truth].mean()) / 2)
    return found


def _accuracy(scores: list[Tensor], same: list[Tensor], thresholds: list[Tensor]) -> Tensor:
    """Share of right answers of every batch, (U,)."""
    rows = zip(scores, same, thresholds, strict=True)
    return torch.stack([((values >= cut) == truth).float().mean() for values, truth, cut in rows]).cpu()
