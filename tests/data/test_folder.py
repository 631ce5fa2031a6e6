"""A data set of one's own, from folders of image files."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from siamese_mnist.data import DataError, Preprocessing, load_dataset
from siamese_mnist.errors import UsageError


@pytest.fixture
def root(tmp_path, tenth):
    """Six training and four test images of the digits 0 and 1."""
    for split, data, each in (("train", tenth.train, 3), ("test", tenth.test, 2)):
        for digit, name in enumerate(("naught", "one")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number, image in enumerate(data.images[data.labels == digit][:each]):
                Image.fromarray(image[0].numpy()).save(folder / f"{number}.png")
    return tmp_path


def test_images_and_labels(root, tenth):
    loaded = load_dataset("folder", root)
    assert loaded.classes == ("naught", "one")
    for split, data, each in ((loaded.train, tenth.train, 3), (loaded.test, tenth.test, 2)):
        expected = torch.cat([data.images[data.labels == digit][:each] for digit in (0, 1)])
        assert torch.equal(split.images, expected)
        assert split.labels.tolist() == [0] * each + [1] * each
        assert split.labels.dtype == torch.int64


def test_formats(root):
    """Every kind of pixel becomes the same 8-bit grey."""
    folder = root / "train" / "naught"
    image = Image.open(folder / "0.png")
    expected = np.asarray(image)
    image.convert("RGB").save(folder / "0.bmp")
    image.convert("RGBA").save(folder / "1.png")
    image.convert("P").save(folder / "2.gif")
    loaded = load_dataset("folder", root).train.images
    for kind, got in zip(("png", "bmp", "rgba", "gif"), loaded[[1, 0, 2, 3], 0].numpy(), strict=True):
        np.testing.assert_array_equal(got, expected, err_msg=kind)


def test_16_bit_images_keep_their_shades(root):
    path = root / "train" / "naught" / "0.png"
    expected = np.array(Image.open(path))
    Image.fromarray(expected.astype(np.uint16) * 257).save(path)
    got = load_dataset("folder", root).train.images[0, 0].numpy()
    assert np.abs(got.astype(int) - expected).max() <= 1


def coloured(path, hue=(1, 0.5, 0)):
    """Gives the picture at a path a hue; returns its pixels (3, H, W)."""
    grey = np.asarray(Image.open(path).convert("L"))
    colour = np.round(grey[..., None] * np.array(hue)).astype(np.uint8)
    Image.fromarray(colour).save(path)
    return np.moveaxis(colour, -1, 0)


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_coloured_file_makes_the_set_coloured(root, tenth, split):
    expected = coloured(root / split / "one" / "1.png")
    loaded = load_dataset("folder", root)
    assert loaded.channels == 3
    row = {"train": 4, "test": 3}[split]
    np.testing.assert_array_equal(getattr(loaded, split).images[row].numpy(), expected)
    for channel in range(3):
        assert torch.equal(loaded.train.images[:1, channel], tenth.train.images[tenth.train.labels == 0][:1, 0])


def test_channels_on_request(root):
    grey = load_dataset("folder", root).train.images
    assert torch.equal(load_dataset("folder", root, channels="3").train.images, grey.expand(-1, 3, -1, -1))
    coloured(root / "train" / "one" / "1.png")
    assert load_dataset("folder", root, channels=1).channels == 1
    with pytest.raises(UsageError, match="channels must be auto, 1 or 3, got 2"):
        load_dataset("folder", root, channels=2)


def test_transparent_colour_lies_on_its_own_most_common_tone(root):
    picture = np.zeros((28, 28, 4), np.uint8)
    picture[4:24, 4:24] = (200, 100, 0, 255)
    picture[10:14, 10:14] = (0, 100, 200, 255)
    path = root / "train" / "one" / "1.png"
    Image.fromarray(picture).save(path)
    image = load_dataset("folder", root).train.images[4]
    assert image[:, 12, 12].tolist() == [0, 100, 200]
    assert image[:, 6, 6].tolist() == [200, 100, 0]


@pytest.mark.parametrize(("size", "expected"), [("14x20", (14, 20)), (16, (16, 16)), ("32", (32, 32))])
def test_resized(root, size, expected):
    path = root / "train" / "one" / "1.png"
    Image.open(path).resize((90, 60)).save(path)
    loaded = load_dataset("folder", root, size=size)
    assert loaded.image_size == expected
    assert loaded.train.images.amax((1, 2, 3)).min() > 128
    assert load_dataset("folder-normalised", root, size=size).image_size == expected


@pytest.mark.parametrize("size", ["0", "axb", "3x4x5", "2000", "-1x3", ""])
def test_sizes_that_are_none(root, size):
    with pytest.raises(UsageError, match="size must be HEIGHTxWIDTH or one number, in pixels from 1 to 1024"):
        load_dataset("folder", root, size=size)


def test_unknown_option(root):
    with pytest.raises(UsageError, match="data set 'folder' has no option 'sise'; did you mean 'size'"):
        load_dataset("folder", root, sise=3)
    with pytest.raises(UsageError, match=r"data set .mnist-tenth. has no option .size.\. It has none"):
        load_dataset("mnist-tenth", size=3)
    with pytest.raises(UsageError, match="data set 'mnist' has no option 'size'"):
        load_dataset("mnist", root, size=3)


def test_images_beyond_memory(root, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda _: 100)
    with pytest.raises(DataError, match=r"6 images of 28 x 28 in 1 channel\(s\) need .* set the option size to less"):
        load_dataset("folder", root)


def test_hidden_files_are_ignored(root):
    (root / "train" / "naught" / ".DS_Store").write_bytes(b"?")
    (root / "train" / ".cache").mkdir()
    loaded = load_dataset("folder", root)
    assert loaded.classes == ("naught", "one")
    assert len(loaded.train.images) == 6


def test_unreadable_file(root):
    path = root / "test" / "one" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"test/one/1\.png cannot be read as an image \(.*\); save it again as PNG"):
        load_dataset("folder", root)


def test_file_that_is_no_image(root):
    (root / "train" / "one" / "notes.txt").write_text("two ones")
    with pytest.raises(DataError, match=r"train/one/notes\.txt is not an image that Pillow reads"):
        load_dataset("folder", root)


def test_size_mismatch(root):
    path = root / "train" / "one" / "1.png"
    Image.open(path).resize((14, 20)).save(path)
    with pytest.raises(DataError, match=r"train/one/1\.png is 14 x 20, the images before it 28 x 28"):
        load_dataset("folder", root)


def test_size_mismatch_between_splits(root):
    for path in (root / "test").glob("*/*.png"):
        Image.open(path).resize((14, 14)).save(path)
    with pytest.raises(DataError, match="training and test images differ in size"):
        load_dataset("folder", root)


@pytest.mark.parametrize("split", ["train", "test"])
def test_missing_folder(root, split):
    (root / split).rename(root / "elsewhere")
    with pytest.raises(DataError, match=f"{root / split} is not a folder.*--data-dir"):
        load_dataset("folder", root)


@pytest.mark.parametrize("name", ["folder", "folder-normalised"])
def test_no_folder_at_all(tmp_path, name):
    with pytest.raises(DataError, match=f"{tmp_path / 'nowhere'} is not a folder.*--data-dir"):
        load_dataset(name, tmp_path / "nowhere")


def test_folder_without_classes(root):
    (root / "test").rename(root / "elsewhere")
    (root / "test").mkdir()
    with pytest.raises(DataError, match="has no class folders"):
        load_dataset("folder", root)


def test_folder_without_images(root):
    for path in (root / "test").glob("*/*.png"):
        path.unlink()
    with pytest.raises(DataError, match=f"{root / 'test'} has no images to train or to test"):
        load_dataset("folder", root)


def test_class_that_training_lacks(root):
    (root / "test" / "two").mkdir()
    with pytest.raises(DataError, match=f"class 'two' has no folder in {root / 'train'}"):
        load_dataset("folder", root)


def test_class_that_the_test_set_lacks(root):
    for path in (root / "test" / "naught").iterdir():
        path.unlink()
    (root / "test" / "naught").rmdir()
    assert load_dataset("folder", root).test.labels.tolist() == [1, 1]


def test_normalised_images_of_any_size_and_polarity(root):
    """What training sees is what `predict` would ask about."""
    folder = root / "train" / "naught"
    Image.fromarray(255 - np.asarray(Image.open(folder / "0.png"))).resize((90, 112)).save(folder / "0.jpg")
    loaded = load_dataset("folder-normalised", root)
    assert loaded.image_size == (28, 28)
    paths = [path for name in loaded.classes for path in sorted((root / "train" / name).iterdir())]
    for path, image in zip(paths, loaded.train.images[:, 0].numpy(), strict=True):
        np.testing.assert_array_equal(image, Preprocessing.MNIST.read(path, size=(28, 28))[0], err_msg=str(path))


def test_normalised_image_without_ink_is_named(root):
    path = root / "test" / "one" / "0.png"
    Image.fromarray(np.full((28, 28), 255, np.uint8)).save(path)
    assert len(load_dataset("folder", root).test.images) == 4
    with pytest.raises(DataError, match=str(path)):
        load_dataset("folder-normalised", root)


def flat(root):
    """The pictures of both parts in one folder a class."""
    for split in ("train", "test"):
        for path in sorted((root / split).glob("*/*.png")):
            (root / path.parent.name).mkdir(exist_ok=True)
            path.rename(root / path.parent.name / f"{split}-{path.name}")
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        (root / split).rmdir()
    return root


def test_folders_of_classes_alone_are_divided(root):
    loaded = load_dataset("folder", flat(root))
    assert loaded.classes == ("naught", "one")
    assert loaded.train.labels.tolist() == [0] * 4 + [1] * 4
    assert loaded.test.labels.tolist() == [0, 1]
    seen = {image.numpy().tobytes() for part in (loaded.train, loaded.test) for image in part.images}
    assert len(seen) == 10
    assert torch.equal(load_dataset("folder", root).test.images, loaded.test.images)
    for path in sorted((root / "one").iterdir())[2:]:
        path.unlink()
    assert load_dataset("folder", root).test.labels.tolist() == [0]  # two are too few to divide


def test_folders_without_images_to_divide(root):
    for path in flat(root).glob("*/*.png"):
        path.unlink()
    with pytest.raises(DataError, match=f"{root} has no images to train or to test on; .* at least three of a class"):
        load_dataset("folder", root)


def write_groups(root, groups, header="file,group"):
    (root / "who.csv").write_text("\n".join([header, *(f"{file},{group}" for file, group in groups.items())]))


@pytest.mark.parametrize("name", ["folder", "folder-normalised"])
def test_groups_of_a_csv_file(root, name):
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*/*.png"))
    write_groups(root, {path: "anna" if path.endswith("1.png") else "Zoë, jr." for path in paths} | {"else": "x"})
    text = (root / "who.csv").read_text()
    (root / "who.csv").write_text(text.replace("Zoë, jr.", '"Zoë, jr."'))
    loaded = load_dataset(name, root, groups="who.csv")
    assert loaded.train.groups.tolist() == [0, 1, 0] * 2  # Zoë comes before anna
    assert loaded.test.groups.tolist() == [0, 1] * 2
    assert load_dataset(name, root).train.groups is None


def test_groups_that_cannot_be_used(root):
    with pytest.raises(DataError, match=r"who\.csv cannot be read \(No such file or directory\)"):
        load_dataset("folder", root, groups="who.csv")
    write_groups(root, {"train/one/0.png": "anna"}, header="file,writer")
    with pytest.raises(DataError, match=r"who\.csv has no column 'group'; its first line must name file and group"):
        load_dataset("folder", root, groups="who.csv")
    write_groups(root, {"train/one/0.png": "anna"})
    with pytest.raises(DataError, match=r"gives no group of .*0\.png; add a row with train/naught/0\.png"):
        load_dataset("folder", root, groups="who.csv")
