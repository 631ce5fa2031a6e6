"""The shipped tenth of MNIST, against facts known of MNIST."""

import hashlib
from importlib.resources import files

import pytest
import torch

from siamese_mnist.data import DataError, builtin, default_root, load_dataset

SHA256 = {
    "mnist-tenth.npz": "18c9b695305efafd33c7c538f6438582dada91986c65f4e078b8868bce0d18bb",
    "glyphs.npz": "cec0e62fa0321da572f89377a8ec7ecb8458ddff7e918951ad4772dac40756f2",
}


@pytest.mark.parametrize("name", SHA256)
def test_checksum(name):
    content = (files("siamese_mnist.data") / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256[name]


@pytest.mark.parametrize(("split", "each"), [("train", 3), ("test", 1)])
def test_glyphs(split, each):
    """Every glyph of every font, three times to train and once to test."""
    dataset = load_dataset("glyphs")
    images, labels, groups = getattr(dataset, split)
    assert images.shape == (each * 1800, 1, 28, 28)
    assert len(dataset.classes) == len(set(dataset.classes)) == 45
    assert (labels * 40 + groups).bincount().tolist() == [each] * 1800
    assert images.amax((1, 2, 3)).min() > 128
    assert images[:, :, 0].float().mean() < 1, "strokes are light on a dark ground"


def test_glyphs_share_no_image():
    train, test, _ = load_dataset("glyphs")
    assert len(torch.cat([train.images, test.images]).flatten(1).unique(dim=0)) == 7200


@pytest.mark.parametrize(
    ("split", "first", "counts"),
    [
        ("train", [5, 0, 4, 1, 9], [592, 671, 581, 608, 623, 514, 608, 651, 551, 601]),
        ("test", [7, 2, 1, 0, 4], [85, 126, 116, 107, 110, 87, 87, 99, 89, 94]),
    ],
)
def test_content(tenth, split, first, counts):
    images, labels, groups = getattr(tenth, split)
    assert groups is None
    assert images.shape == (sum(counts), 1, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.shape == (sum(counts),)
    assert labels.dtype == torch.int64
    assert labels[:5].tolist() == first
    assert labels.bincount().tolist() == counts
    assert images[:, :, 0].max() == 0, "strokes are light on a dark ground"
    assert images.max() == 255


def test_first_image(tenth):
    assert int(tenth.train.images[0].sum()) == 27_525
    assert tenth.classes == tuple("0123456789")


def test_needs_no_folder(tmp_path):
    assert len(load_dataset("mnist-tenth", tmp_path / "nowhere").test.labels) == 1000


def test_loaded_sets_share_no_memory():
    first = load_dataset("mnist-tenth")
    first.train.images.zero_()
    assert load_dataset("mnist-tenth").train.images.any()


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:99] + b"?" + content[100:]])
@pytest.mark.parametrize("name", ["mnist-tenth", "glyphs"])
def test_damaged_file(tmp_path, monkeypatch, damage, name):
    content = (files("siamese_mnist.data") / f"{name}.npz").read_bytes()
    (tmp_path / f"{name}.npz").write_bytes(damage(content))
    monkeypatch.setattr(builtin, "files", lambda _: tmp_path)
    with pytest.raises(DataError, match=rf"{name}\.npz is damaged.*install siamese-mnist again"):
        load_dataset(name)


def test_unknown_data_set():
    with pytest.raises(ValueError, match=r"unknown data set 'mnist-tent'; did you mean 'mnist-tenth'"):
        load_dataset("mnist-tent")


def test_default_root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_root() == tmp_path / "cache" / "siamese-mnist"
    with pytest.raises(DataError, match=str(default_root())):
        load_dataset("mnist")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".cache" / "siamese-mnist"
