"""What decides about pairs of pictures, whatever computes its scores; nothing here needs PyTorch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.data.brightness import Brightness
from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.data.typical import Typical
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, Decision, OperatingPoint, operating_point


class Judge(ABC):
    """Scores of pairs of images, and what is made of them: answers, operating points, remarks.

    Args:
        decision: threshold and calibration.
        image_size: height and width of the images it takes.
        channels: of the images it takes: 1 for grey, 3 for colour.
        preprocessing: how a picture file becomes such an image, see `read`.
        brightness: of the images that it was trained on, where it is known.
        typical: what else these are like, where it is known.
        calibration: scored pairs that operating points come from, where they are kept.
    """

    def __init__(
        self,
        decision: Decision,
        *,
        image_size: tuple[int, int],
        channels: int = 1,
        preprocessing: Preprocessing = Preprocessing.PLAIN,
        brightness: Brightness | None = None,
        typical: Typical | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.decision = decision
        self.image_size = image_size
        self.channels = channels
        self.preprocessing = preprocessing
        self.brightness = brightness
        self.typical = typical
        self.calibration = calibration

    @abstractmethod
    def score_rows(self, images: NDArray[np.uint8], left: ArrayLike, right: ArrayLike) -> NDArray[np.float32]:
        """Scores (P,) of pairs of rows of images (N, C, H, W) uint8, higher = more alike.

        Args:
            images: prepared as `read` does.
            left: (P,) integers, row of the first image of every pair.
            right: (P,) integers, row of the second.

        Raises:
            UsageError: if a score is not a finite number.
        """

    @abstractmethod
    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Embeddings (N, E) of images (N, C, H, W) uint8; None where they are not to be had."""

    def operating_point(
        self,
        *,
        max_fmr: float | None = None,
        prior: float | None = None,
        cost_false_match: float | None = None,
        cost_false_non_match: float | None = None,
        max_error: float | None = None,
    ) -> OperatingPoint:
        """A threshold for what one can stand, with what to expect of it; arguments as of `evaluation.operating_point`.

        Raises:
            UsageError: if this model keeps no calibration scores, an argument is out of its range, or the calibration
                pairs cannot tell what is asked for.
        """
        if self.calibration is None:
            raise UsageError(
                "this model was made before calibration scores were kept, which operating points need; train the run "
                "again, or calibrate it on labelled images with `Verifier.calibrated`"
            )
        return operating_point(
            self.decision,
            self.calibration,
            max_fmr=max_fmr,
            prior=prior,
            cost_false_match=cost_false_match,
            cost_false_non_match=cost_false_non_match,
            max_error=max_error,
        )

    def read(self, source: str | Path | bytes, preprocessing: Preprocessing | None = None) -> NDArray[np.uint8]:
        """A picture file as this verifier takes it, prepared as the images that the model was trained on.

        Args:
            source: path or content of a file of any raster format that Pillow knows, of any size.
            preprocessing: another way than the model's own.

        Returns:
            (C, H, W) uint8; `read(source)[None]` is a batch of one.

        Raises:
            UsageError: if the file cannot be read or used, or the preprocessing does not give this model's channels.
        """
        return self.inspect(source, preprocessing)[0]

    def inspect(
        self, source: str | Path | bytes, preprocessing: Preprocessing | None = None
    ) -> tuple[NDArray[np.uint8], str | None]:
        """A picture file as `read` gives it, and what is odd about the picture's own size; None if nothing is.

        `warnings` tells of the image that comes out of it.
        """
        chosen = self.preprocessing if preprocessing is None else preprocessing
        return chosen.inspect(source, size=self.image_size, channels=self.channels)

    def warnings(self, images: NDArray[np.uint8]) -> list[list[str]]:
        """What is odd about each image beside those that the model was trained on, in words; nothing where all is well.

        Brightness, contrast, and for designs that embed the distance of its embedding from those of the training
        classes, with limits out of the run's calibration images. An answer about such an image rests on little.

        Args:
            images: (N, C, H, W) uint8.
        """
        light = [self.brightness.remark(image) if self.brightness else None for image in images]
        found = [[] if each is None else [each] for each in light]
        if self.typical is not None:
            embeddings = self.embeddings(images) if self.typical.centres is not None else None
            for told, more in zip(found, self.typical.remarks(images, embeddings), strict=True):
                told += more
        return found


def finite(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores, if all of them are finite numbers.

    Raises:
        UsageError: if not.
    """
    if not np.isfinite(scores).all():
        raise UsageError("the model's scores are not finite numbers; its weights are damaged, train the run again")
    return scores
