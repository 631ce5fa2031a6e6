"""Identification of runs on new classes: nobody is named by an image of his own hand, and strangers are counted."""

import numpy as np
import pytest
import torch

from siamese_mnist.data import LabeledImages
from siamese_mnist.runs.identification import GALLERIES, NAMES, identification_figures
from siamese_mnist.runs.image_scores import ImageScores

CLASSES, WRITERS, EACH = 24, 3, 2


@pytest.fixture
def data():
    """Two images of every class by every writer; a pixel tells the class and another the writer."""
    labels, groups = (
        each.flatten() for each in torch.meshgrid(torch.arange(CLASSES), torch.arange(WRITERS), indexing="ij")
    )
    labels, groups = labels.repeat_interleave(EACH), groups.repeat_interleave(EACH)
    images = torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = labels.byte(), groups.byte()
    return LabeledImages(images, labels, groups)


class Knows:
    """Scores pairs by one or the other pixel, and keeps what it was asked."""

    embeds = False

    def __init__(self, pixel):
        self.pixel, self.asked = pixel, []

    def score_pairs(self, images, left, right):
        self.asked.append((left, right))
        told = images[:, 0, 0, self.pixel].mul(255).round()
        return -(told[left] - told[right]).abs()


def test_who_knows_the_classes_names_all_and_refuses_strangers(data):
    model = Knows(0)
    found = identification_figures(ImageScores(model, data.images), data)
    assert (found.names, found.galleries) == (NAMES, GALLERIES)
    assert found.cmc == [1.0] * NAMES
    assert [(each.names, each.limit, each.detection) for each in found.open_set] == [(10, 0.01, 1.0), (10, 0.1, 1.0)]
    for probes, examples in model.asked:
        own = data.labels[probes] == data.labels[examples]
        assert own.any()
        assert (data.groups[probes] != data.groups[examples])[own].all()


def test_who_knows_the_hands_alone_names_nobody(data):
    found = identification_figures(ImageScores(Knows(1), data.images), data)
    assert found.cmc[0] == 0.0, "its own name is by another hand, and others are by the same"
    assert found.cmc[-1] == 1.0
    assert all(each.detection == 0.0 for each in found.open_set)


def test_who_guesses_is_at_chance(data):
    rng = np.random.default_rng(0)

    class Guesses:
        embeds = False

        def score_pairs(self, images, left, right):
            return torch.from_numpy(rng.random(len(left), dtype=np.float32))

    found = identification_figures(ImageScores(Guesses(), data.images), data)
    np.testing.assert_allclose(found.cmc, np.arange(1, NAMES + 1) / NAMES, atol=0.07)
    assert found.rank_1_interval[0] < 1 / NAMES < found.rank_1_interval[1]
    assert all(each.false_positive <= each.limit for each in found.open_set)


def test_classes_without_a_second_hand_cannot_be_named(data):
    alone = data._replace(groups=torch.zeros_like(data.groups))
    assert identification_figures(ImageScores(Knows(0), data.images), alone) is None
    assert identification_figures(ImageScores(Knows(0), data.images), data._replace(groups=None)) is not None
