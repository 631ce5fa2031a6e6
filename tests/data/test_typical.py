"""What images are like, and which ones are not."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import mahalanobis

import siamese_mnist as sm
from siamese_mnist.data import LabeledImages
from siamese_mnist.data.typical import Typical


def halves(images):
    """A made-up embedding: mean of the upper and of the lower half."""
    values = images.double() / 255
    return torch.stack([values[:, 0, :14].mean((1, 2)), values[:, 0, 14:].mean((1, 2))], dim=1)


@pytest.fixture(scope="module")
def typical(tenth):
    return Typical.of(tenth.train.select(slice(1000)), tenth.train.images[1000:2000], halves)


def test_centres_and_limits_are_those_of_the_definition(typical, tenth):
    train, other = tenth.train.select(slice(1000)), tenth.train.images[1000:2000]
    embeddings, labels = halves(train.images).numpy(), train.labels.numpy()
    for label, centre in enumerate(typical.centres):
        np.testing.assert_allclose(centre, embeddings[labels == label].mean(0), rtol=1e-6)
    within = np.cov((embeddings - typical.centres[labels]).T, bias=True)
    within += 0.01 * np.trace(within) / 2 * np.eye(2)
    inverse = np.linalg.inv(within)
    apart = [[mahalanobis(each, centre, inverse) for centre in typical.centres] for each in halves(other).numpy()]
    assert typical.farthest == pytest.approx(np.quantile(np.min(apart, axis=1), 0.995), rel=1e-4)
    deviations = other.numpy().reshape(1000, -1).std(axis=1) / 255
    np.testing.assert_allclose(typical.contrast, (deviations.min(), deviations.max()))


def test_held_out_images_are_typical_and_others_are_not(typical, tenth):
    images = tenth.test.images

    def remarks(pictures):
        return typical.remarks(pictures.numpy(), halves(pictures).numpy())

    assert sum(bool(each) for each in remarks(images)) <= 15  # of 1,000
    faint = remarks(images[:50] // 4)
    assert all("much flatter than the training images (contrast 0." in each[0] for each in faint)
    harsh = remarks((images[:50] > 0).byte() * 255)
    assert not any("flatter" in text for each in harsh for text in each)
    odd = remarks(255 - images[:50])
    assert all("unlike all training classes (its embedding is " in each[-1] for each in odd)


def test_a_design_without_embeddings_has_no_distance(tenth):
    plain = Typical.of(tenth.train, tenth.train.images[:100], None)
    assert plain.centres is None
    assert plain.remarks(255 - tenth.test.images[:5].numpy(), None) == [[]] * 5


def test_it_is_kept_as_json(typical):
    again = Typical.from_config({"typical": json.loads(json.dumps(typical.as_dict()))})
    np.testing.assert_array_equal(again.centres, typical.centres)
    np.testing.assert_array_equal(again.whitening, typical.whitening)
    assert (again.contrast, again.farthest) == (typical.contrast, typical.farthest)
    assert Typical.from_config({}) is None
    kept = typical.as_dict()
    for damage, message in (
        ({"farthest": float("nan")}, "typical must be"),
        ({"centres": None}, "typical must be"),
        ({"contrast": [1.0]}, "not enough values"),
        ({"whitening": {**kept["whitening"], "shape": [3, 3]}}, "cannot reshape"),
        ({"whitening": {**kept["whitening"], "shape": [1, 4]}}, "does not fit"),
        ({"centres": {"shape": [1, 1], "float32": "AADAfw=="}}, "not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            Typical.from_config({"typical": {**kept, **damage}})


def test_classes_are_kept_up_to_a_number():
    images = torch.arange(200).byte().view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
    data = LabeledImages(images, torch.arange(200) // 2)
    assert Typical.of(data, images, halves).centres.shape == (64, 2)


def test_warnings_of_a_run(command, finished, usual, tmp_path):
    """Every interface tells the same of the same pictures."""
    run, verifier = finished["siamese"].run_dir, sm.load(finished["siamese"].run_dir)
    noise = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    images = np.stack([*usual[:2], noise])
    told = verifier.warnings(images)
    assert told[:2] == [[], []]
    assert "lighter than the training images" in told[2][0]
    fine, other, odd, little, wide = (tmp_path / f"{number}.png" for number in range(5))
    for path, image, size in (
        (fine, images[0], (28, 28)),
        (other, images[1], (28, 28)),
        (odd, noise, (28, 28)),
        (little, images[0], (9, 9)),
        (wide, images[0], (56, 28)),
    ):
        Image.fromarray(image).resize(size).save(path)

    def asked(path, *options):
        return json.loads(command("predict", run, fine, path, *options, "--json").out)

    assert "warnings" not in asked(other)
    answer = asked(odd, "--no-normalise")
    assert answer["warnings"] == [f"{odd} is {each}" for each in told[2]]
    assert answer["warning"] == "; ".join(answer["warnings"])
    remark = f"{little} is 9 x 9 pixels, much smaller than the training images (28 x 28)"
    assert f"warning              {remark}" in command("predict", run, fine, little).out
    squeezed = f"{wide} is 56 x 28 pixels, squeezed into the training images' 28 x 28"
    assert squeezed in asked(wide, "--no-normalise")["warnings"]
    assert "warnings" not in asked(wide)
    command("enrol", tmp_path / "gallery", "fine", fine, "--run", run, "--no-normalise")
    assert json.loads(command("identify", tmp_path / "gallery", odd, "--json").out)["warnings"] == told[2]
    command("bundle", run, tmp_path / "bundle.zip")
    assert sm.load(tmp_path / "bundle.zip").warnings(images) == told
