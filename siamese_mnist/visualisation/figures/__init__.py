"""Pictures of verification results: arrays in, a Matplotlib figure out.

As in `siamese_mnist.evaluation`, scores are (P,) with higher meaning more alike, `same` is (P,) bool, and rates are in
[0, 1]. Nothing here opens a window or touches pyplot's global state. Matplotlib is used in this package only.
"""

from matplotlib.figure import Figure

from siamese_mnist.visualisation.figures.costs import bayes_costs
from siamese_mnist.visualisation.figures.curves import (
    calibration,
    det_curves,
    learning_curves,
    roc_curves,
    score_histograms,
)
from siamese_mnist.visualisation.figures.explained import explained_pairs, explanation
from siamese_mnist.visualisation.figures.identified import Episode, episodes, match_characteristic, readings
from siamese_mnist.visualisation.figures.images import embedding_map, hardest_pairs
from siamese_mnist.visualisation.figures.severity import severities
from siamese_mnist.visualisation.figures.tables import class_figures, confusion, digit_errors
from siamese_mnist.visualisation.figures.theme import THEME_CSS, save, to_svg
from siamese_mnist.visualisation.figures.tuning import budgets, tried

__all__ = [
    "THEME_CSS",
    "Episode",
    "Figure",
    "bayes_costs",
    "budgets",
    "calibration",
    "class_figures",
    "confusion",
    "det_curves",
    "digit_errors",
    "embedding_map",
    "episodes",
    "explained_pairs",
    "explanation",
    "hardest_pairs",
    "learning_curves",
    "match_characteristic",
    "readings",
    "roc_curves",
    "save",
    "score_histograms",
    "severities",
    "to_svg",
    "tried",
]
