"""Which places of two images made a verifier say what it says, and how far that can be believed.

A map is signed: where it is positive, what is seen there speaks for "same", where it is negative for "different". Maps
of both images come together, and with a design that does not see the order, exchanging the images exchanges the maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese_mnist.parts.designs import to_unit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from siamese_mnist.evaluation import Decision
    from siamese_mnist.parts.designs import Design

FloatArray = NDArray[np.float64]
Images = NDArray[np.uint8]

_TILES = 7  # patches side by side; they overlap by half
_STEPS = 16
_MASKS, _BLANKED = 400, 0.3  # of both images, and share of their places that each blanks
_SHARES = tuple(percent / 100 for percent in (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20))
_RANDOM_ORDERS = 6


class Explained(Protocol):
    """A trained model with its decision, such as a `Verifier`."""

    model: Design
    decision: Decision

    def score(self, left: Images, right: Images) -> NDArray[np.float32]:
        """Scores (P,) of pairs of images (P, C, H, W)."""

    def score_rows(self, images: Images, left: ArrayLike, right: ArrayLike) -> NDArray[np.float32]:
        """Scores (P,) of pairs of rows of images (N, C, H, W)."""


class Maps(NamedTuple):
    """What the places of two images contribute to their score, positive for "same"."""

    left: FloatArray  # (H, W)
    right: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Deletion:
    """How the answer falls as places of both images are blanked: evidence for a map, or against it.

    Attributes:
        shares: (K,) of all places of both images that are blanked, the first 0.
        marked: (K,) score in favour of the answer, with the places blanked first that a map says speak most for it.
        random: (K,) the same for random places, a mean over orders.
        random_ink: (K,) the same for random ones among the places that differ from the background, a harder control:
            blanking an empty place changes nothing.
    """

    shares: FloatArray
    marked: FloatArray
    random: FloatArray
    random_ink: FloatArray

    @property
    def fall(self) -> float:
        """Mean fall of the score as marked places go; > 0 where these made the answer."""
        return _fall(self.marked)

    @property
    def random_fall(self) -> float:
        """Mean fall of the score as random places go."""
        return _fall(self.random)

    @property
    def random_ink_fall(self) -> float:
        """Mean fall of the score as random places that are not empty go."""
        return _fall(self.random_ink)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        curves = {name: getattr(self, name).tolist() for name in ("shares", "marked", "random", "random_ink")}
        return {
            "fall": self.fall,
            "random_fall": self.random_fall,
            "random_ink_fall": self.random_ink_fall,
            "curves": curves,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """An answer, and which places of both images speak for it and against it.

    Attributes:
        left: the first image, (C, H, W) uint8.
        right: the second.
        same: the answer.
        probability: calibrated probability of "same", in [0, 1].
        score: higher = more alike.
        threshold: score from which the answer is "same".
        maps: by method, in units of the score.
        deletion: by method, the test of its maps.
    """

    left: Images
    right: Images
    same: bool
    probability: float
    score: float
    threshold: float
    maps: dict[str, Maps]
    deletion: dict[str, Deletion]

    def as_dict(self) -> dict[str, Any]:
        """The JSON object; maps are lists of rows."""
        values = {name: getattr(self, name) for name in ("same", "probability", "score", "threshold")}
        methods = {
            name: {
                "left": maps.left.tolist(),
                "right": maps.right.tolist(),
                "deletion": self.deletion[name].as_dict(),
            }
            for name, maps in self.maps.items()
        }
        return {**values, "maps": methods}


def explain(verifier: Explained, left: Images, right: Images, *, generator: np.random.Generator) -> Explanation:
    """Explains the answer about two images.

    Args:
        verifier: what answers.
        left: (C, H, W) uint8, of the verifier's size.
        right: (C, H, W) uint8.
        generator: draws the random places of the deletion test.
    """
    pair = np.stack([left, right])
    score = float(verifier.score_rows(pair, [0], [1])[0])
    maps = {name: method(verifier, pair) for name, method in METHODS.items()}
    same = bool(verifier.decision.predict(np.array([score]))[0])
    return Explanation(
        left=pair[0],
        right=pair[1],
        same=same,
        probability=float(verifier.decision.probability(np.array([score]))[0]),
        score=score,
        threshold=verifier.decision.threshold,
        maps=maps,
        deletion=_deletions(verifier, pair, maps, same, generator),
    )


def occlusion(verifier: Explained, pair: Images) -> Maps:
    """How much the score falls where a square patch of one image is blanked (Zeiler and Fergus 2014, section 4.2).

    Patches overlap; a place has the mean of all that cover it.

    Args:
        verifier: what scores.
        pair: (2, C, H, W) uint8.
    """
    patches = _patches(*pair.shape[2:])  # (K, H, W)
    blank = _backgrounds(pair)
    covered = np.concatenate([np.where(patches[:, None], blank[side], pair[side]) for side in (0, 1)])  # (2 K, C, H, W)
    count = len(patches)
    rows = np.arange(2, 2 + 2 * count)
    first, second = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.int64)
    scores = verifier.score_rows(
        np.concatenate([pair, covered]),
        np.concatenate([[0], rows[:count], first]),
        np.concatenate([[1], second, rows[count:]]),
    ).astype(np.float64)
    falls = scores[0] - scores[1:]
    left, right = (np.tensordot(fall, patches, 1) / patches.sum(0) for fall in np.split(falls, 2))
    return Maps(left, right)


def gradients(verifier: Explained, pair: Images) -> Maps:
    """Integrated gradients of the score from one blank image to the image (Sundararajan, Taly and Yan 2017).

    Each image comes out of its background while the other one stays, so a map sums to what its image makes of the
    score that the blank one has beside the other.

    Args:
        verifier: what scores.
        pair: (2, C, H, W) uint8.
    """
    device = next(verifier.model.parameters()).device
    seen = to_unit(torch.from_numpy(pair)).to(device)
    blank = to_unit(torch.from_numpy(np.broadcast_to(_backgrounds(pair), pair.shape).copy())).to(device)
    model = verifier.model.eval()
    left = _integrated(lambda path: model(path, seen[1:].expand_as(path)), blank[0], seen[0])
    right = _integrated(lambda path: model(seen[:1].expand_as(path), path), blank[1], seen[1])
    return Maps(left, right)


def rise(verifier: Explained, pair: Images) -> Maps:
    """How much lower the score is where a place is blanked, as many are at random in both images (Petsiuk et al. 2018).

    Strokes often matter together, which no single patch shows. A place counts as far as it stands out of its
    background, since blanking what is blank changes nothing. The masks are the same every time, and each is there with
    the two images exchanged, too.

    Args:
        verifier: what scores.
        pair: (2, C, H, W) uint8.
    """
    blank = _backgrounds(pair)
    masks = _masks(*pair.shape[2:])  # (M, 2, H, W)
    images = np.where(masks[:, :, None], blank, pair)
    scores = verifier.score(images[:, 0], images[:, 1]).astype(np.float64)
    blanked = masks.reshape(len(masks), -1)
    times = blanked.sum(axis=0)
    falls = (scores @ ~blanked) / (len(masks) - times) - (scores @ blanked) / times
    strength = np.abs(pair.astype(np.float64) - blank).mean(axis=1) / 255  # (2, H, W)
    left, right = falls.reshape(strength.shape) * strength
    return Maps(left, right)


Method = Callable[["Explained", Images], Maps]

METHODS: dict[str, Method] = {"occlusion": occlusion, "gradients": gradients, "rise": rise}
"""Ways to make maps, by name."""


def _integrated(score: Callable[[Tensor], Tensor], start: Tensor, end: Tensor) -> FloatArray:
    """Integrated gradients (H, W), summed over channels, of a path between images (C, H, W) by the midpoint rule."""
    along = (torch.arange(_STEPS, device=end.device) + 0.5) / _STEPS
    step = end - start
    with torch.enable_grad():
        path = (start + along.view(-1, 1, 1, 1) * step).requires_grad_()
        (slope,) = torch.autograd.grad(score(path).sum(), path)
    found: FloatArray = (slope.mean(0) * step).sum(0).cpu().double().numpy()
    return found


def _deletions(
    verifier: Explained, pair: Images, maps: dict[str, Maps], same: bool, generator: np.random.Generator
) -> dict[str, Deletion]:
    """Blanks places in the order of maps, and at random, and follows the score in favour of the answer."""
    direction = 1 if same else -1
    weights = [np.concatenate([each.left.ravel(), each.right.ravel()]) for each in maps.values()]
    places = weights[0].size
    ink = (pair != _backgrounds(pair)).any(1).ravel()
    marked = [np.argsort(-direction * each, kind="stable") for each in weights]
    anywhere = [generator.permutation(places) for _ in range(_RANDOM_ORDERS)]
    inked = [order[np.argsort(~ink[order], kind="stable")] for order in anywhere]
    orders = [*marked, *anywhere, *inked]
    gone = np.zeros((len(orders), len(_SHARES), places), dtype=np.bool_)
    for blanked, order in zip(gone, orders, strict=True):
        for row, share in zip(blanked, _SHARES, strict=True):
            row[order[: round(share * places)]] = True
    images = np.where(gone.reshape(-1, 2, 1, *pair.shape[2:]), _backgrounds(pair), pair)
    scores = direction * verifier.score(images[:, 0], images[:, 1]).astype(np.float64).reshape(len(orders), -1)
    by_map, random, random_ink = np.split(scores, [len(marked), len(marked) + _RANDOM_ORDERS])
    return {
        name: Deletion(
            shares=np.array(_SHARES), marked=curve, random=random.mean(axis=0), random_ink=random_ink.mean(axis=0)
        )
        for name, curve in zip(maps, by_map, strict=True)
    }


def _fall(scores: FloatArray) -> float:
    return float((scores[0] - scores[1:]).mean())


def _patches(height: int, width: int) -> NDArray[np.bool_]:
    """Square patches that overlap by half and together cover every place: (K, H, W)."""
    size = max(2, round(min(height, width) / _TILES))
    stride = max(1, size // 2)
    row, column = np.arange(height), np.arange(width)
    tops, lefts = (np.arange(stride - size, length, stride) for length in (height, width))
    down = (row >= tops[:, None]) & (row < tops[:, None] + size)  # (T, H)
    across = (column >= lefts[:, None]) & (column < lefts[:, None] + size)  # (L, W)
    return (down[:, None, :, None] & across[None, :, None, :]).reshape(-1, height, width)


@lru_cache(4)
def _masks(height: int, width: int) -> NDArray[np.bool_]:
    """Random blocks of both images, every place in some masks and not in others: (M, 2, H, W)."""
    block = max(2, round(min(height, width) / _TILES))
    rows, columns = -(-height // block) + 1, -(-width // block) + 1
    generator = np.random.default_rng(0)
    drawn = generator.random((_MASKS // 2, 2, rows, columns)) < _BLANKED
    large = drawn.repeat(block, axis=2).repeat(block, axis=3)
    starts = generator.integers(0, block, (len(large), 2))
    half = np.stack(
        [each[:, top : top + height, left : left + width] for each, (top, left) in zip(large, starts, strict=True)]
    )
    return np.concatenate([half, half[:, ::-1]])


def _backgrounds(pair: Images) -> Images:
    """What a blank place of each image looks like, the median of its border: (2, C, 1, 1)."""
    border = np.concatenate([pair[:, :, 0], pair[:, :, -1], pair[:, :, :, 0], pair[:, :, :, -1]], axis=2)  # (2, C, B)
    median: Images = np.median(border, axis=2).astype(np.uint8)[..., None, None]
    return median
