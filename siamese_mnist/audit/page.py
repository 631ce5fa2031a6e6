"""The audit as a page of the documentation."""

from collections import Counter
from collections.abc import Sequence

from siamese_mnist.audit.evidence import ENTRIES, Evidence
from siamese_mnist.audit.finding import OPPOSITE, Finding
from siamese_mnist.system.templates import render


def page(found: Sequence[Finding], evidence: Evidence, made_by: str) -> str:
    """Markdown text with a table of all claims and how each was judged.

    Args:
        found: the findings, in the order of the report.
        evidence: what they rest on.
        made_by: command, machine and date.
    """
    said = [each for each in found if each.in_report]
    return render(
        "siamese_mnist.audit",
        "page.md",
        seeds=len(evidence.runs["report"]),
        said=said,
        beside=[each for each in found if not each.in_report],
        counts=Counter(each.verdict for each in said),
        tested=sum(each.interval is not None for each in found),
        made_by=made_by,
        opposite=[each.claim for each in said if OPPOSITE in each.measured],
        entries=list(ENTRIES.values()),
    )
