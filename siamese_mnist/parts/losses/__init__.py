"""Metric losses and miners by name."""

from siamese_mnist.parts.losses.base import (
    LOSSES,
    MINERS,
    LossFactory,
    MetricLoss,
    Miner,
    MinerFactory,
    Supervision,
    create_loss,
)
from siamese_mnist.parts.losses.catalogue import NOT_OFFERED

__all__ = [
    "LOSSES",
    "MINERS",
    "NOT_OFFERED",
    "LossFactory",
    "MetricLoss",
    "Miner",
    "MinerFactory",
    "Supervision",
    "create_loss",
]
