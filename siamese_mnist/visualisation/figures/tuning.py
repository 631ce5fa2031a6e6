"""Pictures of tuning: accuracy against what was tried, and against how much was tried."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from siamese_mnist.visualisation.figures.theme import canvas, look, themed

Points = Sequence[tuple[float, float | None]]
"""What was tried, and the accuracy it gave; None where it failed."""


@themed
def tried(points: Mapping[str, Points], setting: str, *, log: bool) -> Figure:
    """Accuracy of every trial over the value of one setting; a cross at the lower edge is a trial that failed.

    Args:
        points: by entry, at least one trial that did not fail among them.
        setting: what was varied.
        log: whether its axis is logarithmic.
    """
    figure, (axes,) = canvas(3.6)
    found = [accuracy for each in points.values() for _, accuracy in each if accuracy is not None]
    margin = 0.08 * (max(found) - min(found)) or 0.01
    floor = min(found) - margin
    for number, (name, trials) in enumerate(points.items()):
        colour, _, marker = look(number)
        kept = [each for each in trials if each[1] is not None]
        lost = [value for value, accuracy in trials if accuracy is None]
        axes.plot(
            *zip(*kept, strict=True) if kept else ((), ()), marker, color=colour, markersize=6, label=_lines(name)
        )
        axes.plot(lost, [floor] * len(lost), "x", color=colour, markersize=7, clip_on=False, label=f"_{name}, failed")
    axes.set(ylim=(floor, max(found) + margin), xlabel=setting, ylabel="validation accuracy")
    if log:
        axes.set_xscale("log")
    figure.legend(loc="outside upper left", ncols=1, frameon=False)
    return figure


@themed
def budgets(curves: Mapping[str, Sequence[tuple[float, tuple[float, float]]]]) -> Figure:
    """Expected best accuracy over the number of trials, with its interval.

    Args:
        curves: by entry, for 1, 2, ... trials the expected best and its interval.
    """
    figure, (axes,) = canvas(3.6)
    for number, (name, curve) in enumerate(curves.items()):
        colour, line, marker = look(number)
        count = np.arange(1, len(curve) + 1)
        means, intervals = zip(*curve, strict=True)
        axes.fill_between(count, *np.transpose(intervals), color=colour, alpha=0.12, linewidth=0)
        axes.plot(count, means, color=colour, linestyle=line, marker=marker, markersize=4, label=_lines(name))
    axes.set(xlabel="trials", ylabel="expected best validation accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=1, frameon=False)
    return figure


def _lines(name: str) -> str:
    return name.replace(",", ",\n  ")
