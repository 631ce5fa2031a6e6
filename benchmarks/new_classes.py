"""Designs, losses and the recipe `new-classes` side by side on new classes: the page docs/new-classes-compared.md.

python benchmarks/new_classes.py --output docs/new-classes-compared.md

Five folds of `glyphs`, split classes+groups; what is on disk is not trained again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from study import judged_cells, publish, table

import siamese_mnist as sm
from siamese_mnist.runs.comparison import Row
from siamese_mnist.runs.reading import read_run
from siamese_mnist.system.machine import made_by

DESIGNS = ["siamese", "baseline:backbone=convnet", "pseudo-siamese", "central-surround", "cross-attention"]
LOSSES = [
    "normalized-softmax",
    "cosface",
    "supcon",
    "arcface",
    "proxy-anchor",
    "multi-similarity",
    "circle",
    "triplet",
    "contrastive",
    "nt-xent",
]
DESIGN_PAIRS, LOSS_PAIRS = 16_000, 12_000
_GLYPHS: dict[str, Any] = {"dataset": "glyphs", "split": "classes+groups", "extra_classes": "rotated"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed otherwise")
    options = parser.parse_args()
    how: dict[str, Any] = {
        "folds": options.folds,
        "seeds": options.seeds,
        "jobs": options.jobs,
        "runs_dir": options.runs_dir,
    }
    recipe = sm.compare(["siamese"], recipe="new-classes", **how, **_GLYPHS)
    designs = sm.compare(DESIGNS, recipe="alike", train_pairs=DESIGN_PAIRS, **how, **_GLYPHS)
    entries = [f"siamese:loss={name}" for name in LOSSES]
    losses = sm.compare(entries, recipe="short", train_pairs=LOSS_PAIRS, **how, **_GLYPHS)
    command = f"python benchmarks/new_classes.py --folds {options.folds} --seeds {options.seeds}"
    page = f"""# New classes compared

Letters and digits of classes that were never seen, by writers that were never seen: `--dataset glyphs --split
classes+groups`, means over {options.folds} folds of {options.seeds} seed each. Accuracy is at the threshold of
held-out training classes. *One-shot* names an image from one example of each of 20 classes, by another writer; chance
is 0.05. [New classes](new-classes.md) tells how it is measured.

{made_by(f"{command} --output docs/new-classes-compared.md")}

## The recipe

{_table(recipe)}

## Designs

Recipe `alike` on {DESIGN_PAIRS:,} pairs: all train on the same pairs, of turned classes, too (`--extra-classes
rotated`).

{_table(designs)}

## Losses

Recipe `short`, with turned classes, on {2 * LOSS_PAIRS:,} images. All have the options that they have by default;
`siamese` alone has the recipe's, `supcon`. Seconds are of one thread beside other programs.

{_table(losses)}
"""
    publish(page, options.output)


def _table(rows: Sequence[Row]) -> str:
    header = ["entry", "accuracy", "difference", "verdict", "EER", "one-shot", "same writer", "training s"]
    return table(header, [_line(row) for row in rows if not row.published])


def _line(row: Row) -> list[str]:
    return [
        *judged_cells(row),
        *(_one_shot(row, writer) for writer in ("other", "same")),
        "-" if row.train_seconds is None else f"{row.train_seconds:.0f}",
    ]


def _one_shot(row: Row, writer: str) -> str:
    runs = [read_run(folder) for folder in row.run_dirs]
    found = [each.accuracy for run in runs for each in run.one_shot if each.writer == writer]
    return f"{fmean(found):.3f}" if found else "-"


if __name__ == "__main__":
    main()
