"""Courses of the step sizes: functions of the share of updates done, in [0, 1], to a factor >= 0."""

import math
from collections.abc import Callable

from siamese_mnist.registry import Registry

Schedule = Callable[[float], float]

SCHEDULES: Registry[Schedule] = Registry("schedule", "siamese_mnist.schedules")
"""Courses of the step sizes by name."""


@SCHEDULES.register("constant")
def constant(done: float) -> float:  # noqa: ARG001
    """The whole step size from first to last."""
    return 1.0


@SCHEDULES.register("cosine")
def cosine(done: float) -> float:
    """Half a cosine, from the whole step size to none (Loshchilov and Hutter 2017)."""
    return 0.5 + 0.5 * math.cos(math.pi * done)


@SCHEDULES.register("triangle")
def triangle(done: float) -> float:
    """From none to the whole step size in a fifth of the updates, and back to none in the rest."""
    return min(done / 0.2, (1 - done) / 0.8)
