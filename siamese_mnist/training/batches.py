"""What one update of phase 2 sees: a batch of drawn pairs, or of single images with labels."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.augmentation import distort
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.system.precision import computes_in_bfloat16
from siamese_mnist.system.threads import ahead

_CHUNK = 512
_FILLED = 4096  # pairs whose features are computed at a time while a bank is filled
_ROOM = 2048  # pairs whose features are computed at a time where a bank cannot keep them


class Batches(ABC):
    """Batches of all epochs, with the backbone's features: out of a bank if it is frozen, live if not.

    Args:
        model: the model whose features are taken.
        data: training images.
        pairs: pairs of rows of `data`.
        protocol: epochs, batch size, precision and distortions.
        generator: order of the batches, and distortions.

    Attributes:
        updates: number of batches.
    """

    def __init__(
        self,
        model: Design,
        data: LabeledImages,
        pairs: Pairs,
        protocol: TrainingProtocol,
        generator: torch.Generator,
    ) -> None:
        self.model = model
        self.images = to_unit(data.images)
        self.labels = data.labels
        self.pairs = Pairs(*(column.to(self.images.device) for column in pairs))
        self.protocol = protocol
        self.generator = generator
        self.frozen = not protocol.backbone_learning_rate
        self.updates = protocol.epochs * -(-len(pairs.same) // protocol.batch_size)
        self._done = 0

    def __iter__(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yields the epoch, the rows in the batch, and their features."""
        for epoch in range(1, self.protocol.epochs + 1):
            for rows, features in self._epoch():
                yield epoch, rows, features

    @abstractmethod
    def _epoch(self) -> Iterator[tuple[Tensor, Tensor]]: ...

    @abstractmethod
    def loss(self, rows: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of a batch (scalar), and the scores (P,) and truth (P,) of pairs in it."""

    def _views(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Of batches, and rows of the images that each sees, the batches and these images, distorted."""
        return ahead((rows, self._distorted(self.images[seen])) for rows, seen in batches)

    def _distorted(self, images: Tensor) -> Tensor:
        left = 1 - self._done / self.updates
        self._done += 1
        fade = self.protocol.augmentation_fade
        strengths = dataclasses.asdict(self.protocol.augmentation)
        return distort(images, self.generator, **strengths, strength=min(1.0, left / fade) if fade else 1.0)

    def _autocast(self) -> torch.autocast:
        enabled = computes_in_bfloat16(self.protocol.precision, self.images.device)
        return torch.autocast(self.images.device.type, torch.bfloat16, enabled=enabled)


class PairBatches(Batches):
    """Batches of the drawn pairs, in a new random order every epoch.

    For a loss that contrasts the pairs of one first image, the images come in random order, each with all its pairs.
    """

    def banked(self) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
        """Yields, of a frozen backbone, the epoch, the rows in the batch, a bank, and the places of their features."""
        for epoch in range(1, self.protocol.epochs + 1):
            for rows, bank, pairs, places in self._places(self._order()):
                yield epoch, rows, bank, self.model.bank_places(pairs, places, len(bank))

    def _epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self.frozen:
            yield from self._live(self._order())
            return
        for rows, bank, pairs, places in self._places(self._order()):
            yield rows, self.model.bank_rows(bank, pairs, places)

    def _order(self) -> Tensor:
        order = torch.randperm(len(self.pairs.same), generator=self.generator)
        if self.model.grouped:
            place = torch.randperm(len(self.images), generator=self.generator)
            order = order[place[self.pairs.left.cpu()[order]].argsort(stable=True)]
        return order

    def _places(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor, Pairs, Tensor]]:
        """Batches of rows, each with a bank, the pairs it is of, and the batch's places among these.

        A bank that cannot hold all pairs keeps the first ones; the others' features are computed anew in every epoch,
        as many at a time as there is room for.
        """
        bank, kept = self._kept()
        if kept == len(order):
            for rows in order.to(bank.device).split(self.protocol.batch_size):
                yield rows, bank, self.pairs, rows
            return
        for block in _blocks(order.split(self.protocol.batch_size), kept, len(bank) - kept):
            rows = torch.cat(block).to(bank.device)
            is_new = rows >= kept
            new = rows[is_new]
            bank[kept : kept + len(new)] = self._features(new)
            places = rows.clone()
            places[is_new] = torch.arange(kept, kept + len(new), device=rows.device)
            held = self._part(torch.cat([torch.arange(kept, device=rows.device), new]))
            sizes = [len(each) for each in block]
            for batch, found in zip(rows.split(sizes), places.split(sizes), strict=True):
                yield batch, bank, held, found

    def _kept(self) -> tuple[Tensor, int]:
        """The bank, and of how many pairs it keeps the features; behind them is room for others."""
        if not hasattr(self, "_bank"):
            self._bank = self._filled()
        return self._bank

    def _filled(self) -> tuple[Tensor, int]:
        count, most = len(self.pairs.same), self.model.pairs_per_bank(self.pairs)
        if most >= count:
            return self.model.feature_bank(self.images, self.pairs), count
        room = max(self.protocol.batch_size, min(most // 8, _ROOM))
        kept = max(0, most - room)
        rows = torch.arange(count, device=self.images.device)
        bank = self.images.new_empty(kept + room, self._features(rows[:1]).shape[1])
        for start in range(0, kept, _FILLED):
            end = min(start + _FILLED, kept)
            bank[start:end] = self._features(rows[start:end])
        return bank, kept

    def _features(self, rows: Tensor) -> Tensor:
        return self.model.feature_bank(self.images, self._part(rows))

    def _part(self, rows: Tensor) -> Pairs:
        return Pairs(*(column[rows] for column in self.pairs))

    def _live(self, order: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        batches = order.to(self.images.device).split(self.protocol.batch_size)
        left, right = self.pairs.left, self.pairs.right
        for rows, images in self._views((rows, torch.cat([left[rows], right[rows]])) for rows in batches):
            with self._autocast():
                features = self.model.pair_features(*images.chunk(2))
            yield rows, features.float()

    def loss(self, rows: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of a batch (scalar), and the scores (P,) and truth (P,) of its pairs."""
        same = self.pairs.same[rows]
        return *self.model.pair_loss(features, same, self.pairs.left[rows]), same


def _blocks(batches: Sequence[Tensor], kept: int, room: int) -> Iterator[list[Tensor]]:
    """Consecutive batches with at most `room` rows from `kept` on."""
    block: list[Tensor] = []
    taken = 0
    for rows in batches:
        new = int((rows >= kept).sum())
        if taken + new > room:
            yield block
            block, taken = [], 0
        block.append(rows)
        taken += new
    yield block


class LabelBatches(Batches):
    """Batches of single images, as many as a batch of pairs has, with equally many of every class, class by class.

    Each class's images come in random order and start over when they are used up.
    """

    def _epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        members = [(self.labels == label).nonzero().squeeze(1).cpu() for label in self.labels.unique()]
        self.per_class = max(2, 2 * self.protocol.batch_size // len(members))
        updates = self.updates // self.protocol.epochs
        order = torch.empty(len(members), updates * self.per_class, dtype=torch.int32)  # many times the images
        for line, rows in zip(order, members, strict=True):
            for round_ in line.split(len(rows)):
                round_.copy_(rows[torch.randperm(len(rows), generator=self.generator)[: len(round_)]])
        batches = (rows.flatten().long() for rows in order.to(self.images.device).split(self.per_class, dim=1))
        if self.frozen:
            bank = self._class_bank()
            for rows in batches:
                yield rows, bank[rows].transpose(0, 1).flatten(0, 1)
            return
        for rows, images in self._views((rows, rows) for rows in batches):
            with self._autocast():
                features = self.model.label_features(images, self.labels[rows])
            yield rows, features.float()

    @torch.no_grad()
    def _class_bank(self) -> Tensor:
        """Features (N, k, D) of all training images, each seen in k ways."""
        chunks = (
            self.model.class_features(chunk).view(-1, len(chunk), self.model.feature_dim).transpose(0, 1)
            for chunk in self.images.split(_CHUNK)
        )
        return torch.cat(list(chunks))

    def loss(self, rows: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Loss of a batch (scalar), and the scores and truth of each image with one of its class and one of another."""
        return self.model.label_loss(features, self.labels[rows], self.per_class)
