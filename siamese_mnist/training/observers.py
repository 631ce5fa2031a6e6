"""What looks at a training from outside: it changes nothing that is trained, and draws no number of the training's."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.training.tape import Tape


class Observer(ABC):
    """Sees a model after every update of phase 2.

    What it gets is a view of the model in evaluation mode: it shares the weights, but buffers, memories and anything
    else that a part keeps between updates are copies. An observer can therefore not reach the training.
    """

    @abstractmethod
    def after_update(self, update: int, view: Design) -> None:
        """Called after an update, without gradients.

        Args:
            update: number of the update, from 1.
            view: the model as it is now, in evaluation mode.
        """


class View:
    """Keeps the view of a model that observers get up to date.

    Args:
        model: the model in training.
        frozen: whether the backbone stays as it is; the view shares its buffers too then.
    """

    def __init__(self, model: Design, *, frozen: bool = False) -> None:
        shared = [*model.parameters(), *(model.backbone.buffers() if frozen else ())]
        self._view = copy.deepcopy(model, {id(each): each for each in shared}).eval()
        both = zip(self._view.buffers(), model.buffers(), strict=True)
        self._buffers = [(shown, current) for shown, current in both if shown is not current]

    @contextmanager
    def now(self) -> Iterator[Design]:
        """The model as it is now, without gradients; PyTorch's global random stream is as before afterwards."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for shown, current in self._buffers:
                shown.copy_(current)
            yield self._view


class HeldOutCurve(Observer):
    """Measures one random batch of test pairs after every update (report, section 3.2.2).

    The loss is that of the model's own training on pairs, in evaluation mode; a loss that cannot be computed of pairs
    is not measured.

    Args:
        model: the model, its backbone in evaluation mode if it is frozen.
        data: test images.
        pairs: pairs of rows of `data`.
        size: pairs in a batch.
        frozen: whether the backbone stays as it is.
        generator: chooses the batches; a stream of its own.

    Attributes:
        losses: of every update, one; NaN where the loss has no form for pairs.
        scores: of every update, (size,).
        same: of every update, (size,) bool.
    """

    def __init__(
        self,
        model: Design,
        data: LabeledImages,
        pairs: Pairs,
        *,
        size: int,
        frozen: bool,
        generator: torch.Generator,
    ) -> None:
        self.images = to_unit(data.images)
        self.pairs = Pairs(*(column.to(self.images.device) for column in pairs))
        self.size = size
        self.generator = generator
        self.measures_loss = "pairs" in model.supervisions
        self.bank = model.feature_bank(self.images, pairs) if frozen else None
        self.losses, self.scores, self.same = Tape(), Tape(), Tape()

    def draw(self) -> Tensor:
        """Rows (size,) of the next batch of pairs."""
        rows = torch.randint(len(self.pairs.same), (self.size,), generator=self.generator)
        return rows.to(self.images.device, non_blocking=True)

    def note(self, loss: Tensor, scores: Tensor, same: Tensor) -> None:
        """Keeps what was measured of a batch."""
        self.losses.add(loss)
        self.scores.add(scores)
        self.same.add(same)

    def after_update(self, update: int, view: Design) -> None:
        """Measures one batch."""
        rows = self.draw()
        left, right, same = (column[rows] for column in self.pairs)
        if self.bank is None:
            features = view.pair_features(self.images[left], self.images[right])
        else:
            features = view.bank_rows(self.bank, self.pairs, rows)
        if self.measures_loss:
            loss, scores = view.pair_loss(features, same, left)
        else:
            loss, scores = torch.tensor(torch.nan), view.score_features(features)
        self.note(loss, scores, same)
