"""A picture as the pixels of an image set: in grey or colour, as it is or resized."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data.normalisation import to_colour, to_grey
from siamese_mnist.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

_LARGEST_SIDE = 1024  # pictures are reduced to it when they are read


def pixels(image: "Image", *, colour: bool | None, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A picture as uint8 (C, H, W).

    Args:
        image: Pillow image of any mode.
        colour: whether C is 3 or 1; None is 3 where the picture has a colour, and 1 where red, green and blue are the
            same in every pixel.
        size: height and width to resize to, without regard to the aspect ratio; None leaves them.
    """
    from PIL import Image

    if colour is False:
        levels = to_grey(image)[None]
    else:
        levels = np.moveaxis(to_colour(image), -1, 0)
        if colour is None and (levels == levels[:1]).all():
            levels = to_grey(image)[None]
    channels = np.round(levels * 255).astype(np.uint8)
    if size is None or channels.shape[1:] == size:
        return channels
    height, width = size
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BICUBIC)) for each in channels]
    )


def read_size(text: int | str) -> tuple[int, int]:
    """Height and width from "HEIGHTxWIDTH", or from one number for both.

    Raises:
        UsageError: if it is neither, or a side is not in 1..1024.
    """
    sides = str(text).lower().split("x")
    valid = all(side.isascii() and side.isdigit() and 1 <= int(side) <= _LARGEST_SIDE for side in sides)
    if len(sides) > 2 or not valid:
        raise UsageError(f"size must be HEIGHTxWIDTH or one number, in pixels from 1 to {_LARGEST_SIDE}, got {text!r}")
    return int(sides[0]), int(sides[-1])
