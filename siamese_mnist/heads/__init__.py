"""Heads: features to a decision."""

from siamese_mnist.heads import agreement, classifier, comparison, distance  # noqa: F401
from siamese_mnist.heads.base import HEADS, SiameseHead, StackedHead
from siamese_mnist.heads.classifier import pretraining_head

__all__ = ["HEADS", "SiameseHead", "StackedHead", "pretraining_head"]
