"""Phase 1 measured twice: with the batch-norm statistics that training left, and with those of all training images."""

from typing import NamedTuple

import torch
from torch.optim.swa_utils import update_bn

from siamese_mnist.data import Dataset
from siamese_mnist.data.streams import Purpose, stream
from siamese_mnist.parts.designs import to_unit
from siamese_mnist.runs.experiment import untrained
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.phases import class_accuracy, pretrain, silent

_BATCH = 1000


class PhaseOne(NamedTuple):
    """Accuracy on single test images after phase 1, in [0, 1]."""

    moving: float  # with the moving statistics, which lag behind
    estimated: float  # with statistics estimated anew from all training images, the weights as they are


def phase_one_twice(settings: Settings, dataset: Dataset) -> PhaseOne:
    """Trains phase 1 of `settings` as a run does, and measures it with lagging and with fresh statistics.

    Batch norm's moving statistics keep 0.99 of their value at every update (Keras's default). After 188 updates 15 % of
    them are still the initial 0 and 1, and the rest is a mean over weights that changed meanwhile.

    Args:
        settings: of a stacked run.
        dataset: its data set.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model, head = untrained(settings, dataset)
        generator = stream(settings.seed, Purpose.ORDER)
        pretrain(model, head, dataset.train, settings.protocol, generator=generator, progress=silent)
    moving = class_accuracy(model, head, dataset.test)
    with torch.no_grad():
        chunks = to_unit(dataset.train.images).split(_BATCH)
        update_bn((torch.cat([each, each], 1) for each in chunks), model.backbone)
    return PhaseOne(moving, class_accuracy(model, head, dataset.test))
