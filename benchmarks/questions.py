"""The questions that the report leaves open, answered over seeds: the page docs/questions.md.

python benchmarks/questions.py --output docs/questions.md [--data-dir FOLDER_WITH_MNIST]
"""

from typing import Any

from study import arguments, by_group, made_by, mean_interval, publish, run_all, table

from siamese_mnist.recipes import Settings

QUESTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "More residual blocks?": {
        "1 block": {"backbone_options": {"blocks": 1}},
        "2 blocks (the report)": {},
        "3 blocks": {"backbone_options": {"blocks": 3}},
    },
    "Without the residual connection?": {
        "with it (the report)": {},
        "without it": {"backbone_options": {"residual": False}},
    },
    "Enlarge the image?": {
        "28 x 28 (the report)": {},
        "56 x 56, bilinear": {"backbone_options": {"enlarge": 2}},
    },
    "Train the backbone in phase 2 too?": {
        "frozen (the report)": {},
        "backbone step 1e-5": {"backbone_learning_rate": 1e-5},
        "backbone step 1e-4": {"backbone_learning_rate": 1e-4},
        "backbone step 1e-3": {"backbone_learning_rate": 1e-3},
    },
    "Another batch size?": {
        "16": {"batch_size": 16},
        "64 (the report)": {},
        "256": {"batch_size": 256},
    },
}


def main() -> None:
    options = arguments(__doc__.partition("\n")[0], seeds=5)
    cases = {str(changes): changes for answers in QUESTIONS.values() for changes in answers.values()}
    settings = [
        Settings.resolve("baseline", seed=seed, **changes)
        for changes in cases.values()
        for seed in range(options.seeds)
    ]
    results = run_all(settings, runs_dir=options.runs_dir, jobs=options.jobs)
    groups = dict(zip(cases, by_group(results, options.seeds, lambda run: run), strict=True))
    reference = [run.test.accuracy for run in groups["{}"]]
    sections = []
    for question, answers in QUESTIONS.items():
        rows = []
        for answer, changes in answers.items():
            runs = groups[str(changes)]
            mean, low, high = mean_interval([run.test.accuracy for run in runs])
            change, change_low, change_high = mean_interval(
                [run.test.accuracy - base for run, base in zip(runs, reference, strict=True)]
            )
            rows.append(
                [
                    answer,
                    f"{mean:.4f} [{low:.4f}, {high:.4f}]",
                    "-" if not changes else f"{change:+.4f} [{change_low:+.4f}, {change_high:+.4f}]",
                    _verdict(change_low, change_high) if changes else "-",
                    f"{mean_interval([run.phase1.accuracy for run in runs])[0]:.3f}",
                ]
            )
        header = ["", "pair accuracy", "against the report's", "verdict", "phase-1 accuracy"]
        sections.append(f"## {question}\n\n{table(header, rows)}")
    page = f"""# The report's open questions

The report ends with ideas that it leaves open. Here each is tried on the baseline, everything else as in the report,
{options.seeds} seeds each on the same pairs. Brackets hold 95 % intervals over seeds, differences are seed by seed.

{made_by("python benchmarks/questions.py --output docs/questions.md")}

{(chr(10) * 2).join(sections)}

## More pretraining images?

{_more_images(options)}
"""
    publish(page, options.output)


def _more_images(options: Any) -> str:
    if options.data_dir is None:
        return (
            "6,000 against 60,000 pretraining images is answered where all of MNIST is at hand: name its folder with "
            "`--data-dir`. It was not when this page was made."
        )
    settings = [Settings.resolve("baseline", dataset="mnist", seed=seed) for seed in range(options.seeds)]
    runs = run_all(settings, runs_dir=options.runs_dir, jobs=options.jobs, data_dir=options.data_dir)
    mean, low, high = mean_interval([run.test.accuracy for run in runs])
    return (
        f"With all 60,000 images in both phases: {mean:.4f} [{low:.4f}, {high:.4f}] on pairs of all 10,000 test images."
    )


def _verdict(low: float, high: float) -> str:
    return "better" if low > 0 else "worse" if high < 0 else "no difference shown"


if __name__ == "__main__":
    main()
