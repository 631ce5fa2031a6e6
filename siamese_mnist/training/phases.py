"""The two phases (report, section 3.1), each one visible loop."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.errors import UsageError
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.schedules import SCHEDULES
from siamese_mnist.training.adam import Adam
from siamese_mnist.training.batches import LabelBatches, PairBatches
from siamese_mnist.training.observers import HeldOutCurve, Observer, View

Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, updates done, updates in all)`."""

_PHASE_2_RATES = ("learning_rate", "backbone_learning_rate")


def silent(stage: str, done: int, total: int) -> None:
    """A `Progress` that tells nobody."""


class DivergedError(UsageError):
    """A training whose loss or weights are no longer finite; the message names the update and the setting."""


class Curve(NamedTuple):
    """What every update of a phase left behind, one row an update."""

    epoch: Tensor  # (U,) int64
    loss: Tensor  # (U,) of the training batch, before the update
    accuracy: Tensor  # (U,) of the training batch, in [0, 1]
    validation_loss: Tensor  # (U,) of one random batch of test pairs after the update; empty where not measured
    validation_accuracy: Tensor  # (U,)
    learning_rate: Tensor  # (U,) step size of what is not the backbone, or of all in phase 1
    seconds: Tensor  # (U,) from one update to the next, without what is measured in between


def pretrain(
    model: Design,
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
    losses, accuracies, seconds = [], [], []
    model.train()
    clock = time.perf_counter()
    for epoch in range(1, protocol.pretrain_epochs + 1):
        for rows in torch.randperm(len(images), generator=generator).split(protocol.pretrain_batch_size):
            features = model.class_features(images[rows])
            labels = data.labels[rows].repeat(len(features) // len(rows))
            logits = head(features)
            loss = F.cross_entropy(logits, labels)
            _check_finite(loss, "phase 1", len(epochs) + 1, updates, protocol, "pretrain_learning_rate")
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - clock)
            epochs.append(epoch)
            losses.append(loss.detach())
            accuracies.append((logits.detach().argmax(1) == labels).float().mean())
            progress("phase 1", len(epochs), updates)
            clock = time.perf_counter()
    if epochs:
        _check_weights(model, "phase 1", updates, protocol, "pretrain_learning_rate")
    nothing = torch.empty(0)
    return Curve(
        torch.tensor(epochs),
        _stacked(losses),
        _stacked(accuracies),
        nothing,
        nothing,
        torch.full((len(epochs),), protocol.pretrain_learning_rate, dtype=torch.float64),
        torch.tensor(seconds, dtype=torch.float64),
    )


@torch.no_grad()
def class_accuracy(model: Design, head: nn.Module, data: LabeledImages) -> float:
    """Share of images whose class `head` names correctly, in [0, 1]; where each is seen in k ways, of all k."""
    model.eval()
    right = [
        head(model.class_features(to_unit(images))).argmax(1).view(-1, len(images)) == labels
        for images, labels in zip(data.images.split(256), data.labels.split(256), strict=True)
    ]
    return float(torch.cat(right, 1).double().mean())


def train(
    model: Design,
    data: LabeledImages,
    pairs: Pairs,
    protocol: TrainingProtocol,
    *,
    generator: torch.Generator,
    progress: Progress,
    observers: Sequence[Observer] = (),
) -> "TrainedPairs":
    """Phase 2: trains the head, and the backbone too if it has a learning rate.

    A frozen backbone stays bit-identical, batch-norm statistics included, and its features are computed once.

    Args:
        model: the model.
        data: training images.
        pairs: pairs of rows of `data`.
        protocol: what to train on, for how long and how.
        generator: order of the batches, and distortions.
        progress: told after every update.
        observers: see the model after every update.

    Raises:
        DivergedError: at the first loss that is not finite.
    """
    frozen = not protocol.backbone_learning_rate
    model.eval()
    kind = LabelBatches if protocol.supervision == "labels" else PairBatches
    batches = kind(model, data, pairs, protocol, generator)
    plans = [(_adam(model.decider(), protocol.learning_rate, protocol), protocol.learning_rate, 1)]
    if not frozen:
        learning_rate = protocol.backbone_learning_rate
        plans.append(
            (_adam(model.backbone.parameters(), learning_rate, protocol), learning_rate, protocol.backbone_every)
        )
    factor = SCHEDULES[protocol.schedule]
    view = View(model) if observers else None
    trained = TrainedPairs()
    model.backbone.train(not frozen)
    model.train_decider()
    clock = time.perf_counter()
    for update, (epoch, rows, features) in enumerate(batches, start=1):
        loss, scores, same = batches.loss(rows, features)
        _check_finite(loss, "phase 2", update, batches.updates, protocol, *_PHASE_2_RATES)
        loss.backward()
        share = factor((update - 1) / batches.updates)
        for optimizer, learning_rate, every in plans:
            if update % every == 0:
                optimizer.learning_rate = learning_rate * share
                optimizer.step()
        trained.add(epoch, loss, scores, same, protocol.learning_rate * share, time.perf_counter() - clock)
        if view:
            view.show(update, list(observers))
        progress("phase 2", update, batches.updates)
        clock = time.perf_counter()
    model.eval()
    _check_weights(model, "phase 2", batches.updates, protocol, *_PHASE_2_RATES)
    return trained


class TrainedPairs:
    """Loss, scores and truth of every batch of phase 2, evaluated together at the end to keep the loop lean."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.losses: list[Tensor] = []
        self.scores: list[Tensor] = []
        self.same: list[Tensor] = []
        self.learning_rates: list[float] = []
        self.seconds: list[float] = []

    def add(self, epoch: int, loss: Tensor, scores: Tensor, same: Tensor, learning_rate: float, seconds: float) -> None:
        """Notes what an update left behind."""
        self.epochs.append(epoch)
        self.losses.append(loss.detach())
        self.scores.append(scores)
        self.same.append(same)
        self.learning_rates.append(learning_rate)
        self.seconds.append(seconds)

    def curve(self, threshold: float | None, held_out: HeldOutCurve | None) -> Curve:
        """The course of the training.

        Args:
            threshold: score at which the model itself decides "same"; None takes for each batch the point halfway
                between its mean genuine and its mean impostor score.
            held_out: what was measured on test pairs, if anything was.
        """
        thresholds = self._thresholds(threshold)
        nothing = torch.empty(0)
        return Curve(
            torch.tensor(self.epochs),
            _stacked(self.losses),
            _accuracy(self.scores, self.same, thresholds),
            _stacked(held_out.losses) if held_out else nothing,
            _accuracy(held_out.scores, held_out.same, thresholds) if held_out else nothing,
            torch.tensor(self.learning_rates, dtype=torch.float64),
            torch.tensor(self.seconds, dtype=torch.float64),
        )

    def _thresholds(self, fixed: float | None) -> list[Tensor]:
        """One per batch; a batch of one kind only takes over the threshold before it."""
        if fixed is not None:
            return [torch.tensor(fixed)] * len(self.scores)
        found: list[Tensor] = []
        for scores, same in zip(self.scores, self.same, strict=True):
            one_kind = bool(same.all()) or not bool(same.any())
            before = found[-1] if found else torch.zeros(())
            found.append(before if one_kind else (scores[same].mean() + scores[~same].mean()) / 2)
        return found


def _accuracy(scores: list[Tensor], same: list[Tensor], thresholds: list[Tensor]) -> Tensor:
    """Share of right answers of every batch, (U,)."""
    rows = zip(scores, same, thresholds, strict=True)
    return torch.tensor([float(((values >= cut) == truth).float().mean()) for values, truth, cut in rows])


def _check_finite(loss: Tensor, phase: str, update: int, updates: int, protocol: TrainingProtocol, *rates: str) -> None:
    """Stops a diverged training. Elsewhere than on the CPU, where asking costs a wait, every hundredth update is asked.

    Raises:
        DivergedError: if the loss is not finite.
    """
    asked = loss.device.type == "cpu" or update % 100 == 0 or update == updates
    if asked and not math.isfinite(value := loss.item()):
        raise _diverged(f"{phase} diverged: the loss is {value} at update {update} of {updates}", protocol, rates)


def _check_weights(model: Design, phase: str, updates: int, protocol: TrainingProtocol, *rates: str) -> None:
    """The last update's damage shows in the weights only."""
    for name, values in model.state_dict().items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            what = f"{phase} diverged: {name} is not finite after update {updates} of {updates}"
            raise _diverged(what, protocol, rates)


def _diverged(what: str, protocol: TrainingProtocol, rates: Sequence[str]) -> DivergedError:
    given = " or ".join(f"{name} (it is {getattr(protocol, name):g})" for name in rates if getattr(protocol, name))
    return DivergedError(f"{what}; lower {given}")


def _adam(parameters: Iterable[Tensor], learning_rate: float, protocol: TrainingProtocol) -> Adam:
    return Adam(
        parameters,
        learning_rate=learning_rate,
        beta2=protocol.adam_beta2,
        weight_decay=protocol.weight_decay,
    )


def _stacked(values: list[Tensor]) -> Tensor:
    return torch.stack(values) if values else torch.empty(0)
