"""Images of any kind brought to MNIST's convention, and a reader of image files that is safe with foreign ones.

MNIST's digits are light on dark, scaled with their aspect ratio kept into a box of 20 x 20 pixels, and placed in a
field of 28 x 28 so that their centre of mass is its centre (LeCun et al., http://yann.lecun.com/exdb/mnist/).
"""

import io
import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

Grey = NDArray[np.float32]

MAX_PIXELS = 1 << 26
_PROGRAMS = ("EPS",)  # Pillow hands these to an interpreter
_BYTE = 255
_LARGEST_SIDE = 1024  # more detail than this does not reach a field of a few dozen pixels
_BOX, _FIELD = 20, 28
_LEAST_CONTRAST = 0.02
_FAINTEST = 0.1  # of the ink's strength; JPEG leaves fainter traces around a stroke
_NOISE = 4.0  # standard deviations of the ground by which ink differs from it at least
_DUST = 0.03  # of the ink of the largest stroke


class ImageError(UsageError):
    """An image that cannot be read or used; the message names it and the mend."""


def read_image(source: str | Path | bytes) -> "Image":
    """Reads an image file of any raster format that Pillow knows, turned upright where its camera says so.

    Of an animation or a file of several pages it is the first. Formats that Pillow leaves to another program
    (PostScript) are not read.

    Args:
        source: the file's path, or its content.

    Raises:
        ImageError: if it is missing, a folder, unreadable, no image, damaged, or of more than `MAX_PIXELS` pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = "the picture" if isinstance(source, bytes) else Path(source)
    try:
        if isinstance(path, Path):
            _check_file(path)
        with _quiet():
            Image.init()
            opened = io.BytesIO(source) if isinstance(source, bytes) else path
            with Image.open(opened, formats=[each for each in Image.ID if each not in _PROGRAMS]) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                with _without_remarks() if image.format == "TIFF" else nullcontext():
                    image.load()
                return ImageOps.exif_transpose(image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageError(f"{path} has more than {MAX_PIXELS >> 20} Mi pixels; make it smaller") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image that Pillow reads; save it as PNG") from error
    except PermissionError as error:
        raise ImageError(f"{path} cannot be read (permission denied); change its permissions") from error
    # Pillow's decoders answer damage with exceptions of any kind.
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path} cannot be read as an image ({said}); save it again as PNG") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ImageError(f"{path} is a folder, not an image; name an image file")
    if not path.exists():
        raise ImageError(f"{path} does not exist; name an image file")
    if not path.is_file():
        raise ImageError(f"{path} is not a regular file; name an image file")


def to_grey(image: "Image | ArrayLike") -> Grey:
    """Lightness of an image, (H, W) float32 in [0, 1].

    Transparent parts count as ground: they take the visible parts' own most common tone, or the tone opposite to the
    visible parts where these have only one.

    Args:
        image: Pillow image of any mode; or an array (H, W), or (H, W, C) of 1 to 4 channels: grey, grey and alpha, RGB
            or RGBA. Integers of any type are 0 to 255, or fill their type's range; real numbers [0, 1], [0, 255] or
            [0, 65535].

    Raises:
        ImageError: if the array is not such an image.
    """
    from PIL import Image

    with _quiet():
        if not isinstance(image, Image.Image):
            return _array_to_grey(np.asarray(image))
        if image.mode.startswith(("I", "F")):
            return _scaled(np.asarray(_reduced(image), np.float64))
        if image.has_transparency_data:
            rgba = _reduced(image.convert("RGBA"))
            return _on_ground(_bytes_to_grey(rgba.convert("RGB").convert("L")), _bytes_to_grey(rgba.getchannel("A")))
        # Pillow cannot convert LAB; its first channel is the lightness.
        return _bytes_to_grey(_reduced(image.getchannel(0) if image.mode == "LAB" else image.convert("L")))


def to_colour(image: "Image") -> NDArray[np.float32]:
    """Red, green and blue of a picture, (H, W, 3) float32 in [0, 1]; of a grey one three times its lightness.

    Transparent parts count as ground in each of the three, as in `to_grey`.

    Args:
        image: Pillow image of any mode.
    """
    if image.mode.startswith(("I", "F", "LAB")):  # which Pillow cannot convert
        return np.repeat(to_grey(image)[:, :, None], 3, axis=2)
    with _quiet():
        if not image.has_transparency_data:
            return _bytes_to_grey(_reduced(image.convert("RGB")))
        rgba = _reduced(image.convert("RGBA"))
        alpha = _bytes_to_grey(rgba.getchannel("A"))
        return np.stack([_on_ground(_bytes_to_grey(rgba.getchannel(name)), alpha) for name in "RGB"], axis=2)


def normalise(image: "Image | ArrayLike", size: tuple[int, int] = (_FIELD, _FIELD)) -> NDArray[np.uint8]:
    """Brings an image to MNIST's convention, whatever its size, colours and polarity.

    1. The image becomes grey (`to_grey`), and two tones are told apart by Otsu's threshold. The tone of most of the
       outermost pixels is the ground, or of most of all pixels where these are divided; the other tone is ink.
    2. Ink is what differs from the ground in the ink's direction: light on dark, its strength stretched to full range.
       Specks, and anything that is not joined to a stroke, are left out.
    3. The ink's bounding box is scaled with antialiasing into a box of 20 x 20 pixels, its aspect ratio kept.
    4. Its centre of mass comes to the centre of a field of 28 x 28, as near as whole pixels and the edges allow.

    For other sizes than 28 x 28 the box is 20/28 of the shorter side. An image of MNIST itself stays almost as it is.

    Args:
        image: see `to_grey`.
        size: height and width of the field.

    Returns:
        (H, W) uint8, light on dark.

    Raises:
        ImageError: if there is no ink, or see `to_grey`.
    """
    height, width = size
    box = max(1, round(min(size) * _BOX / _FIELD))
    ink = _scaled_into(_cropped(_ink(to_grey(image))), box)
    top, left = _centred(ink, size)
    field = np.zeros((height, width), np.uint8)
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = np.rint(ink * 255)
    return field


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Keeps what libtiff itself writes to the terminal about damage from it; the error that follows says enough."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Pillow's warnings and log lines about damaged files from the terminal."""
    logger, handler = logging.getLogger("PIL"), logging.NullHandler()
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeHandler(handler)


def _reduced(image: "Image") -> "Image":
    factor = math.ceil(max(image.size) / _LARGEST_SIDE)
    if factor == 1:
        return image
    return (image.convert("I") if image.mode.startswith("I;16") else image).reduce(factor)


def _bytes_to_grey(image: "Image") -> Grey:
    return np.asarray(image, np.float32) / np.float32(255)


def _array_to_grey(array: NDArray[Any]) -> Grey:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or array.size == 0 or (array.ndim == 3 and array.shape[2] > 4):
        raise ImageError(f"an image must be (H, W) or (H, W, C) with 1 to 4 channels, got {array.shape}")
    if array.dtype.kind not in "buif":
        raise ImageError(f"an image must hold real numbers, got {array.dtype}")
    if array.dtype.kind in "ui":
        full = np.iinfo(array.dtype).max
        array = array / (_BYTE if array.max() <= _BYTE < full else full)
    values = _scaled(array.astype(np.float64))
    factor = math.ceil(max(values.shape[:2]) / _LARGEST_SIDE)
    if factor > 1:
        values = values[::factor, ::factor]
    if values.ndim == 2:
        return values
    colour = values[:, :, :3] @ np.array([0.299, 0.587, 0.114], np.float32) if values.shape[2] > 2 else values[:, :, 0]
    return _on_ground(colour, values[:, :, -1]) if values.shape[2] in (2, 4) else colour


def _scaled(values: NDArray[Any]) -> Grey:
    """Numbers of unknown range in [0, 1]; what is not a number counts as 0."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    if values.min() < 0:
        values = values - values.min()
    top = float(values.max())
    for full in (1, 255, 65535):
        if top <= full:
            return cast(Grey, (values / full).astype(np.float32))
    return cast(Grey, (values / top).astype(np.float32))


def _on_ground(grey: Grey, alpha: Grey) -> Grey:
    visible = grey[alpha > 0.5]
    if visible.size == 0:
        visible = grey[alpha > 0]
    if visible.size == 0:
        return np.zeros_like(grey)
    low, ground, high = np.percentile(visible, (5, 50, 95))
    if high - low < 0.25:
        ground = 1.0 if ground < 0.5 else 0.0
    return cast(Grey, (alpha * grey + (1 - alpha) * ground).astype(np.float32))


def _ink(grey: Grey) -> Grey:
    """Strength of the ink (H, W) in [0, 1], 0 on the ground."""
    if float(np.ptp(grey)) < _LEAST_CONTRAST:
        raise ImageError("the image is empty: it has one tone only; draw something on it")
    light = grey > _otsu(grey)
    border = np.concatenate([light[0], light[-1], light[1:-1, 0], light[1:-1, -1]])
    share = float(border.mean())
    light_ground = (share if abs(share - 0.5) > 0.1 else float(light.mean())) > 0.5
    strong = light != light_ground
    level = float(np.median(grey[~strong]))
    noise = _spread(grey[~strong])
    ink = level - grey if light_ground else grey - level
    full = float(np.percentile(ink[strong], 90) if noise else ink.max())
    if float(np.median(ink[strong])) < _NOISE * min(noise, _spread(grey[strong])):
        raise ImageError("the image is empty: its tones do not fall into ink and ground; draw something on it")
    ink[ink <= np.clip(3 * noise, _FAINTEST * full, full / 2)] = 0
    strokes = _strokes(ink > 0)
    masses = np.bincount(strokes.ravel(), np.where(strong, ink, 0).ravel())
    ink[(masses < _DUST * masses.max())[strokes] | (strokes == 0)] = 0
    return cast(Grey, np.clip(ink / full, 0, 1))


def _strokes(ink: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Number (H, W) of the stroke that a pixel of ink (H, W) belongs to, by its eight neighbours; 0 on the ground.

    SciPy labels components, too, but takes half as long to import as a pair of pictures may take to be judged.
    """
    edges = np.diff(np.pad(ink, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, start), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)  # of every run of ink within a row
    above = (row - 1) * (ink.shape[1] + 2)  # runs of the row above touch one if they end and start beside it
    first = np.searchsorted(row * (ink.shape[1] + 2) + end, above + start)
    counts = np.maximum(np.searchsorted(row * (ink.shape[1] + 2) + start, above + end, "right") - first, 0)
    lower = np.repeat(np.arange(len(row)), counts)
    upper = np.arange(len(lower)) + np.repeat(first - (counts.cumsum() - counts), counts)
    stroke, before = np.arange(len(row)), None
    while before is None or (stroke != before).any():
        before = stroke
        least = np.minimum(stroke[lower], stroke[upper])
        joined = stroke.copy()
        np.minimum.at(joined, stroke[lower], least)
        np.minimum.at(joined, stroke[upper], least)
        while (joined[joined] != joined).any():
            joined = joined[joined]
        stroke = joined[stroke]
    numbers = np.zeros(ink.shape, np.intp)
    numbers[ink] = np.repeat(stroke + 1, end - start)
    return numbers


def _spread(values: Grey) -> float:
    """Standard deviation, estimated so that a minority of odd values does not count."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _otsu(grey: Grey) -> float:
    """Threshold of largest variance between the two classes that it makes (Otsu 1979)."""
    counts, edges = np.histogram(grey, 256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    sums = (counts * centres).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
    variance = np.nan_to_num(below * above * gap**2)
    best = np.flatnonzero(variance >= variance.max() * (1 - 1e-9))
    return float(edges[1:][best].mean())


def _cropped(ink: Grey) -> Grey:
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled_into(ink: Grey, box: int) -> Grey:
    factor = box / max(ink.shape)
    if factor > 1.2:
        # The edge of a coarse image lies somewhere inside its outermost pixels; it shows once the image is enlarged.
        fine = math.ceil(2 * factor)
        enlarged = _resized(np.pad(ink, 1), *((side + 2) * fine for side in ink.shape))
        ink = _cropped(np.where(enlarged > _FAINTEST, enlarged, 0))
        factor = box / max(ink.shape)
    return _resized(ink, *(max(1, round(side * factor)) for side in ink.shape))


def _resized(ink: Grey, height: int, width: int) -> Grey:
    from PIL import Image

    if ink.shape == (height, width):
        return ink
    resized = np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return cast(Grey, np.clip(resized / resized.max(), 0, 1))


def _centred(ink: Grey, size: tuple[int, int]) -> tuple[int, int]:
    places = []
    for axis, side in enumerate(size):
        weights = ink.sum(1 - axis)
        centre = float((weights * np.arange(len(weights))).sum() / weights.sum())
        places.append(min(max(round(side // 2 - centre), 0), side - len(weights)))
    return places[0], places[1]
