"""Images of any kind brought to MNIST's convention; MNIST itself is the oracle."""

import io
import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.datasets import load_digits

from siamese_mnist import UsageError
from siamese_mnist.data import normalisation
from siamese_mnist.data.normalisation import normalise, read_image, to_grey

MODES = ("L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "I", "F", "I;16")


@pytest.fixture(scope="module")
def digits(small):
    return small.test.images[:, 0].numpy()


@pytest.fixture(scope="module")
def seven(digits):
    return digits[0]


def difference(a, b):
    """Mean absolute difference of two images, in [0, 1]."""
    return np.abs(a.astype(int) - b).mean() / 255


def test_mnist_stays_as_it_is(digits):
    differences = [difference(normalise(image), image) for image in digits]
    assert np.mean(differences) < 0.003
    assert np.mean(np.array(differences) > 0.02) < 0.03, "hardly one is shifted"


def test_box_and_centre(digits):
    """The convention, measured on the result: a box of 20 x 20 and the centre of mass at pixel 14."""
    for image in digits[:100]:
        canvas = np.full((150, 210), 255, np.uint8)
        canvas[90:146, 5:61] = 255 - image.repeat(2, 0).repeat(2, 1)
        result = normalise(canvas)
        rows, columns = np.nonzero(result)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        for axis in (0, 1):
            weights = result.sum(1 - axis)
            assert abs((weights * np.arange(28)).sum() / weights.sum() - 14) <= 0.5 + 1e-6
        assert result.max() == 255


@pytest.mark.parametrize("mode", MODES)
def test_every_mode(seven, mode):
    image = Image.fromarray(seven)
    converted = image.convert("RGB").convert(mode) if mode in ("HSV", "YCbCr") else image.convert(mode)
    assert difference(normalise(converted), normalise(seven)) < 0.005


def transparent(alpha, colour):
    return Image.fromarray(np.dstack([np.full((*alpha.shape, 3), colour, np.uint8), alpha]), "RGBA")


def same_digit(seven):
    """The seven written in ways that must not matter."""
    white = np.full_like(seven, 255)
    on_paper = transparent(white, (0, 0, 0))
    on_paper.paste(Image.fromarray(255 - seven).convert("RGB"))
    cut_out = Image.new("RGBA", (60, 50))
    cut_out.paste(on_paper, (10, 10))
    return {
        "dark on light": 255 - seven,
        "sixteen bits": seven.astype(np.uint16) * 257,
        "twelve bits of sixteen": Image.fromarray(seven.astype(np.uint16) * 16),
        "real numbers": seven / 255,
        "real numbers to 255": seven.astype(float),
        "little contrast": 100 + seven // 4,
        "yellow on white": Image.fromarray(np.dstack([white, white, 255 - seven])),
        "black on nothing": transparent(seven, (0, 0, 0)),
        "white on nothing": transparent(seven, (255, 255, 255)),
        "red on nothing": transparent(seven, (200, 30, 30)),
        "paper on nothing": cut_out,
        "one corner of a page": np.pad(255 - seven, ((5, 60), (90, 0)), constant_values=255),
        "cut out tightly": seven[np.ix_(seven.any(1), seven.any(0))],
        "cut out tightly, dark on light": 255 - seven[np.ix_(seven.any(1), seven.any(0))],
    }


@pytest.mark.parametrize("name", same_digit(np.zeros((28, 28), np.uint8)))
def test_what_must_not_matter(seven, name):
    assert difference(normalise(same_digit(seven)[name]), normalise(seven)) < 0.006


def test_polarity_of_coarse_digits_that_touch_the_border():
    for pixels in load_digits().images[:300]:
        image = (pixels * 255 / 16).astype(np.uint8)
        wanted = normalise(np.pad(image, 2))
        for given_image in (image, 255 - image):
            assert difference(normalise(given_image), wanted) < 0.03


def test_noise_and_jpeg(digits):
    generator = np.random.default_rng(0)
    for image in digits[:30]:
        large = np.asarray(Image.fromarray(255 - image).resize((280, 280), Image.Resampling.BICUBIC))
        noisy = np.pad(large, 60, constant_values=255) * 0.9 + generator.normal(0, 6, (400, 400))
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=60)
        assert difference(normalise(Image.open(buffer)), image) < 0.1


def test_specks_are_left_out(seven):
    page = np.full((300, 300), 255, np.uint8)
    page[100:212, 100:212] = 255 - seven.repeat(4, 0).repeat(4, 1)
    clean = normalise(page)
    page[10:13, 280:283] = 0
    assert np.array_equal(normalise(page), clean)


def test_other_sizes(seven):
    result = normalise(seven, (56, 70))
    assert result.shape == (56, 70)
    rows, columns = np.nonzero(result)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 40


EMPTY = {
    "black": np.zeros((28, 28), np.uint8),
    "white": np.full((9, 300), 255, np.uint8),
    "one pixel": np.ones((1, 1), np.uint8),
    "transparent": Image.new("RGBA", (30, 30)),
    "noise": np.random.default_rng(0).normal(128, 20, (200, 200)).clip(0, 255).astype(np.uint8),
    "a gradient": np.linspace(50, 200, 300)[None].repeat(200, 0).astype(np.uint8),
}


@pytest.mark.parametrize("image", EMPTY.values(), ids=EMPTY)
def test_empty(image):
    with pytest.raises(UsageError, match=r"the image is empty: .*; draw something on it"):
        normalise(image)


@pytest.mark.parametrize("shape", [(), (5,), (0, 4), (2, 2, 5), (1, 2, 3, 4)])
def test_arrays_that_are_no_images(shape):
    with pytest.raises(UsageError, match="an image must be"):
        normalise(np.zeros(shape))


def test_grey_is_pillows(digits):
    image = Image.fromarray(np.dstack([digits[0], digits[1], digits[2]]))
    expected = np.asarray(image.convert("L")) / 255
    np.testing.assert_allclose(to_grey(image), expected, atol=1e-6)
    np.testing.assert_allclose(to_grey(np.asarray(image)), expected, atol=0.005)


@pytest.mark.parametrize("extension", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm", "ico"])
def test_reading_files(tmp_path, seven, extension):
    path = tmp_path / f"seven.{extension}"
    Image.fromarray(seven).convert("RGB").save(path)
    assert difference(normalise(read_image(path)), normalise(seven)) < 0.06


def test_turned_upright(tmp_path, seven):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.fromarray(np.rot90(seven)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / "turned.png")), seven)


def fails(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UsageError) as caught:
            read_image(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_files_that_are_no_images(tmp_path, seven, capfd):
    assert "does not exist" in fails(tmp_path / "none.png")
    assert "is a folder" in fails(tmp_path)
    (tmp_path / "text.png").write_text("left,right\n")
    assert "not an image that Pillow reads" in fails(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    assert "not an image" in fails(tmp_path / "empty.png")
    Image.fromarray(seven).resize((300, 300)).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    assert "cannot be read as an image" in fails(tmp_path / "cut.png")
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    assert "not an image" in fails(tmp_path / "program.eps")
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in fails(tmp_path / "pipe.png")
    assert capfd.readouterr() == ("", "")


def test_libtiff_says_nothing_of_its_own(tmp_path, digits, capfd):
    path = tmp_path / "image.tif"
    Image.fromarray(np.tile(digits[0], (3, 3))).save(path, compression="tiff_lzw")
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(8, len(content), 60):
        path.write_bytes(content[:place] + rng.bytes(6) + content[place + 6 :])
        try:
            read_image(path)
        except UsageError:
            refused += 1
    assert refused > 20
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.45, 0.7, 1.0])
def test_strokes_are_scipys_components(share, digits):
    """SciPy's labels are the oracle: one number of ours for each of theirs."""
    rng = np.random.default_rng(0)
    pictures = [rng.random(shape) < share for shape in ((1, 1), (1, 9), (9, 1), (28, 28), (90, 70))]
    pictures += [digit > 60 for digit in digits]
    spiral = np.zeros((40, 40), bool)
    for turn in range(0, 20, 2):
        spiral[turn, turn : 40 - turn] = spiral[turn : 40 - turn, 39 - turn] = True
        spiral[39 - turn, turn : 40 - turn] = spiral[turn + 2 : 40 - turn, turn] = True
    for ink in (*pictures, spiral):
        ours, (theirs, count) = normalisation._strokes(ink), ndimage.label(ink, np.ones((3, 3)))
        np.testing.assert_array_equal(ours == 0, theirs == 0)
        pairs = set(zip(ours[ink].tolist(), theirs[ink].tolist(), strict=True))
        assert len(pairs) == len({one for one, _ in pairs}) == count


def test_decompression_bomb(tmp_path, monkeypatch):
    """More pixels than Pillow itself warns of."""
    Image.new("1", (10_000, 9_500)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 20_000
    assert "more than 64 Mi pixels; make it smaller" in fails(tmp_path / "bomb.png")
    monkeypatch.setattr(normalisation, "MAX_PIXELS", 1 << 27)
    read_image(tmp_path / "bomb.png").close()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable(tmp_path, seven):
    Image.fromarray(seven).save(tmp_path / "locked.png")
    (tmp_path / "locked.png").chmod(0)
    assert "permission denied" in fails(tmp_path / "locked.png")


@pytest.fixture(scope="module")
def encoded(small):
    found = {}
    image = Image.fromarray(small.test.images[0, 0].numpy()).convert("RGB")
    ImageDraw.Draw(image).line((0, 0, 9, 9), fill=(200, 0, 0))
    for name in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"):
        buffer = io.BytesIO()
        image.save(buffer, name)
        found[name] = buffer.getvalue()
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_end_in_one_line(tmp_path, encoded, data):
    """Whatever a file holds, it is an image or a `UsageError`, and nothing is warned of."""
    content = bytearray(encoded[data.draw(st.sampled_from(sorted(encoded)))])
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "fuzzed"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = normalise(read_image(path))
        except UsageError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert result.shape == (28, 28)


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.int64, np.uint64, np.float64])
def test_bytes_of_any_type_are_the_same_image(kind):
    image = np.zeros((40, 40), np.uint8)
    image[8:32, 18:22] = 255
    np.testing.assert_array_equal(normalise(image.astype(kind)), normalise(image))
