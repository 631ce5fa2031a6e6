"""A design: how two images meet backbone and head."""

from torch import Tensor

import siamese_mnist as sm


class Difference(sm.PairFusion):
    """Early fusion: the backbone sees the absolute difference of the two images, the same for both orders."""

    def class_features(self, images: Tensor) -> Tensor:
        """Features (N, D) of images (N, C, H, W), each as its difference from a black one."""
        return self.backbone(images)

    def pair_features(self, left: Tensor, right: Tensor) -> Tensor:
        """Features (P, D) of images (P, C, H, W) and (P, C, H, W)."""
        return self.backbone((left - right).abs())
