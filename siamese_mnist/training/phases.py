"""The two phases (report, section 3.1), each one visible loop."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

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
    view = View(model, frozen=True) if held_out else None
    trained = TrainedPairs()
    model.train_decider()
    with Lane() as lane:
        head = DenseHead(layers, others, lambda some: _made(Adam, some, protocol.learning_rate, protocol), lane)
        coming = _gathered(batches, held_out, lane)
        ready = next(coming, None)
        clock = time.perf_counter()
        for update in itertools.count(1):
            if ready is None:
                break
            now, outputs = ready, _forward(head, ready, held_out, view)
            ready = next(coming, None)  # the lane copies its features while this thread does small things
            if not now.outputs:
                break
            same = batches.pairs.same[now.rows]
            loss, scores, gradient = model.output_gradient(outputs, same, batches.pairs.left[now.rows])
            check_finite(loss, "phase 2", update, batches.updates, protocol, *PHASE_2_RATES)
            learning_rate = protocol.learning_rate * factor((update - 1) / batches.updates)
            head.step(gradient, learning_rate, ready.features if ready else None)
            trained.add(now.epoch, loss, scores, same, learning_rate, time.perf_counter() - clock)
            progress("phase 2", update, batches.updates)
            clock = time.perf_counter()
    model.eval()
    check_weights(model, "phase 2", batches.updates, protocol, *PHASE_2_RATES)
    return trained


class _Gathered(NamedTuple):
    """What a pass of the dense layers sees.

    Attributes:
        epoch: from 1.
        rows: (B,), the batch; none after the last update.
        features: of the batch, then of what is held out.
        outputs: number of those of the batch.
        held_out: rows of the pairs that are held out, or None.
        copied: done when the features are there.
    """

    epoch: int
    rows: Tensor
    features: Tensor
    outputs: int
    held_out: Tensor | None
    copied: Sequence[Future[None]]


def _gathered(batches: PairBatches, held_out: HeldOutCurve | None, lane: Lane) -> Iterator[_Gathered]:
    """Every batch, with what is held out after the update before it; the lane copies the features.

    Where something is held out, the last one is of this alone.
    """
    rooms: Iterator[Tensor] = iter(())
    last: _Gathered | None = None
    size = held_out.size if held_out else 0

    def gather(epoch: int, rows: Tensor, bank: Tensor, places: Tensor) -> _Gathered:
        room, count = next(rooms), len(places)
        copied = [lane.start(_copy_rows, bank, places, room[:count])]
        if held_out is None or held_out.bank is None or last is None:
            return _Gathered(epoch, rows, room[:count], count, None, copied)
        drawn = held_out.draw()
        unseen = batches.model.bank_places(held_out.pairs, drawn, len(held_out.bank))
        end = count + len(unseen)
        copied.append(lane.start(_copy_rows, held_out.bank, unseen, room[count:end]))
        return _Gathered(epoch, rows, room[:end], count, drawn, copied)

    for epoch, rows, bank, places in batches.banked():
        if last is None:
            pairs = batches.protocol.batch_size + size
            rooms = itertools.cycle(bank.new_empty(2, pairs * (len(places) // len(rows)), bank.shape[1]))
        last = gather(epoch, rows, bank, places)
        yield last
    if last is not None and held_out is not None:
        yield gather(last.epoch, last.rows[:0], bank, places[:0])


def _copy_rows(source: Tensor, rows: Tensor, target: Tensor) -> None:
    torch.index_select(source, 0, rows, out=target)


def _forward(head: DenseHead, seen: _Gathered, held_out: HeldOutCurve | None, view: View | None) -> Tensor:
    """Outputs (B, F) of a batch; what is held out is measured beside it."""
    for each in seen.copied:
        each.result()
    outputs = head.forward(seen.features)
    if held_out is not None and view is not None and seen.held_out is not None:
        left, _, same = (column[seen.held_out] for column in held_out.pairs)
        with view.now() as model:
            held_out.note(*model.output_loss(outputs[seen.outputs :], same, left), same)
    return outputs[: seen.outputs]


def _made(kind: type[Made], parameters: Iterable[Tensor], learning_rate: float, protocol: TrainingProtocol) -> Made:
    return kind(
        parameters,
        learning_rate=learning_rate,
        beta2=protocol.adam_beta2,
        weight_decay=protocol.weight_decay,
    )
