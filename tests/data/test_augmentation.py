"""Distortions against SciPy's filters."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from siamese_mnist.data import load_dataset
from siamese_mnist.data.augmentation import distort
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.fields import fields_of


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


@pytest.mark.parametrize("name", fields_of(Augmentation))
def test_every_distortion_changes_images_by_its_strength_and_all_channels_alike(name):
    images = load_dataset("mnist-tenth").test.images[:6].reshape(6, 1, 28, 28).float() / 255
    strength = {"rotate": 20, "shift": 2, "elastic": 1}.get(name, 0.5)
    coloured = images.expand(-1, 3, -1, -1)
    found = distort(coloured, torch.Generator().manual_seed(0), **{name: strength})
    assert found.shape == coloured.shape
    assert (found - coloured).abs().amax((1, 2, 3)).max() > 0.05
    for channel in (1, 2):
        torch.testing.assert_close(found[:, channel], found[:, 0])
    weaker = distort(coloured, torch.Generator().manual_seed(0), **{name: strength}, strength=0.1)
    assert (weaker - coloured).abs().mean() < (found - coloured).abs().mean()
    assert torch.equal(distort(coloured, torch.Generator().manual_seed(0), **{name: 0}), coloured)
