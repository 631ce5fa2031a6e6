"""A metric: scored pairs to one figure."""

import math

import siamese_mnist as sm


@sm.metric("sensitivity index", short="d'", higher_is_better=True, limits=(-math.inf, math.inf), format=".2f")
def sensitivity_index(pairs: sm.JudgedPairs) -> float:
    """Distance of the mean genuine and the mean impostor score in standard deviations, d' of signal detection."""
    genuine, impostor = pairs.scores[pairs.same], pairs.scores[~pairs.same]
    spread = math.sqrt((genuine.var() + impostor.var()) / 2)
    return float(genuine.mean() - impostor.mean()) / spread if spread else math.nan
