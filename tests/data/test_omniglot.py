"""Omniglot in torchvision's folder layout, on a few drawings."""

import shutil

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from siamese_mnist.data import DataError, load_dataset, split_dataset

ALPHABETS = {"images_background": ["Greek", "Hebrew"], "images_evaluation": ["Tibetan"]}


@pytest.fixture
def root(tmp_path):
    """Two characters an alphabet, three drawings each: a black square on white, further right for each drawer."""
    number = 0
    for half, names in ALPHABETS.items():
        for name in names:
            for character in ("character01", "character02"):
                number += 1
                folder = tmp_path / "omniglot-py" / half / name / character
                folder.mkdir(parents=True)
                for drawer in (1, 2, 3):
                    picture = np.full((105, 105), 255, np.uint8)
                    picture[40:60, 20 * drawer : 20 * drawer + 20] = 0
                    Image.fromarray(picture).convert("1").save(folder / f"{number:04}_{drawer:02}.png")
    return tmp_path


def test_both_halves(root):
    loaded = load_dataset("omniglot", root)
    assert loaded.classes == tuple(
        f"{alphabet}/character0{number}" for alphabet in ("Greek", "Hebrew", "Tibetan") for number in (1, 2)
    )
    assert loaded.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert loaded.test.labels.tolist() == [4, 4, 4, 5, 5, 5]
    assert loaded.train.groups.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]
    assert loaded.test.groups.tolist() == [6, 7, 8, 6, 7, 8]
    assert loaded.image_size == (28, 28)
    assert loaded.train.images[:, :, 0].max() == 0, "light on dark"
    assert loaded.train.images.amax((1, 2, 3)).min() > 200


def test_as_torchvision_reads_it(root, monkeypatch):
    monkeypatch.setattr(datasets.Omniglot, "_check_integrity", lambda _: True)
    theirs = datasets.Omniglot(root, background=True)
    loaded = load_dataset("omniglot", root, size=105)
    expected = {((255 - np.asarray(picture)).tobytes(), theirs._characters[label]) for picture, label in theirs}
    found = zip(loaded.train.images.numpy(), loaded.train.labels.tolist(), strict=True)
    assert {(image.tobytes(), loaded.classes[label]) for image, label in found} == expected


def test_folders_may_lie_in_the_root(root):
    for half in ALPHABETS:
        shutil.move(root / "omniglot-py" / half, root / half)
    assert len(load_dataset("omniglot", root).test.labels) == 6


def test_new_characters_by_new_people(root):
    split = split_dataset(load_dataset("omniglot", root), "classes+groups", folds=2)
    assert not set(split.train.groups.tolist()) & set(split.test.groups.tolist())


def test_mistakes(root, monkeypatch):
    with pytest.raises(DataError, match=f"omniglot: no folder images_background in .*{root.name}/no.*--download"):
        load_dataset("omniglot", root / "no")
    monkeypatch.setattr(datasets, "Omniglot", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no route\nat all")))
    with pytest.raises(DataError, match=r"the download to .* failed \(no route\); check the network"):
        load_dataset("omniglot", root / "no", download=True)
    shutil.rmtree(root / "omniglot-py" / "images_evaluation" / "Tibetan")
    with pytest.raises(DataError, match="images_evaluation has no drawings"):
        load_dataset("omniglot", root)
