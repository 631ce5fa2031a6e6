"""A saved run as a tool: scores, answers, probabilities and embeddings for images."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.brightness import Brightness
from siamese_mnist.data.pairs import draw_pairs, largest_count
from siamese_mnist.data.preprocessing import Preprocessing, preprocessing_of
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, Decision, OperatingPoint, fit_logistic, operating_point
from siamese_mnist.evaluation.tail import collect_tail
from siamese_mnist.inference.bounds import build_bounded
from siamese_mnist.inference.explanation import Explanation, explain
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.registry import UnknownPartError
from siamese_mnist.runs.bundle import is_bundle, read_bundle
from siamese_mnist.runs.provenance import missing_part
from siamese_mnist.runs.reading import read_calibration
from siamese_mnist.runs.result import prior_of
from siamese_mnist.runs.store import RunError, find_newest, read_config, read_run, read_weights
from siamese_mnist.settings.recipes import VARIANTS
from siamese_mnist.settings.settings import Settings

Images = ArrayLike | Tensor

_TILE = 1024  # images on each side of a part of all pairs
_IMAGES = 4096  # in memory as floats at a time


def load(path: str | Path) -> "Verifier":
    """Loads the model, threshold and calibration of a run or a bundle; nothing is unpickled.

    Args:
        path: a run's folder, such as `result.run_dir`, or a bundle, folder or zip file.

    Raises:
        RunError: if it is not a complete run of this version, or damaged.
        BundleError: if it is a bundle of a newer format, or damaged.
    """
    if is_bundle(path):
        bundle = read_bundle(path)
        return _verifier(path, bundle.config, bundle.decision, bundle.weights, bundle.calibration)
    result = read_run(path)
    calibration = read_calibration(path, unseen=result.decision.fitted_on != "training images")
    return _verifier(path, read_config(path), dataclasses.asdict(result.decision), read_weights(path), calibration)


def locate(name: str, runs_dir: str | Path) -> Path:
    """The run or bundle that a user means: a path, or a variant, of which it is the newest run below `runs_dir`.

    Raises:
        UsageError: if it is neither, or there is no run of the variant.
    """
    if is_bundle(name) or (Path(name) / "result.json").is_file():
        return Path(name)
    if name not in VARIANTS:
        if Path(name).exists():
            raise RunError(f"{name} is neither a complete run nor a bundle: it has no result.json and no bundle.json")
        raise UsageError(
            f"{name!r} is neither a run, nor a bundle, nor a variant; `siamese-mnist run VARIANT` makes a run. "
            f"Known variants: {', '.join(VARIANTS)}."
        )
    (found,) = find_newest(name, runs_dir).runs
    if found is None:
        raise UsageError(
            f"no run of {name!r} in {runs_dir}; make one with `siamese-mnist run {name}`, or name another --runs-dir"
        )
    return Path(found.run_dir)


def _verifier(
    source: str | Path,
    config: Mapping[str, Any],
    decision: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    calibration: Calibration | None,
) -> "Verifier":
    remade = f"train the run {'that this bundle is of ' if is_bundle(source) else ''}again"
    try:
        preprocessing, brightness = preprocessing_of(config), Brightness.from_config(config)
        values = {name: value for name, value in config.items() if name not in ("preprocessing", "brightness")}
        height, width = values.pop("image_size")
        channels = int(values.pop("channels", 1))  # earlier runs have grey images only
        classes = len(values.pop("classes"))
        recorded = values.pop("origins", None)  # earlier runs do not say where their parts come from
        settings = Settings.from_dict(values)
        chosen = Decision(
            float(decision["threshold"]), float(decision["slope"]), float(decision.get("prior", prior_of(config)))
        )
        parts = {"design": settings.design, **dataclasses.asdict(settings.parts)}
        parts |= {"image_size": (height, width), "classes": classes, "channels": channels}
        model = build_bounded(parts, weights)
    except UnknownPartError as error:
        raise RunError(f"{source} needs {missing_part(error, recorded)}") from error
    # What a config.json of other hands can make parts raise is open.
    except Exception as error:
        raise RunError(f"{source} cannot be used ({error}); {remade}") from error
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise RunError(f"the weights in {source} do not fit its config.json; {remade}") from error
    return Verifier(
        model,
        chosen,
        image_size=(height, width),
        channels=channels,
        preprocessing=preprocessing,
        brightness=brightness,
        calibration=calibration,
    )


class Verifier:
    """Decides whether two images show the same class.

    Images are uint8 (N, C, H, W) of the size and channels the run was trained on; grey ones may come as (N, H, W).

    Args:
        model: a trained model.
        decision: its threshold and calibration.
        image_size: height and width of the images it takes.
        channels: of the images it takes: 1 for grey, 3 for colour.
        preprocessing: how a picture file becomes such an image, see `read`.
        brightness: of the images that it was trained on, where it is known.
        calibration: scored pairs that operating points come from, where they are kept.
    """

    def __init__(
        self,
        model: Design,
        decision: Decision,
        *,
        image_size: tuple[int, int],
        channels: int = 1,
        preprocessing: Preprocessing = Preprocessing.PLAIN,
        brightness: Brightness | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.model = model.eval()
        self.decision = decision
        self.image_size = image_size
        self.channels = channels
        self.preprocessing = preprocessing
        self.brightness = brightness
        self.calibration = calibration

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

    def calibrated(self, data: LabeledImages, *, pairs: int = 20_000, seed: int = 0) -> "Verifier":
        """This model with threshold, probabilities and operating points of other labelled images.

        All impostor pairs of the images are scored in bounded memory, so that low false match rates can be told; the
        rest is fitted on random pairs, half of them genuine, no image with itself.

        Args:
            data: uint8 images prepared as the model takes them, of two or more classes, not trained on nor tested.
            pairs: random pairs at most.
            seed: of the random pairs.

        Raises:
            UsageError: if the images do not fit the model, or give no pairs of both kinds.
        """
        images, labels = self._checked(data.images, "images"), data.labels
        count = min(pairs, largest_count(labels, self_pairs=False, mirrored=False))
        if count < 2:
            raise UsageError("calibration needs two or more classes, and two or more images of one; give more images")
        generator = torch.Generator().manual_seed(seed)
        drawn = draw_pairs(labels, count, generator=generator, self_pairs=False, mirrored=False)
        scores = self.score_rows(images, drawn.left.numpy(), drawn.right.numpy()).astype(np.float64)
        groups = torch.arange(len(labels)) if data.groups is None else data.groups
        rows = torch.arange(len(images)).split(_TILE)
        tiles = (
            (one.numpy(), other.numpy(), self.score_matrix(images[one], images[other]))
            for number, one in enumerate(rows)
            for other in rows[number:]
        )
        calibration = Calibration(
            scores=scores,
            same=drawn.same.numpy(),
            left=groups[drawn.left].numpy(),
            right=groups[drawn.right].numpy(),
            tail=collect_tail(tiles, labels.numpy(), groups.numpy()),
        )
        fitted = copy.copy(self)
        fitted.decision, fitted.calibration = fit_logistic(scores, calibration.same), calibration
        return fitted

    def read(self, path: str | Path, preprocessing: Preprocessing | None = None) -> NDArray[np.uint8]:
        """A picture file as this verifier takes it, prepared as the images that the model was trained on.

        Args:
            path: a file of any raster format that Pillow knows, of any size.
            preprocessing: another way than the model's own.

        Returns:
            (C, H, W) uint8; `read(path)[None]` is a batch of one.

        Raises:
            UsageError: if the file cannot be read or used, or the preprocessing does not give this model's channels.
        """
        chosen = self.preprocessing if preprocessing is None else preprocessing
        return chosen.read(path, size=self.image_size, channels=self.channels)

    def score(self, left: Images, right: Images) -> NDArray[np.float32]:
        """Scores of pairs.

        Args:
            left: (P, H, W) uint8, NumPy or torch.
            right: (P, H, W) uint8.

        Returns:
            (P,) float32, higher = more alike.

        Raises:
            UsageError: if shape or type is wrong, or the numbers of images differ.
        """
        first, second = self._checked(left, "left"), self._checked(right, "right")
        if len(first) != len(second):
            raise UsageError(f"left and right must be equally many images, got {len(first)} and {len(second)}")
        scores = []
        for one, other in zip(first.split(_IMAGES), second.split(_IMAGES), strict=True):
            row = torch.arange(len(one))
            scores.append(self._scoring().score_pairs(to_unit(torch.cat([one, other])), row, row + len(one)))
        return _finite(_numpy(torch.cat(scores)))

    def score_rows(self, images: Images, left: ArrayLike, right: ArrayLike) -> NDArray[np.float32]:
        """Scores of pairs of rows of images, which a Siamese design embeds once each.

        Args:
            images: (N, H, W) uint8.
            left: (P,) integers, row of the first image of every pair.
            right: (P,) integers, row of the second.

        Returns:
            (P,) float32, higher = more alike.

        Raises:
            UsageError: if shape or type is wrong, or a row is out of range.
        """
        tensor = self._checked(images, "images")
        rows = np.stack(np.broadcast_arrays(left, right))
        if rows.size and rows.dtype.kind not in "iu":
            raise UsageError(f"left and right must be integers, rows of images, got {rows.dtype}")
        rows = rows.astype(np.int64)
        if rows.ndim != 2 or rows.size == 0 or rows.min() < 0 or rows.max() >= len(tensor):
            raise UsageError(f"left and right must be (P,) rows in 0..{len(tensor) - 1}, got {rows.shape[1:]}")
        return _finite(_numpy(self._scoring().score_pairs(to_unit(tensor), *torch.from_numpy(rows))))

    def predict_proba(self, left: Images, right: Images) -> NDArray[np.float64]:
        """Calibrated probability of "same" for pairs (P, H, W), (P, H, W) uint8: (P,) in [0, 1]."""
        return self.decision.probability(self.score(left, right))

    def predict(self, left: Images, right: Images) -> NDArray[np.bool_]:
        """Answers for pairs (P, H, W), (P, H, W) uint8: (P,) bool, True = same."""
        return self.decision.predict(self.score(left, right))

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Embeddings of images (N, H, W) uint8: (N, E) float32.

        Raises:
            UsageError: if the design has no embedding of a single image, as a stacked one.
        """
        if not self.model.embeds:
            raise UsageError("this design has no embedding of a single image; use a siamese variant")
        return _numpy(self._scoring().embed(self._checked(images, "images")))

    def score_matrix(self, a: Images, b: Images) -> NDArray[np.float32]:
        """Scores of every image of `a` against every image of `b`.

        A design that embeds does so once an image. A stacked one passes every pair through the network.

        Args:
            a: (A, H, W) uint8.
            b: (B, H, W) uint8.

        Returns:
            (A, B) float32, higher = more alike.
        """
        first, second = self._checked(a, "a"), self._checked(b, "b")
        return _finite(_numpy(self._scoring().score_matrix(first, second)))

    def prepare(self, images: Images) -> Tensor:
        """What has to be kept of images to score them later: embeddings (N, E), or the images where there are none."""
        checked = self._checked(images, "images")
        return self._scoring().embed(checked).float().cpu() if self.model.embeds else checked

    def score_prepared(self, a: Tensor, b: Tensor) -> Tensor:
        """`score_matrix` of what `prepare` gave: (A, B) float32."""
        model = self._scoring()
        scores = (model.embedding_matrix if model.embeds else model.score_matrix)(a, b)
        _finite(scores.numpy())
        return scores

    def explain(self, left: Images, right: Images) -> Explanation:
        """Which places of two images speak for "same" and for "different", with a test of what the maps say.

        Args:
            left: one image, (C, H, W) or in grey (H, W), uint8.
            right: the other.

        Raises:
            UsageError: if shape or type is wrong.
        """
        pair = []
        for image, name in ((left, "left"), (right, "right")):
            array = image if isinstance(image, Tensor) else np.asarray(image)
            pair.append(self._checked(array[None], name)[0].numpy())
        return explain(self, *pair, generator=np.random.default_rng(0))

    def _scoring(self) -> Design:
        """The model in evaluation mode, whatever was done to it: scoring changes nothing in it."""
        return self.model.eval()

    def _checked(self, images: Images, name: str) -> Tensor:
        try:
            array = images if isinstance(images, Tensor) else np.asarray(images)
        except ValueError as error:
            raise UsageError(f"{name} must be images of one size: {error}") from error
        full = (self.channels, *self.image_size)
        shapes = (self.image_size, full) if self.channels == 1 else (full,)
        if array.dtype not in (torch.uint8, np.uint8) or tuple(array.shape[1:]) not in shapes:
            wanted = f"uint8 (N, {', '.join(map(str, shapes[0]))})"
            raise UsageError(f"{name} must be {wanted}, got {array.dtype} {tuple(array.shape)}".replace("torch.", ""))
        if len(array) == 0:
            raise UsageError(f"{name} holds no image; give at least one")
        # A copy where NumPy forbids writing or steps backwards, which PyTorch cannot share.
        tensor = array if isinstance(array, Tensor) else torch.from_numpy(np.require(array, requirements=["C", "W"]))
        return tensor.reshape(-1, *full)


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()


def _finite(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(scores).all():
        raise UsageError("the model's scores are not finite numbers; its weights are damaged, train the run again")
    return scores
