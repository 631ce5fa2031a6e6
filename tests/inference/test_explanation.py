"""Which places made an answer."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from siamese_mnist import UsageError, load
from siamese_mnist.evaluation import Decision
from siamese_mnist.inference.verifier import Verifier


class Weighted(nn.Module):
    """Scores a pair by what its two images hold at known places: +left ink at (5, 5), -right ink at (20, 9)."""

    embeds = False

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, left, right):
        return self.scale * (left[:, 0, 5, 5] - right[:, 0, 20, 9]) + 1

    def score_pairs(self, images, left, right):
        return self(images[left], images[right]).detach()


@pytest.fixture
def known():
    return Verifier(Weighted(), Decision(0.0, 1.0), image_size=(28, 28))


def test_known_places_are_found(known):
    """A scorer that reads two places: maps are the exact contributions there, with their signs, and 0 elsewhere."""
    left = np.zeros((28, 28), np.uint8)
    left[5, 5] = left[5, 20] = 255
    right = np.zeros((28, 28), np.uint8)
    right[20, 9] = 51
    found = known.explain(left, right)
    assert found.same
    assert found.score == pytest.approx(9)
    gradients = found.maps["gradients"]
    assert gradients.left[5, 5] == pytest.approx(10)
    assert gradients.right[20, 9] == pytest.approx(-2)
    assert np.count_nonzero(gradients.left) == np.count_nonzero(gradients.right) == 1
    occlusion = found.maps["occlusion"]
    assert occlusion.left[5, 5] == pytest.approx(10, abs=1e-5)
    assert occlusion.right[20, 9] == pytest.approx(-2, abs=1e-5)
    assert not occlusion.left[14:].any()
    rise = found.maps["rise"]  # an estimate: places beside each other are often blanked together
    assert rise.left[5, 5] == pytest.approx(10, rel=0.2)
    assert rise.right[20, 9] == pytest.approx(-2 * 51 / 255, rel=0.7)
    assert np.count_nonzero(rise.left) == 2  # where there is ink
    for deletion in found.deletion.values():
        assert deletion.marked[1] == pytest.approx(-1, abs=1e-5)
        assert deletion.fall == pytest.approx(10, abs=1e-5)
        assert deletion.random_fall < 2


def test_background_is_blank_in_any_brightness(known):
    """Dark ink on a light ground: nothing is marked where there is no ink."""
    left = np.full((28, 28), 200, np.uint8)
    left[5, 5] = 0
    maps = known.explain(left, np.full((28, 28), 90, np.uint8)).maps["occlusion"]
    assert maps.left[5, 5] < 0
    assert not maps.right.any()


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_marked_places_made_the_answer(finished, small, variant):
    verifier, images = load(finished[variant].run_dir), small.test.images
    found = [verifier.explain(images[row], images[row + 1]) for row in range(12)]
    for method in ("occlusion", "gradients", "rise"):
        tests = [each.deletion[method] for each in found]
        assert np.mean([each.fall for each in tests]) > 2 * np.mean([each.random_fall for each in tests])
    inked = np.mean([each.deletion["rise"].random_ink_fall for each in found])
    assert np.mean([each.deletion["rise"].fall for each in found]) > 1.5 * inked
    sums = [each.maps["gradients"].left.sum() for each in found]
    blank = verifier.score(np.zeros((12, 28, 28), np.uint8), images[1:13])
    expected = np.array([each.score for each in found]) - blank
    assert np.corrcoef(sums, expected)[0, 1] > 0.95  # integrated gradients are complete


def test_siamese_maps_are_exchanged_with_the_images(finished, small):
    verifier, (one, other) = load(finished["siamese"].run_dir), small.test.images[:2]
    there, back = verifier.explain(one, other), verifier.explain(other, one)
    for method, maps in there.maps.items():
        np.testing.assert_allclose(maps.left, back.maps[method].right, atol=1e-5)
        np.testing.assert_allclose(maps.right, back.maps[method].left, atol=1e-5)


def test_images_that_do_not_fit(known):
    with pytest.raises(UsageError, match=r"right must be uint8 \(N, 28, 28\)"):
        known.explain(np.zeros((28, 28), np.uint8), np.zeros((20, 28), np.uint8))


def test_json_is_plain(known):
    image = np.zeros((28, 28), np.uint8)
    told = json.loads(json.dumps(known.explain(image, image).as_dict()))
    assert np.shape(told["maps"]["occlusion"]["left"]) == (28, 28)
    assert told["maps"]["gradients"]["deletion"]["fall"] == 0
