"""What the audit says of one claim, and the rules by which it says so.

A claim that is tested becomes a `Judge`, which waits for the confidence of its interval: all tested claims of an audit
are one family, so how many there are decides how sure each interval has to be.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, NamedTuple

from siamese_mnist.evaluation.intervals import seed_interval, student_quantile

Verdict = Literal["reproduced", "compatible", "not shown", "not reproduced", "not testable"]

_ROUNDING = 0.005  # the report gives two digits
_WIDEST = 0.1
OPPOSITE = "the opposite holds"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim and what became of it.

    Attributes:
        section: of the report.
        claim: what the report says, or what is told beside it.
        verdict: what is shown here: "reproduced"; of a figure "compatible", if it fits but others would too; of a
            tendency "not shown", if the interval holds 0; "not reproduced" if the opposite is shown; "not testable".
        measured: what was found, in words; for a claim that cannot be tested, why.
        in_report: whether the report says it.
        published: the report's figure, where it gives one.
        value: the figure found, a mean over seeds.
        interval: simultaneous with those of all other findings; for a published figure that of a single run, for a
            tendency that of the mean.
    """

    section: str
    claim: str
    verdict: Verdict
    measured: str
    in_report: bool = True
    published: float | None = None
    value: float | None = None
    interval: tuple[float, float] | None = None


class Measured(NamedTuple):
    """A quantity and its interval."""

    value: float
    low: float
    high: float


Judge = Callable[[float], Finding]
"""Judges a claim by an interval of some confidence, in (0, 1)."""

Measure = Callable[[float], Measured]
"""Measures a quantity with an interval of some confidence, in (0, 1)."""


def figure(
    section: str, claim: str, published: float, values: Sequence[float], note: str = "", in_report: bool = True
) -> Judge:
    """Judges a published figure of one run: compatible if it lies where single runs lie, reproduced if few others do.

    The interval is Student's prediction interval for one more run, its mean and spread taken from the runs at hand. A
    figure within it is reproduced if the interval is no wider than 0.1; a wider one would hold many other figures too.

    Args:
        section: of the report.
        claim: what it says.
        published: its figure, a rate rounded to two digits.
        values: (S,) the figure of every seed, S >= 2.
        note: what else is to be said.
        in_report: whether the report says it.
    """

    def judge(confidence: float) -> Finding:
        mean = fmean(values)
        spread = stdev(values) * math.sqrt(1 + 1 / len(values))
        half = student_quantile(confidence, len(values) - 1) * spread
        low, high = max(0.0, mean - half), min(1.0, mean + half)
        verdict: Verdict = "reproduced" if high - low <= _WIDEST else "compatible"
        if not low - _ROUNDING <= published <= high + _ROUNDING:
            verdict = "not reproduced"
        return Finding(
            section=section,
            claim=claim,
            verdict=verdict,
            measured=f"{mean:.3f}; single runs lie in {low:.3f} to {high:.3f}{note}",
            in_report=in_report,
            published=published,
            value=mean,
            interval=(low, high),
        )

    return judge


def over_seeds(values: Sequence[float]) -> Measure:
    """A mean over seeds: (S,) one figure for each, S >= 2."""
    return lambda confidence: Measured(fmean(values), *seed_interval(values, confidence))


def tendency(section: str, claim: str, what: str, measure: Measure, note: str = "", in_report: bool = True) -> Judge:
    """Judges a tendency: reproduced if its interval is above 0, not reproduced if below, not shown if 0 lies within.

    Args:
        section: of the report.
        claim: what it says.
        what: the quantity that is positive if the claim holds.
        measure: that quantity.
        note: what else is to be said.
        in_report: whether the report says it.
    """

    def judge(confidence: float) -> Finding:
        value, low, high = measure(confidence)
        verdict, side = _side(low, high)
        return Finding(
            section=section,
            claim=claim,
            verdict=verdict,
            measured=f"{what}: {value:+.4f} [{low:+.4f}, {high:+.4f}]{side}{note}",
            in_report=in_report,
            value=value,
            interval=(low, high),
        )

    return judge


def _side(low: float, high: float) -> tuple[Verdict, str]:
    if low > 0:
        return "reproduced", ""
    return ("not reproduced", f"; {OPPOSITE}") if high < 0 else ("not shown", "; no side is shown")


def equality(section: str, claim: str, what: str, values: Sequence[float], margin: float) -> Judge:
    """Judges that a quantity is 0: reproduced if its interval lies within a margin, compatible if 0 lies in it.

    Args:
        section: of the report.
        claim: what it says.
        what: the quantity that is 0 if the claim holds.
        values: (S,) that quantity for every seed, S >= 2.
        margin: how far from 0 still counts as equal.
    """

    def judge(confidence: float) -> Finding:
        value, low, high = over_seeds(values)(confidence)
        verdict: Verdict = "compatible" if low <= 0 <= high else "not reproduced"
        if max(abs(low), abs(high)) <= margin:
            verdict = "reproduced"
        return Finding(
            section=section,
            claim=claim,
            verdict=verdict,
            measured=f"{what}: {value:+.4f} [{low:+.4f}, {high:+.4f}]; reproduced means within {margin}",
            value=value,
            interval=(low, high),
        )

    return judge


def exact(section: str, claim: str, holds: bool, measured: str) -> Finding:
    """Judges what needs no interval."""
    return Finding(section=section, claim=claim, verdict="reproduced" if holds else "not reproduced", measured=measured)


def untestable(section: str, claim: str, why: str) -> Finding:
    """A claim that nothing at hand can test."""
    return Finding(section=section, claim=claim, verdict="not testable", measured=why)
