"""A folder of one's own pictures, from the first command on."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.runs.store import read_scores

CLASSES = ("<b>bold", "-1", "a,b", "[red]Ж", "two words", "$_$")


def fill(root, counts, split=""):
    """Pictures in colour, a hue a class."""
    rng = np.random.default_rng(0)
    for number, (name, count) in enumerate(counts.items()):
        folder = root / split / name
        folder.mkdir(parents=True)
        for row in range(count):
            pixels = rng.integers(0, 60, (12, 16, 3)).astype(np.uint8)
            pixels[..., number % 3] += np.uint8(90 + 30 * (number // 3))
            Image.fromarray(pixels).save(folder / f"{row}.png")
    return root


def test_the_first_attempt_works_whatever_the_classes_are_called(command, tmp_path):
    fill(tmp_path / "pictures", dict.fromkeys(CLASSES, 10))
    done = command("run", "siamese", "--dataset", "folder", "--data-dir", tmp_path / "pictures", "--runs-dir", tmp_path)
    assert done.status == 0
    lines = dict(line.split("  ", 1) for line in done.out.splitlines())
    # 48 training images: 384 pairs of one class, as an image may meet itself; 12 test images: 24. Rounding adds one.
    assert lines["training pairs"].strip() == "769, all that there are, where 100,000 were asked for"
    assert lines["test pairs"].strip() == "49, all that there are, where 10,000 were asked for"
    run = lines["run"].strip()
    assert sm.load(run).channels == 3
    assert json.loads((Path(run) / "config.json").read_text())["classes"] == sorted(CLASSES)
    page = tmp_path / "page.html"
    assert command("report", run, "--data-dir", tmp_path / "pictures", "--output", page).status == 0
    assert "<b>bold" not in page.read_text()


def test_groups_of_a_csv_file_divide_it(command, mistake, tmp_path):
    pictures = fill(tmp_path / "pictures", dict.fromkeys("ABC", 10))
    words = ("--dataset", "folder", "--data-dir", pictures, "--runs-dir", tmp_path, "--recipe", "short-test")
    words += ("--split", "groups", "--dataset-arg", "groups=who.csv")

    def write(*groups):
        rows = [f"{name}/{row}.png,{groups[row % len(groups)]}" for name in "ABC" for row in range(10)]
        (pictures / "who.csv").write_text("\n".join(["file,group", *rows]))

    write("anna", "bert")
    assert "2 groups do not give 5 folds" in mistake("run", "siamese", *words)
    write("anna", "bert", "carl", "dora", "emil")
    found = json.loads(command("run", "siamese", *words, "--json").out)
    assert found["test"]["pairs"] == 25  # of six images
    assert len(set(read_scores(found["run_dir"])["left_group"])) == 1


@pytest.mark.parametrize(
    ("train", "test", "options", "message"),
    [
        (
            {"A": 1, "B": 1},
            {"A": 2, "B": 2},
            [],
            "too few training images: 2 classes with at most 1 of each; at least 2 classes are needed, and 2 images of",
        ),
        ({"A": 3}, {"A": 3}, [], "too few training images: 1 class with at most 3 of each; at least 2 classes"),
        ({"A": 3, "B": 3}, {"A": 3}, [], "too few test images: 1 class with at most 3 of each"),
        (
            {"A": 8, "B": 8},
            {"A": 3, "B": 3},
            ["--validation", "0.1"],
            "validation=0.1 keeps at most 1 images of each of 2 classes, and 2 of 2 or more are needed; give 15 or",
        ),
    ],
)
def test_too_few_images(mistake, tmp_path, train, test, options, message):
    fill(tmp_path, train, "train")
    fill(tmp_path, test, "test")
    words = ("--dataset", "folder", "--data-dir", tmp_path, "--runs-dir", tmp_path / "runs")
    assert message in mistake("run", "siamese", *words, *options)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("recipe", ["report", "fast"])
def test_two_images_of_two_classes_are_enough(tmp_path, recipe):
    fill(tmp_path, {"A": 2, "B": 2}, "train")
    fill(tmp_path, {"A": 2, "B": 2}, "test")
    run = sm.run("siamese", recipe=recipe, dataset="folder", data_dir=tmp_path, runs_dir=tmp_path / "runs", epochs=1)
    assert run.test.pairs == 16
