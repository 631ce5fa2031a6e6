"""Distortions against SciPy's filters."""

import numpy as np
import torch
from scipy import ndimage

from siamese_mnist.data import load_dataset
from siamese_mnist.data.augmentation import distort


def test_a_blurred_image_is_part_of_two_means_over_nine_places():
    images = load_dataset("mnist-tenth").test.images[:50].reshape(50, 1, 28, 28).float() / 255
    blurred = distort(images, torch.Generator().manual_seed(0), blur=0.8)
    assert blurred.shape == images.shape
    shares = []
    for image, found in zip(images[:, 0, 2:-2, 2:-2].numpy(), blurred[:, 0, 2:-2, 2:-2].numpy(), strict=True):
        soft = ndimage.uniform_filter(ndimage.uniform_filter(image, 3), 3)
        inside = np.s_[2:-2, 2:-2]
        change, whole = (found - image)[inside].ravel(), (soft - image)[inside].ravel()
        shares.append(change @ whole / (whole @ whole))
        np.testing.assert_allclose(change, shares[-1] * whole, atol=1e-5)
    assert 0 <= min(shares) < 0.2
    assert 0.6 < max(shares) <= 0.8


def test_a_blur_keeps_a_plain_ground():
    images = torch.full((4, 3, 12, 10), 0.7)
    torch.testing.assert_close(distort(images, torch.Generator().manual_seed(0), blur=1.0), images)
    assert torch.equal(distort(images, torch.Generator().manual_seed(0), blur=0.5, strength=0), images)
