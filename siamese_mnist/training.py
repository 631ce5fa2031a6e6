"""The two phases (report, section 3.1), each one visible loop."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.data import LabeledImages
from siamese_mnist.models import Model, to_unit
from siamese_mnist.pairs import Pairs
from siamese_mnist.recipes import Recipe

Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, updates done, updates in all)`."""

_ADAM_EPSILON = 1e-7  # Keras's default, which the report used
_BANK_BYTES = 1 << 30


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
    recipe: Recipe,
    *,
    generator: torch.Generator,
    progress: Progress,
) -> Curve:
    """Phase 1: trains backbone and class head on single images with cross-entropy.

    Args:
        model: the model whose backbone is trained.
        head: features (N, D) -> logits (N, classes); trained with it.
        data: training images.
        recipe: epochs, batch size and learning rate.
        generator: order of the images.
        progress: told after every update.
    """
    images = to_unit(data.images)
    optimizer = _adam([*model.backbone.parameters(), *head.parameters()], recipe.pretrain_learning_rate)
    updates = recipe.pretrain_epochs * -(-len(images) // recipe.pretrain_batch_size)
    epochs, losses, accuracies = [], [], []
    model.train()
    for epoch, rows in _batches(len(images), recipe.pretrain_epochs, recipe.pretrain_batch_size, generator):
        logits = head(model.backbone(model.pretraining_input(images[rows])))
        loss = F.cross_entropy(logits, data.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epochs.append(epoch)
        losses.append(loss.detach())
        accuracies.append((logits.detach().argmax(1) == data.labels[rows]).float().mean())
        progress("phase 1", len(epochs), updates)
    nothing = torch.empty(0)
    return Curve(torch.tensor(epochs), torch.stack(losses), torch.stack(accuracies), nothing, nothing)


@torch.no_grad()
def class_accuracy(model: Model, head: nn.Module, data: LabeledImages) -> float:
    """Share of images whose class `head` names correctly, in [0, 1]."""
    model.eval()
    predicted = [
        head(model.backbone(model.pretraining_input(chunk))).argmax(1) for chunk in to_unit(data.images).split(256)
    ]
    return float((torch.cat(predicted) == data.labels).float().mean())


def train_pairs(
    model: Model,
    train: LabeledImages,
    train_pairs: Pairs,
    test: LabeledImages,
    test_pairs: Pairs,
    recipe: Recipe,
    *,
    generator: torch.Generator,
    progress: Progress,
) -> Curve:
    """Phase 2: trains the head on pairs; the backbone is frozen, so its features are computed once.

    Args:
        model: the model; its backbone stays bit-identical, batch-norm statistics included.
        train: training images.
        train_pairs: pairs of rows of `train`.
        test: test images; used for the curve only.
        test_pairs: pairs of rows of `test`.
        recipe: epochs, batch size, learning rate, and whether there is a curve.
        generator: order of the pairs and choice of the validation batches.
        progress: told after every update.
    """
    model.eval()
    model.head.train()
    images = to_unit(train.images)
    optimizer = _adam(list(model.head.parameters()), recipe.learning_rate)
    validation = model.feature_bank(to_unit(test.images), test_pairs) if recipe.curve else None
    updates = recipe.epochs * -(-len(train_pairs.same) // recipe.batch_size)
    epochs: list[int] = []
    measured, validated = _Measured(), _Measured()
    for epoch, pairs, bank, rows in _bank_batches(model, images, train_pairs, recipe, generator):
        same = pairs.same[rows]
        loss, scores = model.pair_loss(model.bank_rows(bank, pairs, rows), same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epochs.append(epoch)
        measured.add(loss.detach(), scores, same)
        if validation is not None:
            rows = torch.randint(len(test_pairs.same), (recipe.batch_size,), generator=generator)
            same = test_pairs.same[rows]
            with torch.no_grad():
                validated.add(*model.pair_loss(model.bank_rows(validation, test_pairs, rows), same), same)
        progress("phase 2", len(epochs), updates)
    model.eval()
    thresholds = measured.thresholds(model.threshold)
    return Curve(
        torch.tensor(epochs),
        measured.loss(),
        measured.accuracy(thresholds),
        validated.loss(),
        validated.accuracy(thresholds),
    )


class _Measured:
    """Loss, scores and truth of a sequence of batches, evaluated together at the end to keep the loop lean."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.scores: list[Tensor] = []
        self.same: list[Tensor] = []

    def add(self, loss: Tensor, scores: Tensor, same: Tensor) -> None:
        self.losses.append(loss)
        self.scores.append(scores)
        self.same.append(same)

    def loss(self) -> Tensor:
        return torch.stack(self.losses) if self.losses else torch.empty(0)

    def thresholds(self, fixed: float | None) -> list[Tensor]:
        """One per batch: `fixed`, or else halfway between the mean genuine and the mean impostor score."""
        if fixed is not None:
            return [torch.tensor(fixed)] * len(self.scores)
        return [(s[t].mean() + s[~t].mean()) / 2 for s, t in zip(self.scores, self.same, strict=True)]

    def accuracy(self, thresholds: list[Tensor]) -> Tensor:
        """Share of right answers of every batch, (U,)."""
        rows = zip(self.scores, self.same, thresholds, strict=False)
        return torch.tensor([float(((s >= t) == same).float().mean()) for s, same, t in rows])


def _bank_batches(
    model: Model, images: Tensor, pairs: Pairs, recipe: Recipe, generator: torch.Generator
) -> Iterator[tuple[int, Pairs, Tensor, Tensor]]:
    """Batches of every epoch, each as epoch, a block of pairs, the block's feature bank, and rows of the block.

    One block holds all pairs where memory allows; its bank is then computed once.
    """
    block = model.pairs_per_bank(pairs)
    whole = model.feature_bank(images, pairs) if block >= len(pairs.same) else None
    for epoch in range(1, recipe.epochs + 1):
        order = torch.randperm(len(pairs.same), generator=generator)
        for chosen in order.split(block):
            if whole is not None:
                yield from ((epoch, pairs, whole, rows) for rows in chosen.split(recipe.batch_size))
                continue
            part = Pairs(*(column[chosen] for column in pairs))
            bank = model.feature_bank(images, part)
            yield from ((epoch, part, bank, rows) for rows in torch.arange(len(chosen)).split(recipe.batch_size))


def _batches(
    count: int, epochs: int, batch_size: int, generator: torch.Generator
) -> Iterator[tuple[int, Tensor]]:
    """Every epoch's number and its rows in a new random order, batch by batch; the last batch may be smaller."""
    for epoch in range(1, epochs + 1):
        yield from ((epoch, rows) for rows in torch.randperm(count, generator=generator).split(batch_size))


def _adam(parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=learning_rate, eps=_ADAM_EPSILON, fused=True)
