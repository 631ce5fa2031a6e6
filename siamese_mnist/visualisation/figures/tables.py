"""Pictures of counted answers: figures of both classes, confusion matrix, errors digit by digit."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.evaluation import digit_pair_accuracy
from siamese_mnist.visualisation.figures.theme import BLUE, GROUND, VERMILION, canvas, themed

FloatArray = NDArray[np.float64]

# Of one colour that fades into the ground, so that it is right in both themes and in grey; text stays readable on it.
FADING = LinearSegmentedColormap.from_list("fading", [to_rgba(BLUE, 0), to_rgba(BLUE, 0.6)])


@themed
def class_figures(same: Mapping[str, float], different: Mapping[str, float]) -> Figure:
    """Precision, recall and F1 of both classes as bars (report, Figure 3).

    Args:
        same: precision, recall and f1 of "same", in [0, 1].
        different: the same of "different".
    """
    figure, (axes,) = canvas(2.8)
    names = ("precision", "recall", "f1")
    for shift, label, values, colour, hatch in (
        (-0.2, "same", same, BLUE, ""),
        (0.2, "different", different, VERMILION, "///"),
    ):
        heights = [values[name] for name in names]
        bars = axes.bar(
            np.arange(3) + shift, heights, 0.38, label=label, color=colour, hatch=hatch, edgecolor=GROUND, zorder=2
        )
        axes.bar_label(bars, fmt="%.3f", fontsize=8)
    axes.set(ylim=(0, 1.12), yticks=np.linspace(0, 1, 6), ylabel="rate")
    axes.set_xticks(range(3), ["precision", "recall", "F1"])
    axes.grid(axis="x", visible=False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure


@themed
def confusion(matrix: ArrayLike) -> Figure:
    """Counts of pairs by truth and answer.

    Args:
        matrix: (2, 2) counts, rows truth [different, same], columns answer [different, same].
    """
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = canvas(2.9)
    _matrix(axes, shares, ("different", "same"), 1.0)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{counts[row, column]:,}\n{share:.1%} of the row"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center")
    axes.set(xlabel="answer", ylabel="truth")
    return figure


@themed
def digit_errors(correct: ArrayLike, left_labels: ArrayLike, right_labels: ArrayLike, names: Sequence[str]) -> Figure:
    """Share of wrong answers for each unordered pair of classes; the diagonal holds the same pairs.

    Args:
        correct: (P,) bool, True where the answer was right.
        left_labels: (P,) int class of the left image.
        right_labels: (P,) int class of the right image.
        names: K class names.
    """
    accuracy, _ = digit_pair_accuracy(correct, left_labels, right_labels, len(names))
    errors = 1 - accuracy
    figure, (axes,) = canvas(4.2)
    largest = float(np.nanmax(errors)) if np.isfinite(errors).any() else 0.0
    _matrix(axes, errors, names, largest or 1.0)
    if len(names) <= 12:
        for (row, column), error in np.ndenumerate(errors):
            text = "-" if np.isnan(error) else f"{100 * error:.1f}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7.5)
    axes.set(xlabel="class of one image", ylabel="class of the other")
    axes.set_title("wrong answers in %")
    return figure


def _matrix(axes: Axes, values: FloatArray, names: Sequence[str], largest: float) -> None:
    # Cells as vector shapes; a line of the ground's colour parts them.
    axes.pcolormesh(
        np.ma.masked_invalid(values),
        cmap=FADING,
        vmin=0,
        vmax=largest,
        edgecolors=GROUND,
        linewidth=1,
        antialiased=True,
    )
    ticks = np.arange(len(names)) + 0.5
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set_ylim(len(names), 0)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
