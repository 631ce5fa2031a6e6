"""The two phases (report, section 3.1), each one visible loop."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.errors import UsageError
from siamese_mnist.parts.designs import Model, to_unit
from siamese_mnist.settings.protocol import SCHEDULES, TrainingProtocol
from siamese_mnist.training.adam import Adam
from siamese_mnist.training.batches import LabelBatches, PairBatches

Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, updates done, updates in all)`."""


def silent(stage: str, done: int, total: int) -> None:
    """A `Progress` that tells nobody."""


class DivergedError(UsageError):
    """A training whose numbers stopped being finite; the message names phase, update and the setting to change."""


class Curve(NamedTuple):
    """What every update of a phase left behind, one row an update."""

    epoch: Tensor  # (U,) int64
    loss: Tensor  # (U,) of the training batch, before the update
    accuracy: Tensor  # (U,) of the training batch, in [0, 1]
    validation_loss: Tensor  # (U,) of one random batch of test pairs after the update; empty where not measured
    validation_accuracy: Tensor  # (U,)


def pretrain(
    model: Model,
    head: nn.Module,
    data: LabeledImages,
    protocol: TrainingProtocol,
    *,
    generator: torch.Generator,
    progress: Progress,
) -> Curve:
    """Phase 1: trains backbone and class head on single images with cross-entropy.

    Args:
        model: the model whose backbone is trained.
        head: features (N, D) -> logits (N, classes); trained with it.
        data: training images.
        protocol: epochs, batch size and learning rate.
        generator: order of the images.
        progress: told after every update.
    """
    images = to_unit(data.images)
    parameters = [*model.backbone.parameters(), *head.parameters()]
    optimizer = Adam(parameters, learning_rate=protocol.pretrain_learning_rate)
    updates = protocol.pretrain_epochs * -(-len(images) // protocol.pretrain_batch_size)
    epochs: list[int] = []
    losses, accuracies = [], []
    model.train()
    for epoch in range(1, protocol.pretrain_epochs + 1):
        for rows in torch.randperm(len(images), generator=generator).split(protocol.pretrain_batch_size):
            labels = data.labels[rows]
            logits = head(model.backbone(model.pretraining_input(images[rows])))
            loss = F.cross_entropy(logits, labels)
            _check_finite(loss, "phase 1", len(epochs) + 1, updates, protocol, "pretrain_learning_rate")
            loss.backward()
            optimizer.step()
            epochs.append(epoch)
            losses.append(loss.detach())
            accuracies.append((logits.detach().argmax(1) == labels).float().mean())
            progress("phase 1", len(epochs), updates)
    nothing = torch.empty(0)
    return Curve(torch.tensor(epochs), _stacked(losses), _stacked(accuracies), nothing, nothing)


@torch.no_grad()
def class_accuracy(model: Model, head: nn.Module, data: LabeledImages) -> float:
    """Share of images whose class `head` names correctly, in [0, 1]."""
    model.eval()
    predicted = [
        head(model.backbone(model.pretraining_input(chunk))).argmax(1) for chunk in to_unit(data.images).split(256)
    ]
    return float((torch.cat(predicted) == data.labels).double().mean())


def train(
    model: Model,
    data: LabeledImages,
    pairs: Pairs,
    validation: tuple[LabeledImages, Pairs] | None,
    protocol: TrainingProtocol,
    *,
    generator: torch.Generator,
    progress: Progress,
) -> Curve:
    """Phase 2: trains the head, and the backbone too if it has a learning rate.

    A frozen backbone stays bit-identical, batch-norm statistics included, and its features are computed once.

    Args:
        model: the model.
        data: training images.
        pairs: pairs of rows of `data`.
        validation: test images and their pairs, for the curve only, or None for no curve.
        protocol: what to train on, for how long and how.
        generator: order of the batches, distortions and choice of the validation batches.
        progress: told after every update.
    """
    frozen = not protocol.backbone_learning_rate
    model.eval()
    kind = LabelBatches if protocol.supervision == "labels" else PairBatches
    batches = kind(model, data, pairs, protocol, generator)
    held_out = _HeldOut(model, *validation, protocol, generator) if validation else None
    plans = [(_adam(model.head, protocol.learning_rate, protocol), protocol.learning_rate, 1)]
    if not frozen:
        learning_rate = protocol.backbone_learning_rate
        plans.append((_adam(model.backbone, learning_rate, protocol), learning_rate, protocol.backbone_every))
    rates = ("learning_rate",) if frozen else ("learning_rate", "backbone_learning_rate")
    factor = SCHEDULES[protocol.schedule]
    epochs: list[int] = []
    measured = _Measured()
    model.head.train()
    model.backbone.train(not frozen)
    for epoch, rows, features in batches:
        loss, scores, same = batches.loss(rows, features)
        _check_finite(loss, "phase 2", len(epochs) + 1, batches.updates, protocol, *rates)
        loss.backward()
        for optimizer, learning_rate, every in plans:
            if (len(epochs) + 1) % every == 0:
                optimizer.learning_rate = learning_rate * factor(len(epochs) / batches.updates)
                optimizer.step()
        epochs.append(epoch)
        measured.add(loss, scores, same)
        if held_out:
            held_out.measure()
        progress("phase 2", len(epochs), batches.updates)
    model.eval()
    thresholds = measured.thresholds(model.threshold)
    validated = held_out.measured if held_out else _Measured()
    return Curve(
        torch.tensor(epochs),
        _stacked(measured.losses),
        measured.accuracy(thresholds),
        _stacked(validated.losses),
        validated.accuracy(thresholds),
    )


class _Measured:
    """Loss, scores and truth of a sequence of batches, evaluated together at the end to keep the loop lean."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.scores: list[Tensor] = []
        self.same: list[Tensor] = []

    def add(self, loss: Tensor, scores: Tensor, same: Tensor) -> None:
        self.losses.append(loss.detach())
        self.scores.append(scores)
        self.same.append(same)

    def thresholds(self, fixed: float | None) -> list[Tensor]:
        """One per batch: `fixed`, or else halfway between the mean genuine and the mean impostor score.

        A batch of one kind only takes over the threshold before it.
        """
        if fixed is not None:
            return [torch.tensor(fixed)] * len(self.scores)
        found: list[Tensor] = []
        for scores, same in zip(self.scores, self.same, strict=True):
            one_kind = bool(same.all()) or not bool(same.any())
            before = found[-1] if found else torch.zeros(())
            found.append(before if one_kind else (scores[same].mean() + scores[~same].mean()) / 2)
        return found

    def accuracy(self, thresholds: list[Tensor]) -> Tensor:
        """Share of right answers of every batch, (U,)."""
        rows = zip(self.scores, self.same, thresholds, strict=False)
        return torch.tensor([float(((scores >= cut) == same).float().mean()) for scores, same, cut in rows])


class _HeldOut:
    """Measures one random batch of test pairs at a time (report, section 3.2.2)."""

    def __init__(
        self, model: Model, data: LabeledImages, pairs: Pairs, protocol: TrainingProtocol, generator: torch.Generator
    ) -> None:
        self.model = model
        self.images = to_unit(data.images)
        self.pairs = pairs
        self.size = protocol.batch_size
        self.generator = generator
        self.bank = None if protocol.backbone_learning_rate else model.feature_bank(self.images, pairs)
        self.measured = _Measured()

    @torch.no_grad()
    def measure(self) -> None:
        rows = torch.randint(len(self.pairs.same), (self.size,), generator=self.generator)
        left, right, same = (column[rows] for column in self.pairs)
        if self.bank is None:
            self.model.backbone.eval()
            features = self.model.pair_features(self.images[left], self.images[right])
            self.model.backbone.train()
        else:
            features = self.model.bank_rows(self.bank, self.pairs, rows)
        self.measured.add(*self.model.pair_loss(features, same, left), same)


def _check_finite(loss: Tensor, phase: str, update: int, updates: int, protocol: TrainingProtocol, *rates: str) -> None:
    """Stops a diverged training. Elsewhere than on the CPU, where asking costs a wait, every hundredth update is asked.

    Raises:
        DivergedError: if the loss is not finite.
    """
    asked = loss.device.type == "cpu" or update % 100 == 0 or update == updates
    if asked and not math.isfinite(value := loss.item()):
        given = " or ".join(f"{name} (it is {getattr(protocol, name):g})" for name in rates)
        raise DivergedError(f"{phase} diverged: the loss is {value} at update {update} of {updates}; lower {given}")


def _adam(module: nn.Module, learning_rate: float, protocol: TrainingProtocol) -> Adam:
    return Adam(
        module.parameters(),
        learning_rate=learning_rate,
        beta2=protocol.adam_beta2,
        weight_decay=protocol.weight_decay,
    )


def _stacked(values: list[Tensor]) -> Tensor:
    return torch.stack(values) if values else torch.empty(0)
