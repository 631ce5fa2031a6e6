"""What errors cost over all priors."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from siamese_mnist.evaluation import cost_curve
from siamese_mnist.visualisation.figures.theme import BLUE, FAINT, VERMILION, canvas, themed

_PRIORS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


@themed
def bayes_costs(llr: ArrayLike, same: ArrayLike) -> Figure:
    """Normalised Bayes cost over the effective prior: as the stated probabilities decide, and at the best threshold.

    This is the normalised Bayes error-rate plot of Brümmer and de Villiers (2013).

    Args:
        llr: (P,) log-likelihood ratios, natural logarithms.
        same: (P,) bool ground truth.
    """
    curve = cost_curve(llr, same)
    figure, (axes,) = canvas(3.4)
    axes.axhline(1, color=FAINT, linewidth=1, label="_constant answer")
    axes.plot(curve.log_odds, curve.actual, color=BLUE, linewidth=1.8, label="as stated")
    axes.plot(curve.log_odds, curve.minimum, color=VERMILION, linestyle="--", linewidth=1.8, label="best threshold")
    axes.set_xticks([np.log(prior / (1 - prior)) for prior in _PRIORS], [f"{prior:g}" for prior in _PRIORS])
    axes.set(xlim=(-7, 7), ylim=(0, min(1.6, max(1.1, 1.05 * float(curve.actual.max())))))
    axes.set(xlabel="prior (with unequal costs: effective prior)", ylabel="normalised Bayes cost")
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure
