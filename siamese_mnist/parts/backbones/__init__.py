"""Backbones: images to features."""

from siamese_mnist.parts.backbones import convnet, report, torchvision  # noqa: F401
from siamese_mnist.parts.backbones.base import BACKBONES, HasPlaces, SharesPairs, create_backbone

__all__ = ["BACKBONES", "HasPlaces", "SharesPairs", "create_backbone"]
