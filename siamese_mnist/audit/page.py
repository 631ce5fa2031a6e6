"""The audit as a page of the documentation."""

from collections import Counter
from collections.abc import Sequence

from siamese_mnist.audit.evidence import ENTRIES, Evidence
from siamese_mnist.audit.finding import OPPOSITE, Finding


def page(found: Sequence[Finding], evidence: Evidence, made_by: str) -> str:
    """Markdown text with a table of all claims and how each was judged.

    Args:
        found: the findings, in the order of the report.
        evidence: what they rest on.
        made_by: command, machine and date.
    """
    seeds = len(evidence.runs["report"])
    counts = Counter(each.verdict for each in found)
    lines = "\n".join(f"| {each.section} | {each.claim} | **{each.verdict}** | {each.measured}. |" for each in found)
    opposite = "\n".join(f"- {each.claim}" for each in found if OPPOSITE in each.measured)
    entries = "\n".join(f"- `siamese-mnist compare {entry} --seeds {seeds}`" for entry in ENTRIES.values())
    return f"""# The report, audited

Every claim of the report that has a figure or a direction, tested again with {seeds} seeds of the report's protocol on
its own images: {len(found)} claims, {counts["reproduced"]} reproduced, {counts["not reproduced"]} not reproduced,
{counts["not testable"]} not testable.

{made_by}

| section | the report says | verdict | measured here |
|---|---|---|---|
{lines}

The opposite is shown of these:

{opposite or "- none"}

## How it is judged

- **A figure of one run** (accuracy 0.89) is reproduced if it lies where 95 % of single runs lie: Student's prediction
  interval over the seeds, widened by the report's rounding to two digits. If that interval is wider than 0.2, seeds
  differ too much for the claim to be tested.
- **A tendency** is reproduced if the 95 % interval of its mean lies on the claimed side of zero, over the seeds; where
  two designs are compared also over the images, on the same pairs. An interval with zero in it shows no side. It is not
  reproduced then, which does not say that it is wrong.
- **A count** is compared as it is.
- Nothing is adjusted for the number of claims: of twenty true claims of no effect, one would come out with a side.

Phase 1 is measured twice: with the moving statistics that training left in batch norm, as the report did, and with
statistics of all training images, the weights unchanged. Batch norm keeps 0.99 of its statistics at every update, and
phase 1 has 188 updates: 15 % of them are still the initial zeros and ones.

The runs are those of

{entries}

and are taken from `--runs-dir` where they exist.
"""
