"""What the audit says of one claim, and the rules by which it says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from siamese_mnist.evaluation.intervals import seed_interval, student_quantile

Verdict = Literal["reproduced", "not reproduced", "not testable"]

_ROUNDING = 0.005  # the report gives two digits
_WIDEST = 0.2
OPPOSITE = "the opposite holds"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim and what became of it.

    Attributes:
        section: of the report.
        claim: what the report says.
        verdict: whether it holds here.
        measured: what was found, in words; for a claim that cannot be tested, why.
        published: the report's figure, where it gives one.
        value: the figure found, a mean over seeds.
        interval: its 95 % interval; for a published figure that of a single run, for a direction that of the mean.
    """

    section: str
    claim: str
    verdict: Verdict
    measured: str
    published: float | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None


def figure(section: str, claim: str, published: float, values: Sequence[float], note: str = "") -> Finding:
    """Judges a published figure of one run: reproduced if it lies where 95 % of single runs lie.

    The interval is Student's prediction interval for one more run, its mean and spread taken from the runs at hand. One
    that is wider than 0.2 holds nearly any figure: the claim cannot be tested then.

    Args:
        section: of the report.
        claim: what it says.
        published: its figure, a rate rounded to two digits.
        values: (S,) the figure of every seed, S >= 2.
        note: what else is to be said.
    """
    mean = fmean(values)
    half = student_quantile(0.95, len(values) - 1) * stdev(values) * math.sqrt(1 + 1 / len(values))
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    verdict: Verdict = "reproduced" if low - _ROUNDING <= published <= high + _ROUNDING else "not reproduced"
    if high - low > _WIDEST:
        verdict, note = "not testable", f"{note}: seeds differ too much to tell"
    return Finding(
        section=section,
        claim=claim,
        verdict=verdict,
        measured=f"{mean:.3f}; single runs lie in {low:.3f} to {high:.3f}{note}",
        published=published,
        value=mean,
        interval=(low, high),
    )


def direction(section: str, claim: str, what: str, values: Sequence[float], note: str = "") -> Finding:
    """Judges a tendency: reproduced if the 95 % interval of its mean over seeds is above 0.

    Args:
        section: of the report.
        claim: what it says.
        what: the quantity that is positive if the claim holds.
        values: (S,) that quantity for every seed, S >= 2.
        note: what else is to be said.
    """
    return judged(section, claim, what, fmean(values), seed_interval(values), note)


def judged(section: str, claim: str, what: str, value: float, interval: tuple[float, float], note: str = "") -> Finding:
    """Judges a tendency from a figure and its interval: reproduced if the interval is above 0."""
    low, high = interval
    side = f"; {OPPOSITE}" if high < 0 else "; no side is shown" if low <= 0 else ""
    return Finding(
        section=section,
        claim=claim,
        verdict="reproduced" if low > 0 else "not reproduced",
        measured=f"{what}: {value:+.4f} [{low:+.4f}, {high:+.4f}]{side}{note}",
        value=value,
        interval=(low, high),
    )


def exact(section: str, claim: str, holds: bool, measured: str) -> Finding:
    """Judges what needs no interval."""
    return Finding(section=section, claim=claim, verdict="reproduced" if holds else "not reproduced", measured=measured)


def untestable(section: str, claim: str, why: str) -> Finding:
    """A claim that nothing at hand can test."""
    return Finding(section=section, claim=claim, verdict="not testable", measured=why)
