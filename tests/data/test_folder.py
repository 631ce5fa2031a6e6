"""A data set of one's own, from folders of image files."""

import numpy as np
import pytest
import torch
from PIL import Image

from siamese_mnist.data import DataError, load_dataset


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


def test_folder_without_classes(root):
    (root / "test").rename(root / "elsewhere")
    (root / "test").mkdir()
    with pytest.raises(DataError, match="has no class folders"):
        load_dataset("folder", root)


def test_folder_without_images(root):
    for path in (root / "test").glob("*/*.png"):
        path.unlink()
    with pytest.raises(DataError, match=f"{root / 'test'} has no images"):
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
    from siamese_mnist.inference.prediction import read_file

    folder = root / "train" / "naught"
    Image.fromarray(255 - np.asarray(Image.open(folder / "0.png"))).resize((90, 112)).save(folder / "0.jpg")
    loaded = load_dataset("folder-normalised", root)
    assert loaded.image_size == (28, 28)
    paths = [path for name in loaded.classes for path in sorted((root / "train" / name).iterdir())]
    for path, image in zip(paths, loaded.train.images[:, 0].numpy(), strict=True):
        np.testing.assert_array_equal(image, read_file(path, (28, 28), normalised=True), err_msg=str(path))


def test_normalised_image_without_ink_is_named(root):
    path = root / "test" / "one" / "0.png"
    Image.fromarray(np.full((28, 28), 255, np.uint8)).save(path)
    assert len(load_dataset("folder", root).test.images) == 4
    with pytest.raises(DataError, match=str(path)):
        load_dataset("folder-normalised", root)
