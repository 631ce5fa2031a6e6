"""A saved run as a tool: scores, answers, probabilities and embeddings for images."""

import copy
import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.brightness import Brightness
from siamese_mnist.data.pairs import draw_pairs, largest_count
from siamese_mnist.data.preprocessing import Preprocessing
from siamese_mnist.data.typical import Typical
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, Decision, fit_logistic
from siamese_mnist.evaluation.tail import collect_tail, upper_tiles
from siamese_mnist.inference.bounds import build_bounded
from siamese_mnist.inference.explanation import Explanation, explain
from siamese_mnist.inference.judge import Judge, finite
from siamese_mnist.inference.saved import Saved
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.registry import UnknownPartError
from siamese_mnist.runs.provenance import missing_part
from siamese_mnist.runs.store import RunError

Images = ArrayLike | Tensor

_TILE = 1024  # images on each side of a part of all pairs
_BLOCK = 8192  # images that the images of a tile are compared with at a time
_IMAGES = 4096  # in memory as floats at a time


def load(path: str | Path) -> "Verifier":
    """Loads the model, threshold and calibration of a run or a bundle; nothing is unpickled.

    Args:
        path: a run's folder, such as `result.run_dir`, or a bundle, folder or zip file.

    Raises:
        RunError: if it is not a complete run of this version, or damaged.
        BundleError: if it is a bundle of a newer format, or damaged.
    """
    return load_saved(Saved.at(path))


def load_saved(saved: Saved) -> "Verifier":
    """Loads the model of a run or a bundle that is read already.

    Raises:
        RunError: see `load`.
    """
    source, weights = saved.place, saved.weights()
    try:
        takes, settings, decision = saved.takes(), saved.settings(), saved.decision()
        parts = {"design": settings.design, **dataclasses.asdict(settings.parts)}
        parts |= {"image_size": takes["image_size"], "channels": takes["channels"]}
        model = build_bounded({**parts, "classes": len(saved.config["classes"])}, weights)
    except UnknownPartError as error:
        # Earlier runs do not say where their parts come from.
        raise RunError(f"{source} needs {missing_part(error, saved.config.get('origins'))}") from error
    # What a config.json of other hands can make parts raise is open.
    except Exception as error:
        raise RunError(f"{source} cannot be used ({error}); {saved.mend}") from error
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise RunError(f"the weights in {source} do not fit its config.json; {saved.mend}") from error
    return Verifier(model, decision, **takes)


class Verifier(Judge):
    """Decides whether two images show the same class.

    Images are uint8 (N, C, H, W) of the size and channels the run was trained on; grey ones may come as (N, H, W).

    Args:
        model: a trained model.
        decision: its threshold and calibration.
        image_size: height and width of the images it takes.
        channels: of the images it takes: 1 for grey, 3 for colour.
        preprocessing: how a picture file becomes such an image, see `read`.
        brightness: of the images that it was trained on, where it is known.
        typical: what else these are like, where it is known.
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
        typical: Typical | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__(
            decision,
            image_size=image_size,
            channels=channels,
            preprocessing=preprocessing,
            brightness=brightness,
            typical=typical,
            calibration=calibration,
        )
        self.model = model.eval()

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
        tiles = upper_tiles(len(images), lambda rows, columns: self.score_matrix(images[rows], images[columns]))
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
        return finite(_numpy(torch.cat(scores)))

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
        return finite(_numpy(self._scoring().score_pairs(to_unit(tensor), *torch.from_numpy(rows))))

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

    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """What `embed` gives; None for designs that embed no single image."""
        return self.embed(images) if self.model.embeds else None

    def warnings(self, images: Images) -> list[list[str]]:
        """What is odd about each image, see `Judge.warnings`.

        Args:
            images: (N, H, W) or (N, C, H, W) uint8.
        """
        return super().warnings(self._checked(images, "images").numpy())

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
        return _numpy(_all_finite(self._scoring().score_matrix(first, second)))

    def nearest(
        self, a: Images, b: Images | None = None, *, count: int = 10
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The images with the highest scores for every image of `a`, without the whole matrix of scores in memory.

        Args:
            a: (A, H, W) uint8.
            b: (B, H, W) uint8, among which they are; None is all other images of `a`.
            count: k, how many.

        Returns:
            Rows of `b`, the highest score first, and their scores: (A, k) int64 and (A, k) float32.

        Raises:
            UsageError: if shape or type is wrong, or there are not so many images.
        """
        queries = self.prepare(a)
        kept = queries if b is None else self.prepare(b)
        most = len(kept) - (b is None)
        if not 1 <= count <= most:
            raise UsageError(f"count must be in 1..{most}, the number of images to choose among, got {count}")
        found = [
            self._nearest(rows, start, kept, count, others=b is None)
            for start, rows in zip(range(0, len(queries), _TILE), queries.split(_TILE), strict=True)
        ]
        rows, scores = (torch.cat(columns) for columns in zip(*found, strict=True))
        return rows.numpy(), _numpy(scores)

    def _nearest(self, queries: Tensor, start: int, kept: Tensor, count: int, *, others: bool) -> tuple[Tensor, Tensor]:
        """Rows and scores (Q, k) for prepared queries, block by block; among `others`, no image answers itself."""
        best = torch.empty(len(queries), 0)
        rows = torch.empty(len(queries), 0, dtype=torch.int64)
        for first, block in zip(range(0, len(kept), _BLOCK), kept.split(_BLOCK), strict=True):
            scores = self.score_prepared(queries, block)
            if others:
                own = torch.arange(len(queries)) + start - first
                inside = (own >= 0) & (own < len(block))
                scores[inside.nonzero().squeeze(1), own[inside]] = -torch.inf
            highest, places = scores.topk(min(count, len(block)))
            best, order = torch.cat([best, highest], 1).topk(min(count, best.shape[1] + highest.shape[1]))
            rows = torch.cat([rows, places + first], 1).gather(1, order)
        return rows, best

    def prepare(self, images: Images) -> Tensor:
        """What has to be kept of images to score them later: embeddings (N, E), or the images where there are none."""
        checked = self._checked(images, "images")
        return self._scoring().embed(checked).float().cpu() if self.model.embeds else checked

    def score_prepared(self, a: Tensor, b: Tensor) -> Tensor:
        """`score_matrix` of what `prepare` gave: (A, B) float32."""
        model = self._scoring()
        return _all_finite((model.embedding_matrix if model.embeds else model.score_matrix)(a, b))

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


def _all_finite(scores: Tensor) -> Tensor:
    """Very many scores, see `finite`; their sum tells nearly always, in a tenth of the time."""
    if not bool(scores.sum().isfinite()):
        finite(_numpy(scores))
    return scores


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
