"""Heads: features to a decision."""

from siamese_mnist.parts.heads import agreement, classifier, comparison, distance  # noqa: F401
from siamese_mnist.parts.heads.base import HEADS, Head, SiameseHead, StackedHead
from siamese_mnist.parts.heads.classifier import pretraining_head

__all__ = ["HEADS", "Head", "SiameseHead", "StackedHead", "pretraining_head"]
