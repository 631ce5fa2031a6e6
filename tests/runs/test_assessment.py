"""Whether embeddings have collapsed."""

from types import SimpleNamespace

import pytest
import torch

from siamese_mnist.data.images import LabeledImages
from siamese_mnist.runs.assessment import collapse


def sorted_images(count):
    """As a folder of class folders gives them: one class after the other, every image of the shade of its class."""
    labels = torch.arange(count) * 4 // count
    return LabeledImages((labels * 50).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8).clone(), labels)


def embedding(spread):
    direction = torch.tensor([3.0, 4.0])
    return SimpleNamespace(embeds=True, embed=lambda images: direction + spread * images[:, 0, 0, :2].float() / 200)


@pytest.mark.parametrize("count", [8, 200, 5000])
def test_embeddings_of_one_place_have_collapsed(count):
    assert "the embeddings have collapsed" in (collapse(embedding(1e-4), sorted_images(count)) or "")


@pytest.mark.parametrize("count", [8, 200, 5000])
def test_a_place_for_each_class_is_no_collapse_however_images_are_sorted(count):
    assert collapse(embedding(1.0), sorted_images(count)) is None


def test_what_embeds_nothing_cannot_collapse():
    assert collapse(SimpleNamespace(embeds=False), sorted_images(8)) is None
