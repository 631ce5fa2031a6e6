"""A drawing on the page, and what a model sees of it."""

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data.normalisation import ImageError, normalise

Drawing = NDArray[np.uint8]  # (SIDE, SIDE), light on dark
Image = NDArray[np.uint8]  # (H, W), light on dark

SIDE = 280  # pixels of the page's canvas, as in page/pad.js


def seen(drawing: Drawing, image_size: tuple[int, int]) -> Image | None:
    """A drawing in MNIST's convention, or None if nothing is drawn.

    Args:
        drawing: (SIDE, SIDE) uint8, light on dark.
        image_size: height and width of the model's images.

    Returns:
        (H, W) uint8.
    """
    try:
        # With a margin of ground, ink stays ink however much of the canvas it covers.
        return normalise(np.pad(drawing, 1), image_size)
    except ImageError:
        return None
