"""Which places of two images speak for "same" and for "different"."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.visualisation.figures.theme import FAINT, INK, SKY, VERMILION, WIDTH_INCHES, look, themed

_FOR_SAME, _FOR_DIFFERENT = SKY, VERMILION


@themed
def explanation(
    left: ArrayLike,
    right: ArrayLike,
    maps: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    shares: ArrayLike,
    marked: Mapping[str, ArrayLike],
    random: Mapping[str, ArrayLike],
    answer: str,
) -> Figure:
    """The maps of one pair, each over its two images, and how the score falls as marked and random places go.

    Args:
        left: (C, H, W) uint8.
        right: (C, H, W) uint8.
        maps: by method, (H, W) of the left and of the right image; positive speaks for "same".
        shares: (K,) of all places that are blanked.
        marked: by method, (K,) score in favour of the answer as marked places go.
        random: by kind, (K,) the same as random places go.
        answer: what is explained, the title.
    """
    figure = Figure(figsize=(WIDTH_INCHES, 4.6), layout="constrained")
    figure.suptitle(answer, x=0.02, ha="left", fontsize=10)
    parts: Any = figure.subfigures(2, 1, height_ratios=(0.85, 1))
    upper, lower = parts
    for axes, (name, pair) in zip(upper.subplots(1, len(maps), squeeze=False)[0], maps.items(), strict=True):
        _overlay(axes, (left, right), pair)
        axes.set_title(name)
    _legend(upper)
    curves: Any = lower.subplots()
    for number, (name, scores) in enumerate(marked.items()):
        colour, line, _ = look(number)
        curves.plot(100 * np.asarray(shares), np.asarray(scores), color=colour, linestyle=line, label=name)
    for line, (name, scores) in zip((":", (0, (1, 3))), random.items(), strict=False):
        curves.plot(100 * np.asarray(shares), np.asarray(scores), color=INK, linestyle=line, label=name)
    curves.set(xlabel="places of both images blanked, %", ylabel="score for the answer")
    lower.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


@themed
def explained_pairs(
    pairs: Sequence[tuple[ArrayLike, ArrayLike]],
    maps: Sequence[tuple[ArrayLike, ArrayLike]],
    captions: Sequence[str],
) -> Figure:
    """The maps of several pairs, each over its two images, two in a row.

    Args:
        pairs: of images (C, H, W) uint8.
        maps: (H, W) of the left and of the right image; positive speaks for "same".
        captions: a few words for each.
    """
    rows = -(-len(pairs) // 2)
    figure = Figure(figsize=(WIDTH_INCHES, 1.35 * rows + 0.4), layout="constrained")
    grid = list(figure.subplots(rows, 2, squeeze=False).flat)
    for axes in grid[len(pairs) :]:
        axes.set_axis_off()
    for axes, images, found, caption in zip(grid, pairs, maps, captions, strict=False):
        _overlay(axes, images, found)
        axes.set_title(caption, fontsize=8, loc="center")
    _legend(figure)
    return figure


def _overlay(axes: Axes, images: tuple[ArrayLike, ArrayLike], maps: tuple[ArrayLike, ArrayLike]) -> None:
    """Both images side by side, faint, and over them the maps on one common scale."""
    values = [np.asarray(each, dtype=np.float64) for each in maps]
    largest = max(float(np.abs(each).max()) for each in values) or 1.0
    panels = [_tinted(np.asarray(image), each / largest) for image, each in zip(images, values, strict=True)]
    gap = np.tile(np.array(to_rgb(FAINT)), (len(panels[0]), 1, 1))
    axes.imshow(np.hstack([panels[0], gap, panels[1]]), interpolation="none")
    axes.set_axis_off()


def _tinted(image: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """An image (H, W, 3) in [0, 1] in which places of large value take the colour of their sign."""
    grey = np.moveaxis(image, 0, -1).mean(-1, keepdims=True) / 255
    ground = np.repeat(0.15 + 0.6 * grey, 3, axis=-1)
    colour = np.where(values[..., None] > 0, to_rgb(_FOR_SAME), to_rgb(_FOR_DIFFERENT))
    weight = np.abs(values[..., None]) ** 0.7
    mixed: NDArray[np.float64] = (1 - weight) * ground + weight * colour
    return mixed


def _legend(figure: Any) -> None:
    signs = [Patch(color=_FOR_SAME, label="for same"), Patch(color=_FOR_DIFFERENT, label="for different")]
    figure.legend(handles=signs, loc="outside lower center", ncols=2, frameon=False)
