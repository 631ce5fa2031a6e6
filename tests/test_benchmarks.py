"""What the studies in `benchmarks` compute, in short."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

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
