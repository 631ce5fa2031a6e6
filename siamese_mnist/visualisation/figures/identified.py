"""Pictures of classes that were never seen: who is named, how far down the right name stands, what is read instead."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.visualisation.figures.tables import FADING
from siamese_mnist.visualisation.figures.theme import (
    BLUE,
    GROUND,
    INK,
    VERMILION,
    WIDTH_INCHES,
    canvas,
    look,
    themed,
)

_A_ROW = 10  # examples beside each other


class Episode(NamedTuple):
    """An image to be named, and the examples that it is named by.

    Attributes:
        query: (C, H, W) uint8.
        examples: (N, C, H, W) uint8.
        own: which example is of the query's class.
        answer: which example is most alike.
    """

    query: NDArray[np.uint8]
    examples: NDArray[np.uint8]
    own: int
    answer: int


@themed
def episodes(shown: Sequence[Episode]) -> Figure:
    """Images to be named, each beside its examples; the right one and a wrong answer are framed.

    Args:
        shown: episodes of one number of examples.
    """
    deep = -(-len(shown[0].examples) // _A_ROW)
    across = min(_A_ROW, len(shown[0].examples))
    height = min(0.75, 4.2 / across) * deep + 0.12
    figure = Figure(figsize=(WIDTH_INCHES, 0.7 + len(shown) * height), layout="constrained")
    grid = figure.add_gridspec(len(shown), 2, width_ratios=(1.3, across))
    for row, episode in enumerate(shown):
        left, right = (figure.add_subplot(grid[row, column]) for column in (0, 1))
        _images(left, episode.query[None], 1)
        _images(right, episode.examples, across)
        for number, colour, line in ((episode.answer, VERMILION, "--"), (episode.own, BLUE, "-")):
            place = number % across - 0.47, number // across - 0.47
            right.add_patch(Rectangle(place, 0.94, 0.94, fill=False, edgecolor=colour, linestyle=line, linewidth=2))
        if not row:
            left.set_title("image", fontsize=9)
            right.set_title("one example of each class", fontsize=9)
    figure.legend(
        handles=[
            Rectangle((0, 0), 1, 1, fill=False, edgecolor=BLUE, linewidth=2, label="right"),
            Rectangle((0, 0), 1, 1, fill=False, edgecolor=VERMILION, linestyle="--", linewidth=2, label="wrong answer"),
        ],
        loc="outside lower center",
        ncols=2,
        frameon=False,
    )
    return figure


def _images(axes: Any, images: NDArray[np.uint8], across: int) -> None:
    """Images (N, C, H, W) in rows of `across`, each in a cell of side 1 about whole numbers."""
    for number, image in enumerate(images):
        column, row = number % across, number // across
        extent = (column - 0.45, column + 0.45, row + 0.45, row - 0.45)
        axes.imshow(np.moveaxis(image, 0, -1), cmap="gray", vmin=0, vmax=255, interpolation="none", extent=extent)
    axes.set(xlim=(-0.5, across - 0.5), ylim=(-(-len(images) // across) - 0.5, -0.5))
    axes.set_axis_off()


@themed
def match_characteristic(cmc: ArrayLike) -> Figure:
    """Cumulative match characteristic: how often the own name is among the first k.

    Args:
        cmc: (N,) rates for k = 1 to N.
    """
    rates = np.asarray(cmc, dtype=np.float64)
    ranks = np.arange(1, rates.size + 1)
    colour, _, marker = look(0)
    figure, (axes,) = canvas(2.8)
    axes.plot(ranks, rates, color=colour, marker=marker, markersize=4, label="this run")
    axes.plot(ranks, ranks / rates.size, color=INK, linestyle=":", linewidth=1, label="chance")
    axes.set(xlabel="k, names that are looked at", ylabel="own name among them", ylim=(0, 1.03))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", frameon=False)
    return figure


@themed
def readings(images: ArrayLike, captions: Sequence[str], probabilities: ArrayLike, names: Sequence[str]) -> Figure:
    """What a classifier takes images for that are of none of its classes.

    Args:
        images: (N, C, H, W) uint8.
        captions: a few characters for each image.
        probabilities: (N, K) in [0, 1].
        names: of the K classes.
    """
    pixels, values = np.asarray(images), np.asarray(probabilities, dtype=np.float64)
    count, classes = values.shape
    figure = Figure(figsize=(WIDTH_INCHES, 0.8 + 0.4 * count), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, classes + 2))
    _images(left, pixels, 1)
    for row, caption in enumerate(captions):
        left.text(-0.65, row, caption, ha="right", va="center", fontsize=8)
    right.pcolormesh(values, cmap=FADING, vmin=0, vmax=1, edgecolors=GROUND, linewidth=1, antialiased=True)
    for (row, column), value in np.ndenumerate(values):
        if value >= 0.005:
            right.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=8)
    right.set_xticks(np.arange(classes) + 0.5, names)
    right.set_yticks([])
    right.set(ylim=(count, 0), xlabel="read as")
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    right.grid(visible=False)
    return figure
