"""Pure metric functions for verification: scores and ground truth in, plain numbers out.

Everywhere, `scores` is (P,) with higher meaning more alike, `same` is (P,) bool with True for a pair of one class (a
genuine pair), and a pair is decided "same" exactly when its score is >= the threshold. All rates are in [0, 1].

scikit-learn does the work where it has the metric; it is imported inside the functions, so that importing this module
costs NumPy alone. The error-rate terms are those of ISO/IEC 19795-1: false match rate (FMR, different pairs decided
same) and false non-match rate (FNMR, same pairs decided different).
"""

from siamese_mnist.evaluation.answers import (
    confusion_matrix,
    digit_pair_accuracy,
    expected_calibration_error,
    precision_recall_f1,
)
from siamese_mnist.evaluation.checks import check_pairs
from siamese_mnist.evaluation.costs import bayes_cost, cllr, cost_curve, effective_prior, min_cllr, minimum_bayes_cost
from siamese_mnist.evaluation.decision import Decision, fit_decision, fit_logistic, fit_threshold
from siamese_mnist.evaluation.episodes import Episodes, draw_episodes, episode_accuracy
from siamese_mnist.evaluation.identification import (
    OpenSetRate,
    cmc,
    identification_rate,
    open_set_by_size,
    open_set_rates,
)
from siamese_mnist.evaluation.jackknife import Rate
from siamese_mnist.evaluation.judged import JudgedPairs, WeightedPairs
from siamese_mnist.evaluation.metrics import FALSE_MATCH_RATES, METRICS, Metric, metric
from siamese_mnist.evaluation.operating import Calibration, OperatingPoint, operating_point
from siamese_mnist.evaluation.ranking import (
    Roc,
    average_precision,
    detection_error_tradeoff,
    equal_error_rate,
    roc,
    roc_auc,
    true_match_rate,
)
from siamese_mnist.evaluation.summary import evaluate

__all__ = [
    "FALSE_MATCH_RATES",
    "METRICS",
    "Calibration",
    "Decision",
    "Episodes",
    "JudgedPairs",
    "Metric",
    "OpenSetRate",
    "OperatingPoint",
    "Rate",
    "Roc",
    "WeightedPairs",
    "average_precision",
    "bayes_cost",
    "check_pairs",
    "cllr",
    "cmc",
    "confusion_matrix",
    "cost_curve",
    "detection_error_tradeoff",
    "digit_pair_accuracy",
    "draw_episodes",
    "effective_prior",
    "episode_accuracy",
    "equal_error_rate",
    "evaluate",
    "expected_calibration_error",
    "fit_decision",
    "fit_logistic",
    "fit_threshold",
    "identification_rate",
    "metric",
    "min_cllr",
    "minimum_bayes_cost",
    "open_set_by_size",
    "open_set_rates",
    "operating_point",
    "precision_recall_f1",
    "roc",
    "roc_auc",
    "true_match_rate",
]
