"""Siamese metric-learning variants on MNIST pairs, with plugin backbones, heads and losses under one fair protocol."""

from siamese_mnist.backbones import BACKBONES, create_backbone
from siamese_mnist.data import DATASETS, LabeledImages, load_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.experiment import run
from siamese_mnist.heads import HEADS
from siamese_mnist.losses import LOSSES, MINERS, create_loss
from siamese_mnist.pairs import Pairs, draw_pairs, pairs_digest
from siamese_mnist.recipes import RECIPES, VARIANTS
from siamese_mnist.runs import RunResult
from siamese_mnist.verifier import Verifier, load

__all__ = [
    "BACKBONES",
    "DATASETS",
    "HEADS",
    "LOSSES",
    "MINERS",
    "RECIPES",
    "VARIANTS",
    "LabeledImages",
    "Pairs",
    "RunResult",
    "UsageError",
    "Verifier",
    "create_backbone",
    "create_loss",
    "draw_pairs",
    "load",
    "load_dataset",
    "pairs_digest",
    "run",
]
