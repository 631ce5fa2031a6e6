"""What the images are like that a model was trained on: their contrast, and where their embeddings lie."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from siamese_mnist.data.images import LabeledImages

    Embed = Callable[[Tensor], Tensor]
    """Images (N, C, H, W) uint8 to embeddings (N, E)."""

FloatArray = NDArray[np.float64]

_MARGIN = 1.25  # factor beyond the contrasts of the calibration images
_USUAL = 0.995  # share of calibration images that are nearer than the limit
_CLASSES = 64  # whose mean embeddings are kept at most
_IMAGES = 4096  # training images that these are means of, at most
_DIRECTIONS = 64  # of embeddings that are looked at, at most
_SHRINKAGE = 0.01  # of the covariance, towards that of equal spread in all directions


@dataclass(frozen=True, eq=False)
class Typical:
    """Limits out of images that calibrated a model, beyond which an image is unlike those that it knows.

    The distance is Mahalanobis's from the nearest class mean, with the covariance within classes (Lee et al. 2018,
    arXiv 1807.03888): directions in which images of a class hardly differ count most.

    Attributes:
        contrast: least and largest standard deviation of an image's pixels, in [0, 1].
        centres: (K, E) mean embeddings of training classes, or None for designs that embed no single image.
        whitening: (E, D) factor after which embeddings of one class spread alike in all directions, of those in which
            they spread least, or None.
        farthest: distance that few images' embeddings have from the nearest centre.
    """

    contrast: tuple[float, float]
    centres: FloatArray | None = None
    whitening: FloatArray | None = None
    farthest: float = 0.0

    @classmethod
    def of(cls, train: LabeledImages, calibration: Tensor, embed: Embed | None) -> Self:
        """That of training images, with limits out of others.

        Args:
            train: images that were trained on.
            calibration: (N, C, H, W) uint8, best images that were not.
            embed: gives embeddings; None without.
        """
        contrast = _contrast(calibration.numpy())
        limits = (float(contrast.min()), float(contrast.max()))
        if embed is None:
            return cls(limits)
        import torch

        rows = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))[:_IMAGES]
        embeddings = embed(train.images[rows]).cpu().double().numpy()
        number = train.labels[rows].unique(return_inverse=True)[1].numpy()
        means = np.stack([embeddings[number == each].mean(axis=0) for each in range(number.max() + 1)])
        covariance = np.cov(embeddings - means[number], rowvar=False, bias=True).reshape(2 * [embeddings.shape[1]])
        spread = float(np.trace(covariance)) / len(covariance)
        covariance += np.eye(len(covariance)) * (_SHRINKAGE * spread or 1.0)
        spreads, directions = np.linalg.eigh(covariance)  # rising
        whitening = (directions / np.sqrt(spreads))[:, :_DIRECTIONS].astype(np.float32).astype(np.float64)
        centres = means[:_CLASSES].astype(np.float32).astype(np.float64)
        nearest = _distances(embed(calibration).cpu().double().numpy(), centres, whitening)
        return cls(limits, centres, whitening, float(np.quantile(nearest, _USUAL)))

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; arrays are in base 64."""
        arrays = {name: _packed(getattr(self, name)) for name in ("centres", "whitening")}
        return {"contrast": list(self.contrast), **arrays, "farthest": self.farthest}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self | None:
        """What a run's or bundle's `config.json` keeps under `typical`; None where it is of before.

        Raises:
            ValueError: if it is not what `as_dict` gives.
        """
        kept = config.get("typical")
        if kept is None:
            return None
        low, high = (float(each) for each in kept["contrast"])
        centres, whitening = (_unpacked(kept[name]) for name in ("centres", "whitening"))
        farthest = float(kept["farthest"])
        if not np.isfinite([low, high, farthest]).all() or (centres is None) != (whitening is None):
            raise ValueError("typical must be contrast, centres, whitening and farthest, finite numbers")
        if centres is not None and whitening is not None and whitening.shape[0] != centres.shape[1]:
            raise ValueError(f"whitening {whitening.shape} does not fit centres {centres.shape}")
        return cls((low, high), centres, whitening, farthest)

    def remarks(self, images: NDArray[np.uint8], embeddings: NDArray[Any] | None) -> list[list[str]]:
        """What is odd about each image, in words; nothing where all is well.

        Args:
            images: (N, C, H, W).
            embeddings: (N, E) of the model that this was made of, or None without.
        """
        found: list[list[str]] = [[] for _ in images]
        low, high = self.contrast
        for told, contrast in zip(found, _contrast(images), strict=True):
            if not low / _MARGIN <= contrast <= high * _MARGIN:
                kind = "flatter" if contrast < low else "harsher"
                told.append(
                    f"much {kind} than the training images (contrast {contrast:.2f}, theirs {low:.2f} to {high:.2f})"
                )
        if embeddings is not None and self.centres is not None and self.whitening is not None:
            for told, distance in zip(found, _distances(embeddings, self.centres, self.whitening), strict=True):
                if distance > self.farthest:
                    told.append(
                        f"unlike all training classes (its embedding is {distance:.3g} from the nearest, theirs hardly "
                        f"ever above {self.farthest:.3g})"
                    )
        return found


def _contrast(images: NDArray[np.uint8]) -> FloatArray:
    """Standard deviation of each image's pixels (N,), in [0, 1]."""
    deviations: FloatArray = np.array([float(image.std()) / 255 for image in images])
    return deviations


def _distances(embeddings: NDArray[Any], centres: FloatArray, whitening: FloatArray) -> FloatArray:
    """Distance (N,) of embeddings (N, E) from the nearest centre, after whitening."""
    white, places = embeddings @ whitening, centres @ whitening
    gaps = [np.sqrt(((white - place) ** 2).sum(axis=1)) for place in places]
    nearest: FloatArray = np.min(gaps, axis=0)
    return nearest


def _packed(array: FloatArray | None) -> dict[str, Any] | None:
    if array is None:
        return None
    return {"shape": list(array.shape), "float32": base64.b64encode(array.astype("<f4").tobytes()).decode()}


def _unpacked(kept: Any) -> FloatArray | None:
    """An array (A, B) out of what `_packed` gave.

    Raises:
        ValueError: if it is none, or a number in it is not finite.
    """
    if kept is None:
        return None
    rows, columns = kept["shape"]
    array = np.frombuffer(base64.b64decode(kept["float32"], validate=True), "<f4").reshape(rows, columns)
    if not np.isfinite(array).all():
        raise ValueError("typical holds a number that is not finite")
    return array.astype(np.float64)
