"""Designs: how two images meet a backbone and a head."""

from siamese_mnist.parts.designs import attention, siamese, stacked, streams  # noqa: F401
from siamese_mnist.parts.designs.base import DESIGNS, Design, PairFusion, log_odds, to_unit
from siamese_mnist.parts.designs.build import build_model
from siamese_mnist.parts.designs.siamese import LateFusion

__all__ = ["DESIGNS", "Design", "LateFusion", "PairFusion", "build_model", "log_odds", "to_unit"]
