"""The questions that the report leaves open, answered over seeds: the page docs/questions.md.

python benchmarks/questions.py --output docs/questions.md [--data-dir FOLDER_WITH_MNIST]
"""

from typing import Any

from study import arguments, by_group, mean_interval, publish, run_all, table

from siamese_mnist.runs.comparison import Row, compare
from siamese_mnist.runs.store import RunResult
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.machine import made_by

REPORT = "baseline"
SEEDS = 5
QUESTIONS: dict[str, dict[str, str]] = {
    "More residual blocks?": {
        "1 block": "baseline:backbone.blocks=1",
        "2 blocks (the report)": REPORT,
        "3 blocks": "baseline:backbone.blocks=3",
    },
    "Without the residual connection?": {
        "with it (the report)": REPORT,
        "without it": "baseline:backbone.residual=false",
    },
    "Enlarge the image?": {
        "28 x 28 (the report)": REPORT,
        "56 x 56, bilinear": "baseline:backbone.enlarge=2",
    },
    "Train the backbone in phase 2 too?": {
        "frozen (the report)": REPORT,
        "step size 1e-5": "baseline:backbone_lr=1e-05",
        "step size 1e-4": "baseline:backbone_lr=0.0001",
        "step size 1e-4, every second update": "baseline:backbone_lr=0.0001,backbone_every=2",
        "step size 1e-3": "baseline:backbone_lr=0.001",
    },
    "Another batch size?": {
        "16": "baseline:batch_size=16",
        "64 (the report)": REPORT,
        "256": "baseline:batch_size=256",
    },
}


def main() -> None:
    options = arguments(__doc__.partition("\n")[0], seeds=SEEDS)
    entries = list(dict.fromkeys([REPORT, *(each for answers in QUESTIONS.values() for each in answers.values())]))
    settings = [Settings.resolve(entry, seed=seed) for entry in entries for seed in range(options.seeds)]
    runs = run_all(settings, runs_dir=options.runs_dir, jobs=options.jobs)
    rows = dict(zip(entries, compare(runs)[1:], strict=True))
    phase_1 = dict(zip(entries, by_group(runs, options.seeds, lambda run: run.phase1.accuracy), strict=True))
    sections, shown = [], []
    for question, answers in QUESTIONS.items():
        lines = [_line(answer, entry, rows[entry], phase_1[entry]) for answer, entry in answers.items()]
        header = ["", "entry", "pair accuracy", "difference, simultaneous", "verdict", "parameters", "phase-1 accuracy"]
        sections.append(f"## {question}\n\n{table(header, lines)}")
        shown += [
            f"`{entry}` is {rows[entry]['verdict']}"
            for entry in answers.values()
            if rows[entry]["verdict"] in ("better", "worse")
        ]
    few = "" if options.seeds >= SEEDS else f"; {SEEDS} seeds are asked for, and could show more"
    told = (
        f"Shown with {options.seeds} seeds: {', '.join(shown)}. No other idea makes a difference that so few could show"
        if shown
        else f"None of these ideas makes a difference that {options.seeds} seeds could show"
    )
    page = f"""# The report's open questions

The report ends with ideas that it leaves open. Here each is tried on the baseline, everything else as in the report,
{options.seeds} seeds each on the same pairs. Brackets hold 95 % intervals over images and seeds. Differences are on the
same pairs, seed by seed. All {len(rows) - 1} comparisons of the page are one family: the intervals of the differences
are simultaneous, and a verdict takes a side if and only if its interval leaves out 0. An entry is what
[`siamese-mnist compare`](comparison.md) takes: `siamese-mnist compare baseline baseline:backbone.blocks=3 --seeds
{options.seeds}` gives a part of this page.

{made_by(f"python benchmarks/questions.py --seeds {options.seeds} --output docs/questions.md")}

{told}{few}.

{(chr(10) * 2).join(sections)}

## More pretraining images?

{_more_images(options)}
"""
    publish(page, options.output)


def _line(answer: str, entry: str, row: Row, phase_1: list[float]) -> list[str]:
    low, high = row["accuracy_interval"]
    cells = [answer, f"`{entry}`", f"{row['accuracy']:.4f} [{low:.4f}, {high:.4f}]"]
    if row["verdict"]:
        low, high = row["difference_interval"]
        cells += [f"{row['difference']:+.4f} [{low:+.4f}, {high:+.4f}]", row["verdict"]]
    else:
        cells += ["-", "-"]
    return [*cells, f"{row['parameters']:,}", f"{sum(phase_1) / len(phase_1):.3f}"]


def _more_images(options: Any) -> str:
    if options.data_dir is None:
        return (
            "6,000 against 60,000 pretraining images is answered where all of MNIST is at hand: name its folder with "
            "`--data-dir`. It was not when this page was made."
        )
    settings = [Settings.resolve(REPORT, dataset="mnist", seed=seed) for seed in range(options.seeds)]
    runs: list[RunResult] = run_all(settings, runs_dir=options.runs_dir, jobs=options.jobs, data_dir=options.data_dir)
    mean, low, high = mean_interval([run.test.accuracy for run in runs])
    return (
        f"With all 60,000 images in both phases: {mean:.4f} [{low:.4f}, {high:.4f}] on pairs of all 10,000 test images."
    )


if __name__ == "__main__":
    main()
