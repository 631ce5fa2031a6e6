"""A model's pictures are prepared as those that it was trained on, wherever it is used."""

import csv
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import siamese_mnist as sm
from siamese_mnist.data import DataError, Dataset, LabeledImages, Preprocessing
from siamese_mnist.data.brightness import Brightness
from siamese_mnist.data.images import checked
from siamese_mnist.data.preprocessing import preprocessing_of
from siamese_mnist.demo.answers import open_answers
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.bundle import write_bundle
from siamese_mnist.runs.store import read_config, read_scores

LETTERS = "AEO"
WIDTH, HEIGHT = 64, 48
FILES = {"train": 8, "test": 5}  # of each letter


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """Letters in many colours on grounds of many colours, anywhere in the picture."""
    root, rng = tmp_path_factory.mktemp("letters"), np.random.default_rng(0)
    for split, count in FILES.items():
        for letter in LETTERS:
            (root / split / letter).mkdir(parents=True)
            for number in range(count):
                ink, ground = (tuple(map(int, rng.integers(low, low + 128, 3))) for low in rng.permutation([0, 128]))
                picture = Image.new("RGB", (WIDTH, HEIGHT), ground)
                place = tuple(map(int, rng.integers(0, (40, 16))))
                ImageDraw.Draw(picture).text(place, letter, ink, ImageFont.load_default(28))
                picture.save(root / split / letter / f"{number}.png")
    return root


@pytest.fixture(scope="module", params=["3", "1"], ids=["colour", "grey"])
def run(request, letters, tmp_path_factory):
    return sm.run(
        "siamese",
        recipe="short-test",
        train_pairs=100,
        test_pairs=40,
        dataset="folder",
        dataset_options={"channels": request.param},
        data_dir=letters,
        runs_dir=tmp_path_factory.mktemp("runs"),
    )


@pytest.fixture(scope="module")
def scores(run):
    return read_scores(run.run_dir)


@pytest.fixture(scope="module")
def paths(letters):
    """Files of the test images, by row."""
    return [letters / "test" / letter / f"{number}.png" for letter in LETTERS for number in range(FILES["test"])]


def test_predict_answers_as_the_run_did(command, run, scores, paths, tmp_path):
    with (tmp_path / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["left", "right"])
        writer.writerows((paths[a], paths[b]) for a, b in zip(scores["left"], scores["right"], strict=True))
    bundle = write_bundle(run.run_dir, tmp_path / "bundle.zip")
    for place in (run.run_dir, bundle):
        done = command("predict", place, "--pairs", tmp_path / "pairs.csv", "--json")
        assert done.status == 0
        answers = [json.loads(line) for line in done.out.splitlines()]
        np.testing.assert_allclose([each["score"] for each in answers], scores["score"], atol=1e-4)
        assert np.mean([each["same"] for each in answers] == scores["same"]) == run.test.accuracy
        assert not any("override" in each for each in answers)


def test_python_reads_files_as_the_run_did(run, scores, paths):
    verifier = sm.load(run.run_dir)
    assert verifier.preprocessing is Preprocessing.PLAIN
    images = np.stack([verifier.read(path) for path in paths])
    assert images.shape == (15, verifier.channels, HEIGHT, WIDTH)
    found = verifier.score(images[scores["left"]], images[scores["right"]])
    np.testing.assert_allclose(found, scores["score"], atol=1e-4)


def test_an_override_is_said(command, mistake, run, paths):
    own = command("predict", run.run_dir, *paths[:2], "--no-normalise", "--json")
    assert (own.err, "override" in json.loads(own.out)) == ("", False)
    if read_config(run.run_dir)["channels"] == 3:
        message = mistake("predict", run.run_dir, *paths[:2], "--normalise")
        assert message == "preprocessing 'mnist' gives grey images, and 3 channels are wanted; take 'plain'"
        return
    other = command("predict", run.run_dir, *paths[:2], "--normalise", "--json")
    assert other.err == "siamese-mnist: preprocessing mnist, where the run's own is plain\n"
    answer = json.loads(other.out)
    assert answer["override"] == {"preprocessing": "mnist", "run": "plain"}
    assert answer["score"] != pytest.approx(json.loads(own.out)["score"], abs=1e-3)


def test_the_demo_refuses_what_it_cannot_draw(run):
    with pytest.raises(
        UsageError, match=r"takes images in colour|takes pictures resized, .*--dataset folder-normalised"
    ):
        open_answers(run.run_dir, None, np.random.default_rng(0))


def test_a_picture_unlike_the_training_images_is_told(command, finished, usual, tmp_path):
    names = [tmp_path / f"{number}.png" for number in range(3)]
    for number, (name, image) in enumerate(zip(names, usual, strict=True)):
        Image.fromarray(255 - image if number == 1 else image).save(name)
    place = finished["siamese"].run_dir
    fine = command("predict", place, names[0], names[2], "--no-normalise", "--json")
    assert "warning" not in json.loads(fine.out)
    assert "warning" not in json.loads(command("predict", place, *names[:2], "--json").out)
    odd = command("predict", place, *names[:2], "--no-normalise", "--json")
    assert json.loads(odd.out)["warning"].startswith(f"{names[1]} is much lighter than the training images (mean 0.")
    assert f"warning              {names[1]} is" in command("predict", place, *names[:2], "--no-normalise").out
    many = command("predict", place, tmp_path, "--no-normalise")
    assert "warning" not in many.out
    assert many.err.splitlines()[-1].startswith("siamese-mnist: 2 of 3 pairs have a warning; the first: 1.png is much")


@pytest.mark.parametrize("name", ["mnist-tenth", "glyphs"])
def test_brightness_tells_inverted_images_from_held_out_ones(name):
    dataset = sm.load_dataset(name)
    brightness, images = Brightness.of(dataset.train.images), dataset.test.images.numpy()
    assert not any(brightness.remark(image) for image in images)
    assert all(brightness.remark(255 - image) for image in images)


@pytest.mark.parametrize("kept", [{"mean": "0.5", "deviation": 0.1}, {"mean": 2, "deviation": 0.1}])
def test_a_damaged_brightness(kept):
    with pytest.raises(ValueError, match="brightness must be mean and deviation"):
        Brightness.from_config({"brightness": kept})


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"dataset": "mnist"}, "mnist"),
        ({"dataset": "folder", "channels": 1}, "plain"),
        ({"dataset": "of a plugin", "channels": 3}, "plain"),
        ({"dataset": "folder", "preprocessing": "inverted"}, "inverted"),
    ],
)
def test_runs_of_before(config, expected):
    assert preprocessing_of(config) == expected


@pytest.mark.parametrize("given", [["mnist"], "minst", None])
def test_an_unknown_preprocessing(given):
    with pytest.raises(UsageError, match=r"unknown preprocessing .*; take one of mnist, plain, inverted"):
        preprocessing_of({"preprocessing": given})


def test_a_data_set_in_colour_has_no_preprocessing_in_grey(small):
    train, test = (LabeledImages(part.images.expand(-1, 3, -1, -1), part.labels) for part in (small.train, small.test))
    with pytest.raises(DataError, match="mine: preprocessing 'mnist' gives grey images"):
        checked(Dataset(train, test, small.classes, Preprocessing.MNIST), "mine")


def test_inverted_is_plain_with_light_and_dark_exchanged(letters):
    path = letters / "test" / "A" / "0.png"
    plain, inverted = (each.read(path, size=(20, 30)) for each in (Preprocessing.PLAIN, Preprocessing.INVERTED))
    np.testing.assert_array_equal(inverted, 255 - plain)


@pytest.mark.parametrize("name", ["mnist-tenth", "glyphs"])
def test_data_sets_keep_what_they_name(name):
    """Their images are already what their preprocessing makes, but for a pixel of rounding; a split keeps it."""
    dataset = sm.load_dataset(name)
    assert dataset.preprocessing is sm.split_dataset(dataset, "classes").preprocessing is Preprocessing.MNIST
    images = dataset.test.images[:20].numpy()
    again = [dataset.preprocessing.apply(Image.fromarray(each[0]), size=dataset.image_size) for each in images]
    assert np.abs(np.stack(again).astype(int) - images).mean() < 2
