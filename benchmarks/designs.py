"""All designs side by side, under the report's recipe and trained from scratch: the page docs/designs-compared.md.

python benchmarks/designs.py --output docs/designs-compared.md

Five seeds each unless `--seeds`, or `--report-seeds` for the first table, tells another number; what is on disk is not
trained again.
"""

from collections.abc import Sequence

from study import arguments, judged_cells, publish, table

import siamese_mnist as sm
from siamese_mnist.runs.comparison import Row
from siamese_mnist.system.machine import made_by

ALIKE = ["baseline:backbone=convnet", "siamese", "pseudo-siamese", "central-surround", "cross-attention"]
"""One entry a design; the baseline names its own backbone, so it is told to take the one of the others."""


def main() -> None:
    options = arguments(__doc__.partition("\n")[0], seeds=5, report_seeds=5)
    how = {"runs_dir": options.runs_dir, "jobs": options.jobs}
    under_report = sm.compare(list(sm.VARIANTS), seeds=options.report_seeds, **how)
    alike = sm.compare(ALIKE, recipe="alike", seeds=options.seeds, **how)
    command = f"--seeds {options.seeds} --report-seeds {options.report_seeds}"
    page = f"""# Designs compared

How accurate each [design](designs.md) is on the common test pairs. An interval holds the truth in 95 % of experiments,
over new images and new seeds; *difference* is the accuracy less that of the first
row, on the same pairs and seeds. [Comparisons](comparison.md) tells how both are made, and what a verdict means.

{made_by(f"python benchmarks/designs.py {command} --output docs/designs-compared.md")}

## Under the report's recipe

Phase 1 teaches the report's CNN ten classes; phase 2 trains what stands behind it on 100,000 pairs while the CNN is
frozen. Means of {options.report_seeds} seeds; with fewer than three, no difference can be shown.

{_table(under_report)}

## From scratch, alike

The recipe `alike` trains the backbone `convnet` and what stands behind it together, on pairs alone: the same 48,000
pairs, distortions and step sizes for every design. The heads are `classifier` for designs that read a pair as a whole,
and `comparison` for those that embed each image. Means of {options.seeds} seeds.

{_table(alike)}

Seconds are of one thread, with other programs beside it; they tell the order of size only.
"""
    publish(page, options.output)


def _table(rows: Sequence[Row]) -> str:
    header = ["entry", "accuracy", "difference", "verdict", "EER", "parameters", "training s", "µs a pair"]
    return table(header, [_line(row) for row in rows if not row.published])


def _line(row: Row) -> list[str]:
    return [
        *judged_cells(row),
        *("-" if value is None else f"{value:{form}}" for value, form in _costs(row)),
    ]


def _costs(row: Row) -> list[tuple[float | None, str]]:
    return [(row.parameters, ",d"), (row.train_seconds, ".1f"), (row.score_microseconds_per_pair, ".1f")]


if __name__ == "__main__":
    main()
