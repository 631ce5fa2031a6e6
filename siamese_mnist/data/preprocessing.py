"""How a picture file becomes a model's input: a named way that goes with a data set, and with each model of it."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data.normalisation import ImageError, normalise, read_image
from siamese_mnist.data.picture import pixels
from siamese_mnist.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

_ENLARGED, _SQUEEZED = 0.5, 1.25  # sides and ratio of sides, over those of the model's images, beyond which it is said
_AS_THEY_ARE = ("folder",)  # data sets whose earlier runs, which name no preprocessing, took grey pictures so


class Preprocessing(StrEnum):
    """How a picture becomes what a model takes; the same for training from files and for use.

    Attributes:
        MNIST: brought to MNIST's convention, see `normalisation.normalise`; grey only.
        PLAIN: in grey or colour, resized without regard to the aspect ratio, and otherwise left as it is.
        INVERTED: as `PLAIN` with light and dark exchanged: ink on paper becomes light strokes on dark ground.
    """

    MNIST = "mnist"
    PLAIN = "plain"
    INVERTED = "inverted"

    @classmethod
    def _missing_(cls, value: object) -> None:
        raise UsageError(f"unknown preprocessing {value!r}; take one of {', '.join(cls)}")

    @property
    def summary(self) -> str:
        """What it does to a picture, in words."""
        return _SUMMARIES[self]

    def apply(self, picture: "Image", *, size: tuple[int, int], channels: int = 1) -> NDArray[np.uint8]:
        """A picture as a model takes it: uint8 (C, H, W).

        Args:
            picture: Pillow image of any mode and size.
            size: height and width of the model's images.
            channels: C, of the model's images: 1 for grey, 3 for colour.

        Raises:
            UsageError: if colour is asked of `MNIST`, whose images are grey.
            ImageError: if `MNIST` finds no ink.
        """
        if self is Preprocessing.MNIST:
            self.check(channels)
            return normalise(picture, size)[None]
        levels = pixels(picture, colour=channels == 3, size=size)
        return 255 - levels if self is Preprocessing.INVERTED else levels

    def read(self, source: str | Path | bytes, *, size: tuple[int, int], channels: int = 1) -> NDArray[np.uint8]:
        """A picture file, by its path or its content, as a model takes it, see `apply`.

        Raises:
            ImageError: naming the file and what is wrong with it.
        """
        return self.inspect(source, size=size, channels=channels)[0]

    def inspect(
        self, source: str | Path | bytes, *, size: tuple[int, int], channels: int = 1
    ) -> tuple[NDArray[np.uint8], str | None]:
        """A picture file as `read` gives it, and what is odd about the picture's own size; None if nothing is."""
        picture = read_image(source)
        try:
            return self.apply(picture, size=size, channels=channels), self._remark(picture.size, size)
        except ImageError as error:
            named = "the picture" if isinstance(source, bytes) else source
            raise ImageError(f"{named}: {error}") from error

    def _remark(self, given: tuple[int, int], size: tuple[int, int]) -> str | None:
        (width, height), (rows, columns) = given, size
        if max(width / columns, height / rows) < _ENLARGED:
            return f"{width} x {height} pixels, much smaller than the training images ({columns} x {rows})"
        aspect = (width * rows) / (height * columns)
        if self is not Preprocessing.MNIST and max(aspect, 1 / aspect) > _SQUEEZED:
            return f"{width} x {height} pixels, squeezed into the training images' {columns} x {rows}"
        return None

    def check(self, channels: int) -> None:
        """Refuses what it cannot give.

        Raises:
            UsageError: if it gives no images of so many channels.
        """
        if self is Preprocessing.MNIST and channels != 1:
            raise UsageError(
                f"preprocessing 'mnist' gives grey images, and {channels} channels are wanted; take 'plain'"
            )


_SUMMARIES = {
    Preprocessing.MNIST: "brought to MNIST's convention: light on dark, 20 x 20 box in 28 x 28, centred by mass",
    Preprocessing.PLAIN: "resized, otherwise as they are",
    Preprocessing.INVERTED: "resized, light and dark exchanged",
}


def preprocessing_of(config: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing that a run's or bundle's `config.json` names, or what it was before runs named one.

    Raises:
        UsageError: if it names an unknown one, or one that does not give the model's channels.
    """
    channels = config.get("channels", 1)
    if "preprocessing" not in config:
        plain = channels != 1 or config.get("dataset") in _AS_THEY_ARE
        return Preprocessing.PLAIN if plain else Preprocessing.MNIST
    found = Preprocessing(config["preprocessing"])
    found.check(channels)
    return found
