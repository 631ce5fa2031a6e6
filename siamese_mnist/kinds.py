"""The kinds of parts that take time to import, with the names of the built-in ones.

A name is checked against these, so that a mistake in it is told without a wait for PyTorch; the parts themselves are
imported when the first of them is asked for.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from siamese_mnist.registry import BUILT_IN, Home, Registry


class _Metrics(Registry[Any]):
    """A metric's name is the path of its figure in JSON, so some names are taken by what stands beside it."""

    _TAKEN = (
        "pairs",
        "pairs_digest",
        "confusion_matrix",
        "threshold",
        "digit_pairs",
        "others",
        "images",
        "file",
        "calibration",
        "calibration_overlap",
        "groups",
    )

    def add(self, name: str, value: Any, *, origin: str = BUILT_IN, summary: str | None = None) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*(/[a-z0-9_.]+)?", name) or re.search("_(sd|interval|low|high)$", name):
            raise ValueError(f"a metric is named in small letters, digits and _, such as 'f1_score'; got {name!r}")
        if name in self._TAKEN:
            raise ValueError(f"the name {name!r} is taken by what results say besides metrics; choose another")
        super().add(name, value, origin=origin, summary=summary)


BACKBONES: Registry[Any] = Registry(
    "backbone",
    "siamese_mnist.backbones",
    "torch.nn:Module",
    home=Home("siamese_mnist.parts.backbones", "convnet report torchvision"),
)
HEADS: Registry[Any] = Registry(
    "head",
    "siamese_mnist.heads",
    "siamese_mnist.parts.heads.base:Head",
    home=Home(
        "siamese_mnist.parts.heads", "agreement classifier symmetric-classifier comparison concatenation distance"
    ),
)
LOSSES: Registry[Any] = Registry(
    "loss",
    "siamese_mnist.losses",
    ("siamese_mnist.parts.losses.base:MetricLoss", "siamese_mnist.parts.losses.base:LossFactory"),
    home=Home(
        "siamese_mnist.parts.losses",
        "contrastive snr-contrastive intra-pair-variance threshold-consistent-margin triplet margin multi-similarity "
        "circle nt-xent supcon tuplet-margin lifted-structure generalized-lifted-structure histogram angular n-pairs "
        "nca fast-ap smooth-ap pnp ranked-list dynamic-soft-margin normalized-softmax arcface sub-center-arcface "
        "cosface sphereface large-margin-softmax soft-triple proxy-nca proxy-anchor p2s-grad cross-batch-memory",
    ),
)
MINERS: Registry[Any] = Registry(
    "miner",
    "siamese_mnist.miners",
    ("siamese_mnist.parts.losses.base:Miner", "siamese_mnist.parts.losses.base:MinerFactory"),
    home=Home(
        "siamese_mnist.parts.losses",
        "batch-hard batch-easy-hard multi-similarity hdc triplet-margin pair-margin angular distance-weighted "
        "uniform-histogram",
    ),
)
DESIGNS: Registry[Any] = Registry(
    "design",
    "siamese_mnist.designs",
    "siamese_mnist.parts.designs.base:Design",
    home=Home("siamese_mnist.parts.designs", "cross-attention siamese pseudo-siamese stacked central-surround"),
)
SPLITS: Registry[Any] = Registry(
    "split",
    "siamese_mnist.splits",
    "siamese_mnist.data.splits:Split",
    home=Home("siamese_mnist.data.within", "images classes groups classes+groups within"),
)
DATASETS: Registry[Any] = Registry(
    "data set",
    "siamese_mnist.datasets",
    home=Home(
        "siamese_mnist.data.loading",
        "mnist-tenth glyphs folder folder-normalised mnist fashion-mnist kmnist qmnist emnist-digits emnist-letters "
        "emnist-balanced omniglot",
    ),
)
METRICS: Registry[Any] = _Metrics(
    "metric",
    "siamese_mnist.metrics",
    "siamese_mnist.evaluation.metrics:Metric",
    home=Home(
        "siamese_mnist.evaluation.metrics",
        "accuracy same/precision same/recall same/f1 different/precision different/recall different/f1 roc_auc "
        "average_precision equal_error_rate true_match_rate/0.01 true_match_rate/0.001 log_loss brier_score cllr "
        "min_cllr expected_calibration_error swap_agreement largest_swap_difference",
    ),
)

ROLES: Mapping[str, Registry[Any]] = MappingProxyType(
    {"backbone": BACKBONES, "head": HEADS, "loss": LOSSES, "miner": MINERS}
)
"""The registry of each part of a model, in the order in which one part decides about the next."""
