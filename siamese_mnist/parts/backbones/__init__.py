"""Backbones: images to features."""

from siamese_mnist.parts.backbones import convnet, report, torchvision  # noqa: F401
from siamese_mnist.parts.backbones.base import (
    BACKBONES,
    HasMembers,
    HasPlaces,
    HasViews,
    SharesPairs,
    create_backbone,
    views_of,
)

__all__ = ["BACKBONES", "HasMembers", "HasPlaces", "HasViews", "SharesPairs", "create_backbone", "views_of"]
