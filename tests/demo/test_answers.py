"""What the page is told, against the verifier and scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from siamese_mnist import load
from siamese_mnist.data import DataError, LabeledImages
from siamese_mnist.data.normalisation import normalise
from siamese_mnist.demo.answers import open_answers
from siamese_mnist.demo.digits import balanced, load_digits
from siamese_mnist.demo.drawings import SIDE, seen
from siamese_mnist.runs.bundle import write_bundle

VARIANTS = ["baseline", "siamese"]
CLASSES = list("0123456789")


def opened(run_dir, data_dir=None):
    return open_answers(Path(run_dir), data_dir, np.random.default_rng(0))


@pytest.fixture(scope="module")
def answers(finished):
    return {variant: opened(finished[variant].run_dir) for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_figures_as_the_verifier(answers, finished, small, variant):
    verifier, images = load(finished[variant].run_dir), small.test.images[:, 0].numpy()
    left, right = images[:40], images[40:80]
    said = [answers[variant].compare(*pair) for pair in zip(left, right, strict=True)]
    score, swapped = verifier.score(left, right), verifier.score(right, left)
    np.testing.assert_allclose([each.score for each in said], score, atol=1e-4)
    np.testing.assert_allclose([each.swapped_score for each in said], swapped, atol=1e-4)
    np.testing.assert_allclose([each.probability for each in said], verifier.predict_proba(left, right), atol=1e-4)
    assert [each.same for each in said] == verifier.predict(left, right).tolist()
    stable = verifier.predict(left, right) == verifier.predict(right, left)
    assert [each.stable for each in said] == stable.tolist()
    assert {each.threshold for each in said} == {finished[variant].decision.threshold}
    if variant == "baseline":
        assert not np.allclose(score, swapped, atol=1e-2)


def test_nearest_by_embedding(answers, small):
    """Cosine neighbours of scikit-learn among the same training images."""
    found, images = answers["siamese"], small.test.images[:, 0].numpy()[:20]
    pool, verifier = found.neighbours.images, found.verifier
    oracle = NearestNeighbors(n_neighbors=8, metric="cosine").fit(verifier.embed(pool))
    distances, _ = oracle.kneighbors(verifier.embed(images))
    for image, expected in zip(images, distances, strict=True):
        nearest = found.nearest(image)
        one, others = verifier.embed(image[None]), verifier.embed(np.stack([each.image for each in nearest]))
        cosine = (others @ one[0]) / (np.linalg.norm(others, axis=1) * np.linalg.norm(one))
        np.testing.assert_allclose(1 - cosine, expected, atol=1e-5)
    assert found.about["nearest"] == {"count": len(pool), "kind": "embedding", "dataset": "mnist-small"}


def test_nearest_by_score(answers, small):
    found, image = answers["baseline"], small.test.images[:, 0].numpy()[0]
    pool = found.neighbours.images
    scores = found.verifier.score(np.broadcast_to(image, pool.shape), pool)
    nearest = found.verifier.score(
        np.broadcast_to(image, (8, 28, 28)), np.stack([n.image for n in found.nearest(image)])
    )
    np.testing.assert_allclose(nearest, np.sort(scores)[::-1][:8], atol=1e-4)
    assert found.about["nearest"]["kind"] == "score"
    assert found.about["nearest"]["count"] == len(pool) <= 200


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_image_is_nearest_to_itself_and_has_its_label(answers, small, variant):
    found = answers[variant]
    known = {
        image.tobytes(): int(label)
        for image, label in zip(small.train.images[:, 0].numpy(), small.train.labels, strict=True)
    }
    nearest = found.nearest(found.neighbours.images[5])
    assert all(known[each.image.tobytes()] == each.label for each in nearest)
    if variant == "siamese":
        np.testing.assert_array_equal(nearest[0].image, found.neighbours.images[5])


def test_samples_are_test_images_of_their_class(answers, small):
    known = {
        image.tobytes(): int(label)
        for image, label in zip(small.test.images[:, 0].numpy(), small.test.labels, strict=True)
    }
    for label in range(10):
        drawn = {answers["siamese"].sample(label).tobytes() for _ in range(10)}
        assert {known[each] for each in drawn} == {label}
        assert len(drawn) > 1
    assert answers["siamese"].sample(10) is None


def test_a_balanced_selection():
    labels = torch.tensor([0] * 50 + [1] * 30 + [4] * 3)
    chosen = balanced(LabeledImages(torch.arange(83, dtype=torch.uint8).view(-1, 1, 1, 1), labels), 30)
    assert torch.bincount(chosen.labels).tolist() == [10, 10, 0, 0, 3]
    assert torch.equal(labels[chosen.images.flatten().long()], chosen.labels)
    assert len(chosen.images.unique()) == 23


def test_a_bundle(finished, answers, tmp_path):
    found = opened(write_bundle(finished["siamese"].run_dir, tmp_path / "digits.zip"))
    assert found.about == {**answers["siamese"].about, "name": "digits"}
    assert found.about["accuracy"] == finished["siamese"].test.accuracy


def test_missing_data(tmp_path, monkeypatch):
    """Digits stand in for digits, and for nothing else; a folder that is named has to hold the data."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = {"dataset": "mnist", "image_size": [28, 28], "classes": CLASSES}
    assert load_digits(run).dataset == "mnist-tenth"
    assert load_digits({**run, "dataset": "of-a-plugin"}).dataset == "mnist-tenth"
    assert load_digits({**run, "classes": ["shirt", "shoe"]}) is None
    assert load_digits({**run, "image_size": [32, 32]}) is None
    with pytest.raises(DataError):
        load_digits(run, tmp_path)


def test_without_data(fast):
    found = type(fast)(fast.verifier, None, {"name": "mine"}, np.random.default_rng(0))
    choices = found.about.pop("choices")
    assert found.about == {"name": "mine", "classes": [], "nearest": None, "enough": None}
    assert choices["points"][choices["own"]]["threshold"] == fast.verifier.decision.threshold
    assert found.puzzles() == []
    assert found.sample(0) is None
    assert found.nearest(np.zeros((28, 28), np.uint8)) == []


def test_drawings(small):
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    assert seen(drawing, (28, 28)) is None
    drawing[40:240, 60:200] = np.kron(small.test.images[0, 0].numpy()[4:24, 7:21], np.ones((10, 10), np.uint8))
    np.testing.assert_array_equal(seen(drawing, (28, 28)), normalise(drawing))


def test_a_drawing_over_the_border_stays_ink():
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[:120] = 255
    drawing[:, :90] = drawing[:, -90:] = 255
    image = seen(drawing, (28, 28))
    assert image[7:12, 4:24].min() > 200
    assert image[18:24, 12:16].max() < 60
