"""Every offered loss, tuned alike and compared with verdicts: the page docs/losses.md.

    python benchmarks/losses.py --output docs/losses.md

Every loss gets the same number of trials on validation images, then its chosen settings three seeds on the test pairs:
on labels, and on explicit pairs where it takes them. Stopped, it goes on where it was.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from study import arguments, publish, table

import siamese_mnist as sm
from siamese_mnist.parts.losses import LOSSES, NOT_OFFERED
from siamese_mnist.parts.losses.library import LibraryLossFactory
from siamese_mnist.studies.outcome import StudyRow
from siamese_mnist.system.machine import made_by

REFERENCE = "contrastive"
WELL = 0.95

# Why a loss stays below `WELL` on labels; the figures are in the table.
EXPLANATIONS = {
    "intra-pair-variance": (
        "it makes similarities equal within the genuine and within the impostor pairs, but nothing drives the two "
        "apart; its authors add it to another loss."
    ),
    "n-pairs": (
        "it takes one pair of every class of a batch, 20 of its 120 images, so it sees a sixth of the images; with six "
        "passes it reaches 0.991 (`siamese-mnist compare siamese:loss=n-pairs siamese:loss=n-pairs,epochs=6 --recipe "
        "short --seeds 3`)."
    ),
    "smooth-ap": "its sigmoids are steep, and ranks that are far from right give next to no gradient.",
}


def main() -> None:
    options = arguments(__doc__.partition("\n")[0], seeds=3, trials=6, train_pairs=6000)
    others = [name for name in LOSSES if name != REFERENCE]
    on_labels = _study([REFERENCE, *others], "labels", options)
    publish(_page(on_labels, None, options), options.output)
    on_pairs = _study([REFERENCE, *filter(_takes_pairs, others)], "pairs", options)
    publish(_page(on_labels, on_pairs, options), options.output)


def _page(on_labels: sm.StudyResult, on_pairs: sm.StudyResult | None, options: Any) -> str:
    accuracy = {_loss(row): _test_accuracy(row) for row in on_labels.rows}
    reached = sum(value >= WELL for value in accuracy.values())
    explained = [f"- `{name}`: {why}" for name, why in EXPLANATIONS.items() if accuracy[name] < WELL]
    sizes = f"--trials {options.trials} --train-pairs {options.train_pairs} --seeds {options.seeds}"
    return f"""# Losses compared

All {len(LOSSES)} losses under the recipe `short` with {options.train_pairs:,} training pairs, tuned alike:
{options.trials} trials each over the step size and what the loss declares, the first of them with its defaults, judged
on a quarter of the training images. What was best there is trained on all of them, {options.seeds} seeds, and measured
once on the common test pairs. Brackets hold 95 % intervals over images and seeds. Differences are against
`{REFERENCE}`, tuned as well; their intervals hold at once, and a verdict takes a side if and only if its interval
leaves out 0 ([what verdicts can be trusted with](verdicts.md)). [Studies](studies.md) tells how it is done.

{made_by(f"python benchmarks/losses.py {sizes} --output docs/losses.md")}

On labels, {reached} of {len(LOSSES)} losses reach {WELL}. {_shown(on_labels)}

## On labels

{_table(on_labels)}

{_failed(on_labels)}{on_labels.opened()}

{_pairs_section(on_pairs) if on_pairs else ""}
## What falls short, and why

{chr(10).join(explained) or f"Nothing: all losses reach {WELL} on labels."}

## Not offered

{chr(10).join(f"- `{name}`: {reason}." for name, reason in NOT_OFFERED.items())}
"""


def _pairs_section(result: sm.StudyResult) -> str:
    return f"""## On explicit pairs

The losses that take drawn pairs, trained on those instead of labels. Losses that contrast the pairs of one image get
few pairs an image here, so a batch holds few images.

{_table(result)}

{_failed(result)}{result.opened()}
"""


def _study(losses: Sequence[str], supervision: str, options: Any) -> sm.StudyResult:
    return sm.study(
        [f"siamese:loss={name}" for name in losses],
        recipe="short",
        supervision=supervision,
        train_pairs=options.train_pairs,
        trials=options.trials,
        seeds=options.seeds,
        study_dir=Path("studies") / f"losses-on-{supervision}",
        runs_dir=options.runs_dir,
        data_dir=options.data_dir,
        jobs=options.jobs,
        progress=lambda stage, done, total: print(f"{supervision}: {stage} {done}/{total}", file=sys.stderr),
    )


def _takes_pairs(name: str) -> bool:
    factory = LOSSES[name]
    return isinstance(factory, LibraryLossFactory) and "pairs" in factory.supervisions


def _loss(row: StudyRow) -> str:
    return row.entry.removeprefix("siamese:loss=")


def _test_accuracy(row: StudyRow) -> float:
    return 0.0 if row.row is None else row.row.figure("accuracy").mean or 0.0


def _shown(result: sm.StudyResult) -> str:
    better, worse = ([row for row in result.rows if row.verdict == side] for side in ("better", "worse"))
    return (
        f"Against `{REFERENCE}` {len(better)} are shown to be better and {len(worse)} worse; of the other "
        f"{len(result.rows) - 1 - len(better) - len(worse)} no difference is shown."
    )


def _failed(result: sm.StudyResult) -> str:
    failed = sum(row.failed for row in result.rows)
    total = sum(len(row.trials) for row in result.rows)
    return f"Of {total} trials {failed} failed. " if failed else ""


def _table(result: sm.StudyResult) -> str:
    header = ["loss", "accuracy", f"against `{REFERENCE}`", "verdict", "validation", "chosen", "what it is"]
    return table(header, [_line(row) for row in sorted(result.rows, key=_test_accuracy, reverse=True)])


def _line(row: StudyRow) -> list[str]:
    name = _loss(row)
    summary = LOSSES.part(name).summary
    if row.row is None or row.best is None:
        return [f"`{name}`", "-", "-", row.verdict or "-", "-", "-", summary]
    accuracy, first = row.row.figure("accuracy"), row.row.versus_first
    interval = "" if accuracy.interval is None else " [{:.4f}, {:.4f}]".format(*accuracy.interval)
    difference = "-" if first is None else f"{first.mean:+.4f} [{first.interval[0]:+.4f}, {first.interval[1]:+.4f}]"
    chosen = ", ".join(f"{setting.removeprefix('loss.')} {value:g}" for setting, value in row.best.values.items())
    return [
        f"`{name}`",
        "-" if accuracy.mean is None else f"{accuracy.mean:.4f}{interval}",
        difference,
        row.verdict or "-",
        f"{row.best.accuracy:.4f}",
        chosen,
        summary,
    ]


if __name__ == "__main__":
    main()
