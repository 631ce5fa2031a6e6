"""Backbones: images to features."""

from siamese_mnist.backbones import convnet, report, torchvision  # noqa: F401
from siamese_mnist.backbones.base import BACKBONES, create_backbone

__all__ = ["BACKBONES", "create_backbone"]
