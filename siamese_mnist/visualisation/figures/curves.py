"""Pictures of scores: the course of the training, error rates over thresholds, calibration, histograms."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.evaluation import detection_error_tradeoff, equal_error_rate, roc, roc_auc
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.visualisation.figures.theme import BLUE, FAINT, GROUND, INK, VERMILION, canvas, look, themed

Scored = tuple[ArrayLike, ArrayLike]
"""Scores (P,) and truth (P,) of one run."""

FloatArray = NDArray[np.float64]

CALIBRATION_BINS = 15  # as in `evaluation.expected_calibration_error`
_LEAST_POINT, _POINT = 8.0, 120.0  # square points
_DET_RATES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4)


@themed
def learning_curves(history: Mapping[str, ArrayLike]) -> Figure:
    """Loss and accuracy of the training and the validation batch at every update, smoothed (report, Figure 4).

    Args:
        history: columns (U,) loss, accuracy, validation_loss and validation_accuracy; NaN where not measured.
    """
    figure, panels = canvas(4.4, rows=2, sharex=True)
    for axes, quantity in zip(panels, ("loss", "accuracy"), strict=True):
        shown = []
        for number, (label, column) in enumerate((("training", quantity), ("validation", f"validation_{quantity}"))):
            values = np.asarray(history[column], dtype=np.float64)
            if not np.isfinite(values).any():
                continue
            update = np.arange(1, len(values) + 1)
            colour, line, _ = look(number)
            # Thousands of ragged points: as an image they are a tenth of the size.
            axes.plot(
                update,
                values,
                color=colour,
                linewidth=0.4,
                alpha=0.35,
                rasterized=True,
                zorder=2,
                label=f"_{label}, raw",
            )
            # The ground shows between the dashes of a plain line, where the raw values would hide them.
            every = slice(None, None, max(1, len(values) // 200))
            course = update[every], smoothed(values)[every]
            axes.plot(*course, color=GROUND, linewidth=3.2, zorder=3, label="_")
            axes.plot(*course, color=colour, linestyle=line, linewidth=1.8, zorder=3, label=f"{label} batch")
            shown.append(values[np.isfinite(values)])
        axes.set_ylabel(quantity)
        if shown:
            low, high = np.quantile(np.concatenate(shown), (0.002, 0.998))
            margin = 0.05 * (high - low) or 0.05
            axes.set_ylim(low - margin, high + margin)
    panels[-1].set_xlabel("update")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    return figure


def smoothed(values: ArrayLike, share: float = 0.02) -> FloatArray:
    """Centred moving average (U,) over a share of the updates; shorter at both ends, and without what is not finite."""
    series = np.asarray(values, dtype=np.float64)
    half = int(len(series) * share / 2)
    known = np.isfinite(series)
    window = np.ones(2 * half + 1)
    total, count = (
        np.convolve(part, window)[half : half + len(series)] for part in (np.where(known, series, 0), known)
    )
    average: FloatArray = np.divide(total, count, out=np.full(len(series), np.nan), where=count > 0.5)
    return average


@themed
def roc_curves(scored: Mapping[str, Sequence[Scored]]) -> Figure:
    """True match rate over false match rate; a line a run, a look a variant.

    Args:
        scored: one or more runs of each variant, by its name.
    """
    figure, (axes,) = canvas(4.2)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="_chance")
    for number, (name, runs) in enumerate(scored.items()):
        areas = [roc_auc(*run) for run in runs]
        for repeat, run in enumerate(runs):
            curve = roc(*run)
            label = f"{_lines(name)}, area {np.mean(areas):.4f}" if repeat == 0 else f"_{name}, {repeat}"
            _line(axes, curve.false_match_rate, curve.true_match_rate, number, label)
    axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="false match rate", ylabel="true match rate")
    axes.legend(loc="lower right")
    return figure


@themed
def det_curves(scored: Mapping[str, Sequence[Scored]]) -> Figure:
    """Detection error tradeoff on normal deviate axes (Martin et al. 1997); a marker at the equal error rate.

    Args:
        scored: one or more runs of each variant, by its name.
    """
    from scipy.special import ndtri

    figure, (axes,) = canvas(4.2)
    ends = ndtri([5e-4, 0.5])
    axes.plot(ends, ends, color=FAINT, linewidth=1, label="_equal error")
    for number, (name, runs) in enumerate(scored.items()):
        rates = [equal_error_rate(*run) for run in runs]
        for repeat, run in enumerate(runs):
            false_match, false_non_match, _ = detection_error_tradeoff(*run)
            inside = (false_match > 0) & (false_match < 1) & (false_non_match > 0) & (false_non_match < 1)
            label = f"{_lines(name)}, EER {np.mean(rates):.4f}" if repeat == 0 else f"_{name}, {repeat}"
            _line(axes, ndtri(false_match[inside]), ndtri(false_non_match[inside]), number, label)
        crossings = ndtri(np.clip(rates, 5e-4, 0.5))
        colour, _, marker = look(number)
        axes.plot(crossings, crossings, marker, color=colour, markeredgecolor=GROUND, markersize=7, label=f"_{name}")
    labels = [f"{rate:g}" for rate in _DET_RATES]
    axes.set_xticks(ndtri(_DET_RATES), labels)
    axes.set_yticks(ndtri(_DET_RATES), labels)
    axes.set(xlim=ends, ylim=ends, xlabel="false match rate", ylabel="false non-match rate")
    axes.legend(loc="upper right")
    return figure


def _lines(name: str) -> str:
    return name.replace(",", ",\n  ")


def _line(axes: Axes, x: FloatArray, y: FloatArray, number: int, label: str) -> None:
    colour, line, _ = look(number)
    first = not label.startswith("_")
    axes.plot(
        x, y, color=colour, linestyle=line, linewidth=1.6 if first else 0.7, alpha=1 if first else 0.6, label=label
    )


@themed
def calibration(probability: ArrayLike, same: ArrayLike, left: ArrayLike, right: ArrayLike) -> Figure:
    """Share of same pairs over the probability of "same", in bins of equal width, and the pairs in each.

    The area of a point grows with the number of its pairs. Bars are 95 % intervals for pairs that share images, see
    `intervals.accuracy_interval`.

    Args:
        probability: (P,) in [0, 1].
        same: (P,) bool ground truth.
        left: (P,) int image identifiers.
        right: (P,) int image identifiers.
    """
    values, truth = np.asarray(probability, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    index = np.searchsorted(edges[1:-1], values)
    counts, totals, hits = (
        np.bincount(index, weights, CALIBRATION_BINS) for weights in (None, values, truth.astype(np.float64))
    )
    used = counts > 0
    figure, (axes, below) = canvas(4.4, rows=2, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, label="perfect")
    shares = hits[used] / counts[used]
    ends = [
        accuracy_interval(truth[index == bin_], np.asarray(left)[index == bin_], np.asarray(right)[index == bin_])
        for bin_ in np.flatnonzero(used)
    ]
    distances = np.abs(np.array(ends).T - shares)
    means = totals[used] / counts[used]
    axes.errorbar(means, shares, distances, fmt="none", ecolor=BLUE, elinewidth=1, capsize=2)
    sizes = _LEAST_POINT + _POINT * counts[used] / counts.max()
    axes.scatter(means, shares, sizes, color=BLUE, alpha=0.8, zorder=3, label="this run, by number of pairs")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="share of same pairs")
    axes.legend(loc="upper left")
    below.stairs(counts, edges, fill=True, color=BLUE, alpha=0.6)
    below.set(xlabel='probability of "same"', ylabel="pairs")
    return figure


@themed
def score_histograms(scores: ArrayLike, same: ArrayLike, threshold: float) -> Figure:
    """How the scores of same and of different pairs are spread, and where the threshold parts them.

    Args:
        scores: (P,) higher means more alike.
        same: (P,) bool ground truth.
        threshold: the score from which a pair is decided same.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(same, dtype=np.bool_)
    edges = np.histogram_bin_edges(values, 60)
    figure, (axes,) = canvas(2.8)
    for label, chosen, colour, hatch in (
        ("different", ~truth, VERMILION, "///"),
        ("same", truth, BLUE, ""),
    ):
        counts, _ = np.histogram(values[chosen], edges)
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35, linewidth=0, label=f"_{label}, ground")
        outline = axes.stairs(counts, edges, fill=True, facecolor="none", edgecolor=colour, linewidth=1.2, label=label)
        outline.set_hatch(hatch)
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label="threshold")
    axes.set(xlabel="score", ylabel="pairs")
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return figure
