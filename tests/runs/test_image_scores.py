"""Scores of rows of images beside `score_pairs`, for designs that embed and that do not."""

import numpy as np
import pytest
import torch

import siamese_mnist as sm
from siamese_mnist.parts.designs import to_unit
from siamese_mnist.runs.image_scores import ImageScores


@pytest.mark.parametrize("variant", ["siamese", "baseline"])
def test_scores_are_those_of_the_design_and_images_are_embedded_once(finished, small, monkeypatch, variant):
    model, images = sm.load(finished[variant].run_dir).model, small.test.images[:40]
    seen = []
    embed = model.embed
    monkeypatch.setattr(model, "embed", lambda some: seen.append(len(some)) or embed(some))
    scores_of = ImageScores(model, images)
    left, right = torch.randint(40, (2, 100), generator=torch.Generator().manual_seed(0))
    for one, other in ((left, right), (right, left)):
        with torch.no_grad():
            expected = model.score_pairs(to_unit(images), one, other).numpy()
        np.testing.assert_allclose(scores_of(one, other), expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(scores_of(one.numpy(), other.numpy()), scores_of(one, other))
    assert seen == ([40] if model.embeds else [])
