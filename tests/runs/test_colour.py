"""A run on colour images, from data to a verifier, ONNX and pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.data import Dataset, LabeledImages
from siamese_mnist.data.augmentation import distort
from siamese_mnist.parts.backbones import create_backbone
from siamese_mnist.visualisation.pictures import read_finished, run_pictures

HUES = "hues"
TINY = {"train_pairs": 200, "test_pairs": 100, "pretrain_epochs": 1, "curve": False}


@sm.DATASETS.register(HUES)
def load_hues(root=None, download=False):  # noqa: ARG001
    """Noise whose mean is the same in every class, in red, green or blue: grey tells nothing, colour all."""
    generator = torch.Generator().manual_seed(0)

    def part(count):
        labels = torch.arange(count) % 3
        images = torch.randint(0, 80, (count, 3, 12, 10), generator=generator, dtype=torch.uint8)
        images[torch.arange(count), labels] += 150
        return LabeledImages(images, labels)

    return Dataset(part(120), part(60), ("red", "green", "blue"))


@pytest.fixture(scope="module", params=["baseline", "siamese"])
def run(request, tmp_path_factory):
    return sm.run(request.param, dataset=HUES, backbone="convnet", runs_dir=tmp_path_factory.mktemp("runs"), **TINY)


@pytest.fixture(scope="module")
def images():
    return sm.load_dataset(HUES).test.images.numpy()


def test_config_names_the_channels(run):
    config = json.loads((Path(run.run_dir) / "config.json").read_text())
    assert (config["channels"], config["image_size"]) == (3, [12, 10])


def test_verifier_takes_colour_and_tells_what_it_wants(run, images):
    verifier = sm.load(run.run_dir)
    assert verifier.channels == 3
    assert verifier.score(images[:4], images[4:8]).shape == (4,)
    with pytest.raises(sm.UsageError, match=r"left must be uint8 \(N, 3, 12, 10\), got uint8 \(4, 12, 10\)"):
        verifier.score(images[:4, 0], images[4:8])


def test_hardest_pairs_are_in_colour(run):
    picture = {each.name: each for each in run_pictures(read_finished(run))}["hardest"]
    (image, *_) = (image for axes in picture.figure.axes for image in axes.images)
    assert image.get_array().shape == (12, 20, 3)
    assert np.ptp(image.get_array().astype(int).mean((0, 1))) > 50


def test_onnx(run, images, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    from siamese_mnist.inference.onnx import export_onnx

    verifier = sm.load(run.run_dir)
    export_onnx(verifier, tmp_path / "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "pair_scorer.onnx")
    score, _ = session.run(None, {"left": images[:9], "right": images[9:18]})
    np.testing.assert_allclose(score, verifier.score(images[:9], images[9:18]), atol=1e-4)
    assert json.loads((tmp_path / "onnx" / "export.json").read_text())["channels"] == 3


def test_grey_models_take_both_forms(finished, small):
    verifier = sm.load(finished["siamese"].run_dir)
    images = small.test.images[:8]
    plain = verifier.score(images[:4, 0].numpy(), images[4:, 0].numpy())
    np.testing.assert_array_equal(verifier.score(images[:4].numpy(), images[4:]), plain)


def test_distortions_treat_channels_alike(images, generator):
    grey = torch.from_numpy(images[:6, :1]).float() / 255
    distortions = {"rotate": 10, "scale": 0.1, "shear": 0.1, "shift": 1, "elastic": 1, "stroke": 0.5, "blur": 0.5}
    coloured = distort(grey.expand(-1, 3, -1, -1).clone(), generator, **distortions)
    assert coloured.shape == (6, 3, 12, 10)
    for channel in (1, 2):
        torch.testing.assert_close(coloured[:, channel], coloured[:, 0])
    assert not torch.equal(coloured, grey.expand(-1, 3, -1, -1))


def test_shared_work_of_stacked_colour_pairs():
    """The report's backbone computes pairs of colour images from single ones."""
    torch.manual_seed(0)
    backbone = create_backbone("report", in_channels=6, image_size=(12, 10)).eval()
    colours = torch.rand(5, 3, 12, 10)
    left, right = torch.tensor([0, 1, 4, 2]), torch.tensor([3, 1, 0, 2])
    expected = backbone(torch.cat([colours[left], colours[right]], 1))
    torch.testing.assert_close(backbone.pair_features(colours, left, right), expected, rtol=1e-4, atol=1e-4)


def test_files_in_colour(run, images, tmp_path):
    """Files are asked about in colour, and resized to what the model takes."""
    from siamese_mnist.inference.prediction import FilePair, answer_files

    for row in range(2):
        picture = Image.fromarray(np.moveaxis(images[row], 0, -1))
        picture.save(tmp_path / f"{row}.png")
        picture.resize((30, 36)).save(tmp_path / f"large{row}.png")
    verifier = sm.load(run.run_dir)
    names = [("0.png", "1.png"), ("0.png", "large0.png")]
    pairs = [FilePair(row=row, left=one, right=other, folder=tmp_path) for row, (one, other) in enumerate(names)]
    first, second = answer_files(verifier, pairs)
    assert first.score == pytest.approx(float(verifier.score(images[:1], images[1:2])[0]), abs=1e-4)
    assert second.score > first.score
