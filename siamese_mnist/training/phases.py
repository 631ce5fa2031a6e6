"""The two phases (report, section 3.1), each one visible loop."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.schedules import SCHEDULES
from siamese_mnist.system.threads import Lane, without_subnormals
from siamese_mnist.training.adam import Adam
from siamese_mnist.training.batches import LabelBatches, PairBatches
from siamese_mnist.training.curve import Curve, TrainedPairs
from siamese_mnist.training.dense import DenseHead
from siamese_mnist.training.divergence import PHASE_2_RATES, check_finite, check_weights
from siamese_mnist.training.muon import Muon
from siamese_mnist.training.observers import HeldOutCurve, Observer, View
from siamese_mnist.training.tape import Tape

Made = TypeVar("Made", bound=Adam | Muon)
Progress = Callable[[str, int, int], None]
"""Called as `progress(stage, updates done, updates in all)`."""

_OPTIMIZERS: Mapping[str, type[Adam] | type[Muon]] = {"adam": Adam, "muon": Muon}


def silent(stage: str, done: int, total: int) -> None:
    """A `Progress` that tells nobody."""


@without_subnormals()
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
    losses, accuracies = Tape(), Tape()
    seconds: list[float] = []
    model.train()
    clock = time.perf_counter()
    for epoch in range(1, protocol.pretrain_epochs + 1):
        order = torch.randperm(len(images), generator=generator).to(images.device)
        for rows in order.split(protocol.pretrain_batch_size):
            features = model.class_features(images[rows])
            labels = data.labels[rows].repeat(len(features) // len(rows))
            logits = head(features)
            loss = F.cross_entropy(logits, labels)
            check_finite(loss, "phase 1", len(epochs) + 1, updates, protocol, "pretrain_learning_rate")
            loss.backward()
            optimizer.step()
            seconds.append(time.perf_counter() - clock)
            epochs.append(epoch)
            losses.add(loss)
            accuracies.add((logits.detach().argmax(1) == labels).float().mean())
            progress("phase 1", len(epochs), updates)
            clock = time.perf_counter()
    if epochs:
        check_weights(model, "phase 1", updates, protocol, "pretrain_learning_rate")
    nothing = torch.empty(0)
    return Curve(
        torch.tensor(epochs),
        losses.all(),
        accuracies.all(),
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
        for images, labels in zip(data.images.split(64), data.labels.split(64), strict=True)
    ]
    return float(torch.cat(right, 1).double().mean())


@without_subnormals()
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
    on_labels = protocol.supervision == "labels"
    layers = model.dense_layers() if frozen and not on_labels else ()
    if layers and all(isinstance(each, HeldOutCurve) for each in observers) and len(observers) <= 1:
        held_out = next((each for each in observers if isinstance(each, HeldOutCurve)), None)
        return _train_dense(PairBatches(model, data, pairs, protocol, generator), layers, held_out, progress)
    kind = LabelBatches if on_labels else PairBatches
    batches = kind(model, data, pairs, protocol, generator)
    plans: list[tuple[Adam | Muon, float, int]] = [
        (_made(Adam, model.decider(), protocol.learning_rate, protocol), protocol.learning_rate, 1)
    ]
    if not frozen:
        learning_rate = protocol.backbone_learning_rate
        optimizer = _made(
            _OPTIMIZERS[protocol.backbone_optimizer], model.backbone.parameters(), learning_rate, protocol
        )
        plans.append((optimizer, learning_rate, protocol.backbone_every))
    factor = SCHEDULES[protocol.schedule]
    view = View(model) if observers else None
    trained = TrainedPairs()
    model.backbone.train(not frozen)
    model.train_decider()
    clock = time.perf_counter()
    for update, (epoch, rows, features) in enumerate(batches, start=1):
        loss, scores, same = batches.loss(rows, features)
        check_finite(loss, "phase 2", update, batches.updates, protocol, *PHASE_2_RATES)
        loss.backward()
        share = factor((update - 1) / batches.updates)
        for optimizer, learning_rate, every in plans:
            if update % every == 0:
                optimizer.learning_rate = learning_rate * share
                optimizer.step()
        trained.add(epoch, loss, scores, same, protocol.learning_rate * share, time.perf_counter() - clock)
        if view:
            with view.now() as model_now:
                for each in observers:
                    each.after_update(update, model_now)
        progress("phase 2", update, batches.updates)
        clock = time.perf_counter()
    model.eval()
    check_weights(model, "phase 2", batches.updates, protocol, *PHASE_2_RATES)
    return trained


def _train_dense(
    batches: PairBatches, layers: Sequence[nn.Linear], held_out: HeldOutCurve | None, progress: Progress
) -> TrainedPairs:
    """Phase 2 of dense layers on a frozen backbone: what `train` does, closer to the arithmetic.

    What is held out is measured in one product with the next batch, as both see the same weights.
    """
    model, protocol = batches.model, batches.protocol
    factor = SCHEDULES[protocol.schedule]
    dense = {id(each) for layer in layers for each in layer.parameters()}
    others = [each for each in model.decider() if id(each) not in dense]
    view = View(model) if held_out else None
    trained = TrainedPairs()
    waiting: Tensor | None = None  # rows of what is held out
    model.train_decider()
    with Lane() as lane:
        head = DenseHead(layers, others, lambda some: _made(Adam, some, protocol.learning_rate, protocol), lane)
        clock = time.perf_counter()
        for update, (epoch, rows, features, count) in enumerate(_gathered(batches, held_out, lane), start=1):
            same = batches.pairs.same[rows]
            outputs = _forward(head, features, count, held_out, view, waiting)
            loss, scores, gradient = model.output_gradient(outputs, same, batches.pairs.left[rows])
            check_finite(loss, "phase 2", update, batches.updates, protocol, *PHASE_2_RATES)
            learning_rate = protocol.learning_rate * factor((update - 1) / batches.updates)
            head.step(gradient, learning_rate)
            trained.add(epoch, loss, scores, same, learning_rate, time.perf_counter() - clock)
            waiting = held_out.draw() if held_out else None
            progress("phase 2", update, batches.updates)
            clock = time.perf_counter()
        lane.wait()  # it still reads the features of the last batch
        _forward(head, features, 0, held_out, view, waiting)
    model.eval()
    check_weights(model, "phase 2", batches.updates, protocol, *PHASE_2_RATES)
    return trained


def _gathered(
    batches: PairBatches, held_out: HeldOutCurve | None, lane: Lane
) -> Iterator[tuple[int, Tensor, Tensor, int]]:
    """Yields the epoch, the rows in the batch, their features with room for those that are held out, and how many.

    The lane copies the features of the next batch meanwhile.
    """
    pairs = batches.protocol.batch_size + (held_out.size if held_out else 0)
    rooms: Iterator[Tensor] = iter(())
    ready = None
    for epoch, rows, bank, places in batches.banked():
        if ready is None:
            rooms = itertools.cycle(bank.new_empty(2, pairs * (len(places) // len(rows)), bank.shape[1]))
        room = next(rooms)
        lane.start(_copy_rows, bank, places, room[: len(places)])
        if ready is None:
            lane.wait()  # before the bank changes; later on, every pass waits
        else:
            yield ready
        ready = epoch, rows, room, len(places)
    if ready is not None:
        yield ready


def _copy_rows(source: Tensor, rows: Tensor, target: Tensor) -> None:
    torch.index_select(source, 0, rows, out=target)


def _forward(
    head: DenseHead,
    features: Tensor,
    count: int,
    held_out: HeldOutCurve | None,
    view: View | None,
    waiting: Tensor | None,
) -> Tensor:
    """Outputs (count, F) of the first features; the held-out batch that waits is measured beside them."""
    if held_out is None or held_out.bank is None or view is None or waiting is None:
        return head.forward(features[:count])
    with view.now() as model:
        places = model.bank_places(held_out.pairs, waiting, len(held_out.bank))
        end = count + len(places)
        _copy_rows(held_out.bank, places, features[count:end])
        outputs = head.forward(features[:end])
        left, _, same = (column[waiting] for column in held_out.pairs)
        held_out.note(*model.output_loss(outputs[count:], same, left), same)
    return outputs[:count]


def _made(kind: type[Made], parameters: Iterable[Tensor], learning_rate: float, protocol: TrainingProtocol) -> Made:
    return kind(
        parameters,
        learning_rate=learning_rate,
        beta2=protocol.adam_beta2,
        weight_decay=protocol.weight_decay,
    )
