"""Metric losses and miners by name."""

from siamese_mnist.parts.losses.base import LOSSES, MINERS, MetricLoss, Supervision, create_loss
from siamese_mnist.parts.losses.catalogue import NOT_OFFERED

__all__ = ["LOSSES", "MINERS", "NOT_OFFERED", "MetricLoss", "Supervision", "create_loss"]
