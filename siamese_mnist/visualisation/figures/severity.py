"""Accuracy as corruptions grow."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from siamese_mnist.visualisation.figures.theme import FAINT, WIDTH_INCHES, look, themed

_COLUMNS = 4


@themed
def severities(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Accuracy against severity, one small picture a corruption, severity 0 being the clean images.

    Args:
        curves: by corruption, by the line's title, the accuracies of severity 0, 1, ...
    """
    rows = -(-len(curves) // _COLUMNS)
    figure = Figure(figsize=(WIDTH_INCHES, 1.5 * rows + 0.7), layout="constrained")
    grid = list(figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True, sharey=True).flat)
    for axes in grid[len(curves) :]:
        axes.set_axis_off()
    for axes, (title, lines) in zip(grid, curves.items(), strict=False):
        axes.set_title(title, fontsize=8)
        axes.axhline(0.5, color=FAINT, linewidth=1)
        for number, (name, accuracies) in enumerate(lines.items()):
            colour, line, marker = look(number)
            label = name if axes is grid[0] else f"_{name}"
            axes.plot(
                np.arange(len(accuracies)),
                accuracies,
                color=colour,
                linestyle=line,
                marker=marker,
                markersize=3,
                label=label,
            )
    figure.supxlabel("severity", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure
