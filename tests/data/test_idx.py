"""IDX files: the reader against files packed by hand, the data sets against torchvision's own readers."""

import gzip
import struct
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from siamese_mnist.data import DataError, load_dataset
from siamese_mnist.data.idx import read_idx

MNIST_STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
QMNIST_STEMS = tuple(
    f"qmnist-{split}-{what}" for split in ("train", "test") for what in ("images-idx3-ubyte", "labels-idx2-int")
)
EMNIST_STEMS = tuple(
    f"emnist-digits-{split}-{what}-ubyte" for split in ("train", "test") for what in ("images-idx3", "labels-idx1")
)
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def pack(array, code=0x08, form="B"):
    """An IDX file's bytes."""
    array = np.asarray(array)
    head = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + struct.pack(f">{array.size}{form}", *array.ravel().tolist())


@pytest.fixture(scope="module")
def contents(tenth):
    """Real images and labels, 30 to train and 20 to test, as four IDX files."""
    arrays = (tenth.train.images[:30, 0], tenth.train.labels[:30], tenth.test.images[:20, 0], tenth.test.labels[:20])
    return [pack(array) for array in arrays]


def write(folder, stems, contents, compressed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, content in zip(stems, contents, strict=True):
        if compressed:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / stem).write_bytes(content)


def check_against(loaded, tenth):
    assert torch.equal(loaded.train.images, tenth.train.images[:30])
    assert torch.equal(loaded.train.labels, tenth.train.labels[:30])
    assert torch.equal(loaded.test.images, tenth.test.images[:20])
    assert torch.equal(loaded.test.labels, tenth.test.labels[:20])
    assert loaded.train.images.dtype == torch.uint8
    assert loaded.train.labels.dtype == torch.int64


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("layout", [".", "MNIST/raw"])
def test_layouts(tmp_path, tenth, contents, layout, compressed):
    write(tmp_path / layout, MNIST_STEMS, contents, compressed)
    check_against(load_dataset("mnist", tmp_path), tenth)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_reads_what_torchvision_keeps(tmp_path, contents, name, folder):
    write(tmp_path / folder / "raw", MNIST_STEMS, contents)
    loaded = load_dataset(name, tmp_path)
    for split, train in ((loaded.train, True), (loaded.test, False)):
        theirs = getattr(datasets, folder)(tmp_path, train=train)
        assert torch.equal(split.images[:, 0], theirs.data)
        assert torch.equal(split.labels, theirs.targets)
    assert len(loaded.classes) == len(set(loaded.classes)) == 10


def test_folders_of_two_data_sets_are_told_apart(tmp_path, contents):
    write(tmp_path / "KMNIST" / "raw", MNIST_STEMS, contents)
    with pytest.raises(DataError, match=r"fashion-mnist: no file"):
        load_dataset("fashion-mnist", tmp_path)


def test_qmnist_labels_are_the_first_column(tmp_path, tenth, contents):
    contents = list(contents)
    for place, labels in ((1, tenth.train.labels[:30]), (3, tenth.test.labels[:20])):
        rows = [[int(label), 4, 4000, 99, 100_000, 12, 0, 0] for label in labels]
        contents[place] = pack(rows, 0x0C, "i")
    write(tmp_path / "QMNIST" / "raw", QMNIST_STEMS, contents)
    loaded = load_dataset("qmnist", tmp_path)
    check_against(loaded, tenth)
    theirs = datasets.QMNIST(tmp_path, what="test")
    assert torch.equal(loaded.test.labels, theirs.targets[:, 0])


def test_qmnist_groups_are_the_writers(tmp_path, contents):
    contents = list(contents)
    for place, count in ((1, 30), (3, 20)):
        contents[place] = pack(
            [[number % 10, 4, 2100 + number % 7, 9, 1, 1, 0, 0] for number in range(count)], 0x0C, "i"
        )
    write(tmp_path / "QMNIST" / "raw", QMNIST_STEMS, contents)
    loaded = load_dataset("qmnist", tmp_path)
    assert loaded.train.groups.tolist() == [2100 + number % 7 for number in range(30)]
    assert loaded.test.groups.dtype == torch.int64


@pytest.mark.parametrize(("name", "first", "count"), [("letters", 1, 26), ("balanced", 0, 47)])
def test_other_halves_of_emnist(tmp_path, tenth, name, first, count):
    """Classes by their label, as torchvision names them, and images turned upright."""
    labels = torch.arange(count) + first
    images = tenth.train.images[:count, 0].transpose(1, 2)
    stems = [stem.replace("digits", name) for stem in EMNIST_STEMS]
    write(tmp_path / "EMNIST" / "raw", stems, [pack(array) for array in (images, labels, images, labels)])
    loaded = load_dataset(f"emnist-{name}", tmp_path)
    assert torch.equal(loaded.train.images, tenth.train.images[:count])
    theirs = datasets.EMNIST(tmp_path, split=name, train=True)
    names = [theirs.classes[label] for label in theirs.targets]
    assert [loaded.classes[label] for label in loaded.train.labels] == (
        [each.upper() for each in names] if name == "letters" else names
    )


def test_emnist_is_turned_upright(tmp_path, tenth):
    arrays = (
        tenth.train.images[:30, 0].transpose(1, 2),
        tenth.train.labels[:30],
        tenth.test.images[:20, 0].transpose(1, 2),
        tenth.test.labels[:20],
    )
    write(tmp_path / "EMNIST" / "raw", EMNIST_STEMS, [pack(array) for array in arrays])
    loaded = load_dataset("emnist-digits", tmp_path)
    check_against(loaded, tenth)
    assert loaded.train.images.is_contiguous()
    theirs = datasets.EMNIST(tmp_path, split="digits", train=True)
    assert torch.equal(loaded.train.images[:, 0].transpose(1, 2), theirs.data)


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_debian_package():
    loaded = load_dataset("fashion-mnist", DEBIAN)
    assert loaded.train.images.shape == (60_000, 1, 28, 28)
    assert loaded.test.images.shape == (10_000, 1, 28, 28)
    assert loaded.train.labels.bincount().tolist() == [6000] * 10
    assert [loaded.classes[label] for label in loaded.train.labels[:3]] == ["ankle boot", "T-shirt", "T-shirt"]
    assert [loaded.classes[label] for label in loaded.test.labels[:3]] == ["ankle boot", "pullover", "trouser"]


@pytest.mark.parametrize(
    ("code", "form", "dtype", "values"),
    [
        (0x08, "B", torch.uint8, [[0, 1, 255], [7, 8, 9]]),
        (0x09, "b", torch.int8, [[-128, 127]]),
        (0x0B, "h", torch.int16, [-300, 258]),
        (0x0C, "i", torch.int32, [[-70_000], [16_909_060]]),
        (0x0D, "f", torch.float32, [0.5, -1.25]),
        (0x0E, "d", torch.float64, [[[0.1]]]),
    ],
)
def test_number_types(tmp_path, code, form, dtype, values):
    (tmp_path / "numbers").write_bytes(pack(values, code, form))
    read = read_idx(tmp_path / "numbers")
    assert read.dtype == dtype
    assert read.tolist() == values


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], r"has \d+ bytes where its header says \d+"),
        (lambda content: content + b"\0", r"has \d+ bytes where its header says \d+"),
        (lambda content: content[:9], r"has \d+ bytes where its header says \d+"),
        (lambda content: content[:3], "is not an IDX file"),
        (lambda _: b"", "is not an IDX file"),
        (lambda _: b"<html>not found</html>", "is not an IDX file"),
        (lambda content: b"\0\0\x07" + content[3:], "is not an IDX file"),
    ],
    ids=["truncated", "too long", "truncated header", "three bytes", "empty", "html", "unknown type"],
)
def test_damaged(tmp_path, contents, damage, message, compressed):
    write(tmp_path, MNIST_STEMS, contents, compressed)
    write(tmp_path, MNIST_STEMS[:1], [damage(contents[0])], compressed)
    with pytest.raises(DataError, match=rf"train-images-idx3-ubyte.* {message}.*; fetch it again"):
        load_dataset("mnist", tmp_path)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:40] + b"?" * 20 + raw[60:], lambda _: b"no"])
def test_damaged_gzip(tmp_path, contents, damage):
    write(tmp_path, MNIST_STEMS, contents, compressed=True)
    path = tmp_path / f"{MNIST_STEMS[2]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz cannot be read .*; fetch it again"):
        load_dataset("mnist", tmp_path)


@pytest.mark.parametrize("absent", MNIST_STEMS)
def test_missing(tmp_path, contents, absent):
    write(tmp_path, MNIST_STEMS, contents)
    (tmp_path / absent).unlink()
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"mnist: no file {absent} or {absent}.gz in {tmp_path} or {tmp_path / 'MNIST' / 'raw'};")
    assert "--data-dir" in message
    assert "--download" in message
    assert "\n" not in message


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="no file train-images"):
        load_dataset("mnist", tmp_path / "file")


@pytest.mark.parametrize(
    ("place", "array", "message"),
    [
        (
            0,
            np.zeros((30, 784)),
            r"mnist: training images must be uint8 \(N, C, H, W\) with C 1 or 3, got uint8 \(30, 784\)",
        ),
        (1, np.zeros(29), "mnist: 30 training images but 29 labels"),
        (3, np.full(20, 10), r"mnist: test labels must lie in 0\.\.9"),
        (2, np.zeros((20, 14, 28)), "mnist: training and test images differ in size"),
        (2, np.zeros((0, 28, 28)), "mnist: 0 test images but 20 labels"),
    ],
)
def test_wrong_shape(tmp_path, contents, place, array, message):
    contents = list(contents)
    contents[place] = pack(array.astype(int))
    write(tmp_path, MNIST_STEMS, contents)
    with pytest.raises(DataError, match=message):
        load_dataset("mnist", tmp_path)


def test_wrong_number_type(tmp_path, contents):
    write(tmp_path, MNIST_STEMS, [pack(np.zeros((30, 2, 2)), 0x0D, "f"), *contents[1:]])
    with pytest.raises(DataError, match="training images must be uint8"):
        load_dataset("mnist", tmp_path)


@pytest.mark.parametrize(
    "error", [RuntimeError("Error downloading train-images\nlong story"), urllib.error.URLError("no route to host")]
)
def test_failed_download(tmp_path, monkeypatch, error):
    def fail(self):  # noqa: ARG001
        raise error

    monkeypatch.setattr(datasets.MNIST, "download", fail)
    with pytest.raises(DataError) as caught:
        load_dataset("mnist", tmp_path, download=True)
    message = str(caught.value)
    assert message.startswith(f"mnist: the download to {tmp_path} failed (")
    assert "check the network" in message
    assert "\n" not in message


def test_download(tmp_path, monkeypatch, tenth, contents):
    fetched = []

    def fetch(self):
        fetched.append(self.train)
        write(Path(self.raw_folder), MNIST_STEMS, contents)

    monkeypatch.setattr(datasets.MNIST, "download", fetch)
    check_against(load_dataset("mnist", tmp_path, download=True), tenth)
    assert fetched
    fetched.clear()
    check_against(load_dataset("mnist", tmp_path, download=True), tenth)
    assert not fetched, "what is there is not fetched again"


def test_nothing_is_fetched_unasked(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(datasets.MNIST, "download", fetched.append)
    with pytest.raises(DataError, match="--download"):
        load_dataset("mnist", tmp_path)
    assert not fetched
