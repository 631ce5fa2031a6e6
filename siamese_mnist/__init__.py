"""Siamese metric-learning variants on MNIST pairs, with plugin backbones, heads and losses under one fair protocol."""

from siamese_mnist import _moved
from siamese_mnist.data import DATASETS, SPLITS, LabeledImages, Split, load_dataset, split_dataset
from siamese_mnist.data.pairs import Pairs, draw_pairs, pairs_digest
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import METRICS, JudgedPairs, Metric, WeightedPairs, metric
from siamese_mnist.inference.verifier import Verifier, load
from siamese_mnist.parts.backbones import BACKBONES, create_backbone
from siamese_mnist.parts.heads import HEADS
from siamese_mnist.parts.losses import LOSSES, MINERS, create_loss
from siamese_mnist.runs.experiment import run
from siamese_mnist.runs.store import RunResult
from siamese_mnist.settings.recipes import RECIPES, VARIANTS

__all__ = [
    "BACKBONES",
    "DATASETS",
    "HEADS",
    "LOSSES",
    "METRICS",
    "MINERS",
    "RECIPES",
    "SPLITS",
    "VARIANTS",
    "JudgedPairs",
    "LabeledImages",
    "Metric",
    "Pairs",
    "RunResult",
    "Split",
    "UsageError",
    "Verifier",
    "WeightedPairs",
    "create_backbone",
    "create_loss",
    "draw_pairs",
    "load",
    "load_dataset",
    "metric",
    "pairs_digest",
    "run",
    "split_dataset",
]

_moved.install()
