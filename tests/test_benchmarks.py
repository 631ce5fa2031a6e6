"""What the studies in `benchmarks` compute, in short."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.data.pairs import draw_pairs
from siamese_mnist.data.streams import Purpose, stream
from tests.data.test_idx import MNIST_STEMS, pack, write

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def study(monkeypatch):
    """Imports a study by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def mnist(tmp_path, tenth):
    """A folder in MNIST's format: the built-in test images, and 400 more behind them."""
    more = tenth.train.select(slice(400))
    images, labels = (torch.cat(each) for each in zip(tenth.test[:2], more[:2], strict=True))
    train = tenth.train.select(slice(50))
    write(tmp_path, MNIST_STEMS, [pack(each) for each in (train.images[:, 0], train.labels, images[:, 0], labels)])
    return tmp_path


def called(study, name, *words, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [name, *map(str, words)])
    status = study(name).main()
    return status, capsys.readouterr()


def test_the_rest_of_mnist_has_a_row_of_its_own(study, mnist, runs_dir, tenth, monkeypatch, capsys):
    how = {"monkeypatch": monkeypatch, "capsys": capsys}
    words = ("siamese", "--runs-dir", runs_dir, "--data-dir", mnist, "--pairs", 500)
    status, told = called(study, "rest_of_mnist", *words, "--json", **how)
    assert status == 0
    found = json.loads(told.out)
    names = [name for name in found if "images" in name]
    assert names == [
        "built-in, images 0 to 999",
        "rest, images 1,000 to 1,399",
        "its first half, images 1,000 to 1,199",
        "its second half, images 1,200 to 1,399",
    ]
    pairs = draw_pairs(tenth.test.labels, 500, generator=stream(0, Purpose.TEST_PAIRS))
    images = tenth.test.images[:, 0]
    answers = sm.load(found["run"]).predict(images[pairs.left], images[pairs.right])
    assert found[names[0]]["accuracy"] == pytest.approx((answers == pairs.same.numpy()).mean())
    status, told = called(study, "rest_of_mnist", *words, **how)
    assert [line.split("|")[1].strip() for line in told.out.splitlines()[2:]] == names


def test_other_images_are_no_rest_of_mnist(study, mnist, runs_dir, monkeypatch, capsys):
    path = mnist / MNIST_STEMS[2]
    content = bytearray(path.read_bytes())
    content[20_000] ^= 1
    path.write_bytes(content)
    words = ("siamese", "--runs-dir", runs_dir, "--data-dir", mnist)
    status, told = called(study, "rest_of_mnist", *words, monkeypatch=monkeypatch, capsys=capsys)
    assert (status, told.out) == (2, "")
    assert "are not the built-in ones" in told.err


def test_intervals_over_groups_hold_the_truth(study):
    """In short; `python benchmarks/group_coverage.py` has all kinds of intervals in thousands of experiments."""
    coverage = study("group_coverage")
    rng = np.random.default_rng(3)
    kinds = dict.fromkeys(("groups", "images"), 0)
    for _ in range(100):
        drawn = coverage.draw(rng, 150)
        for by in kinds:
            found = coverage.intervals(rng, drawn, by, replicates=30)
            kinds[by] += np.array([low <= truth <= high for low, high, truth in found.values()])
    assert (kinds["groups"] >= 84).all()
    assert kinds["images"][0] < kinds["groups"][0]


def test_glyph_pictures_are_by_test_writers(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS.parent / "examples"))
    monkeypatch.setattr("sys.argv", ["glyph_pictures.py", str(tmp_path), "--names", "30", "--fold", "1"])
    importlib.import_module("glyph_pictures").main()
    assert len(capsys.readouterr().out.splitlines()) == 2
    enrolled, others = ({each.stem: each for each in (tmp_path / part).iterdir()} for part in ("enrol", "identify"))
    assert len(enrolled) == 30
    assert len(others) == 45
    assert set(enrolled) < set(others)
    dataset = sm.load_dataset("glyphs")
    unseen = set(sm.split_dataset(dataset, "classes+groups", 1).test.groups.tolist())
    images, labels, groups = dataset.test
    for name, path in {**others, **enrolled}.items():
        (row,) = (images[:, 0] == torch.from_numpy(np.array(Image.open(path)))).flatten(1).all(1).nonzero().tolist()
        assert dataset.classes[int(labels[row])] == name.removeprefix("small-")
        assert int(groups[row]) in unseen


def test_simulated_strangers_are_held_by_the_interval(study, monkeypatch, capsys):
    _, said = called(
        study, "strangers", "--simulated", "--galleries", 200, "--json", monkeypatch=monkeypatch, capsys=capsys
    )
    figures = json.loads(said.out)
    assert figures["measured_rate"] == pytest.approx(figures["stated_rate"], abs=0.01)
    assert figures["measured_within_interval"] > 0.9


@pytest.mark.parametrize("axis", ["images", "all-pairs", "pairs", "stacked-pairs", "classes", "gallery", "runs"])
def test_one_step_at_one_size(study, axis, runs_dir):
    """Each axis of growth does its step on a real run."""
    run = next(runs_dir.glob("baseline-*" if axis == "stacked-pairs" else "siamese-*"))
    found = study("growth").AXES[axis](40, run)()
    sizes = {"images": 40, "all-pairs": 40, "pairs": 3, "stacked-pairs": 40, "gallery": 100}
    assert axis not in sizes or len(found) == sizes[axis]


def test_speed_measures_piece_by_piece_and_writes_the_page(study, tmp_path, monkeypatch, capsys):
    """A program that prints a run's figures stands for ours and for Keras's."""
    stand_in = tmp_path / "program"
    printed = {"test": {"accuracy": 0.9}, "phase1": {"train_seconds": 0.01}, "phase2": {"train_seconds": 0.02}}
    stand_in.write_text(f"#!/bin/sh\necho '{json.dumps(printed)}'\n")
    stand_in.chmod(0o755)
    results, page = tmp_path / "speed.json", tmp_path / "speed.md"
    places = ["--results", results, "--output", page, "--ours", stand_in]
    words = ["--only", "report", "--repeats", 2, *places]
    assert called(study, "speed", *words, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    kept = json.loads(results.read_text())["report"]
    assert kept["found"]["run baseline"]["accuracy"] == [0.9, 0.9]
    assert kept["repeats"] == 2
    growth = [{"axis": "pairs", "size": size, "seconds": size / 1000, "peak_rss_bytes": 2**30} for size in (10, 20)]
    everything = {"report": kept, "growth": {**kept, "found": {"pairs": growth}}}
    results.write_text(json.dumps(everything))
    assert called(study, "speed", "--page", *places, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    written = page.read_text()
    assert "| `run baseline` |" in written
    assert "| 0.900, 0.900 |" in written
    assert "By that course 20,000 would take 20 seconds and 1.0 GiB." in written
    assert "(images/growth.svg)" in written
    assert "seconds of the step" in (tmp_path / "images" / "growth.svg").read_text()
    status, told = called(study, "speed", "--repeats", 0, *places, monkeypatch=monkeypatch, capsys=capsys)
    assert (status, told.err) == (2, "error: --repeats must be >= 1, got 0\n")


def test_coloured_letters_get_one_accuracy_in_every_way(study, monkeypatch, capsys):
    letters = study("coloured_letters")
    monkeypatch.setattr(letters, "LETTERS", "AΔЖ")
    monkeypatch.setattr(letters, "TRAIN", (6, 6, 6))
    monkeypatch.setattr(letters, "TEST", (4, 5, 6))
    monkeypatch.setattr("sys.argv", ["coloured_letters", "--json"])
    assert letters.main() == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == 154  # 16 + 25 + 36 of one class
    assert list(found["accuracy"]) == [
        "run",
        "predict --pairs",
        "predict --pairs, bundle",
        "Verifier.predict",
        "SiameseClassifier",
        "onnxruntime",
    ]
    assert 0.5 < found["accuracy"]["run"] < 1


def test_operating_points_keep_their_bound_on_other_images(study, runs_dir, monkeypatch, capsys):
    """In short; `python benchmarks/operating_points.py` has 20 resamplings of more images."""
    words = ("siamese", "--runs-dir", runs_dir, "--max-error", 0.2, "--max-fmr", 0.05, "--prior", 0.2, "--json")
    status, told = called(study, "operating_points", *words, "--resamplings", 3, monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0
    found = json.loads(told.out)
    assert found["kept"] == len(found["resamplings"]) == 3
    for row in found["resamplings"]:
        assert 0 < row["unsure"] < 1
        assert row["error"] <= 0.2
        assert row["cost"] >= row["least_cost"] > 0
        assert 0.01 < row["false_match_rate"] < 0.2


def test_foreign_digits_are_measured_with_and_without_recalibration(study, runs_dir, monkeypatch, capsys):
    words = ("siamese", "--runs-dir", runs_dir, "--pairs", 60)
    status, told = called(study, "foreign_digits", *words, "--json", monkeypatch=monkeypatch, capsys=capsys)
    assert status == 0
    found = json.loads(told.out)
    assert found["normalised"]["pairs"] == 60
    for row in found["calibration"].values():
        assert 0 <= row["expected_calibration_error"] <= 1
    assert len({row["expected_calibration_error"] for row in found["calibration"].values()}) == 2
