"""Every offered loss with its default arguments under one short recipe: the page docs/losses.md.

    python benchmarks/losses.py --output docs/losses.md

Trains every loss on labels, and on explicit pairs where it takes them; three seeds each unless `--seeds` tells another
number.

"""

from study import arguments, by_group, publish, run_all, table

from siamese_mnist.parts.losses import LOSSES, NOT_OFFERED
from siamese_mnist.parts.losses.library import LibraryLossFactory
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.machine import made_by

# Why a loss stays below 0.95 here; the figures are in the table.
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
    options = arguments(__doc__.partition("\n")[0], seeds=3)
    cases = [(name, supervision) for name in LOSSES for supervision in _supervisions(name)]
    settings = [
        Settings.resolve("siamese", recipe="short", loss=name, supervision=supervision, seed=seed)
        for name, supervision in cases
        for seed in range(options.seeds)
    ]
    results = run_all(settings, runs_dir=options.runs_dir, jobs=options.jobs)
    groups = by_group(results, options.seeds, lambda run: run)
    found = dict(zip(cases, groups, strict=True))
    rows = []
    for name in sorted(LOSSES, key=lambda name: -_mean(found[name, "labels"])):
        labels, pairs = found[name, "labels"], found.get((name, "pairs"))
        rows.append(
            [
                f"`{name}`",
                _figures(labels),
                _figures(pairs) if pairs else "-",
                f"{sum(run.phase2.train_seconds for run in labels) / len(labels):.1f}",
                LOSSES.part(name).summary,
            ]
        )
    reached = sum(_mean(found[name, "labels"]) >= 0.95 for name in LOSSES)
    explained = [f"- `{name}`: {EXPLANATIONS[name]}" for name in EXPLANATIONS if _mean(found[name, "labels"]) < 0.95]
    page = f"""# Losses compared

Every loss with its default arguments under the recipe `short`, on the common test pairs. The figure is the pair
accuracy, mean over seeds (least to greatest), seeds: {options.seeds}. On labels, {reached} of {len(LOSSES)} losses
reach 0.95.

{made_by(f"python benchmarks/losses.py --seeds {options.seeds} --output docs/losses.md")}

{table(["loss", "on labels", "on explicit pairs", "training s", "what it is"], rows)}

Training seconds are of one thread, with another run beside it. Losses that contrast the pairs of one image get about
four pairs an image here, 24,000 of 6,000 images, so a batch holds few images.

## What falls short, and why

{chr(10).join(explained) or "Nothing: all losses reach 0.95."}

## Not offered

{chr(10).join(f"- `{name}`: {reason}." for name, reason in NOT_OFFERED.items())}
"""
    publish(page, options.output)


def _supervisions(name: str) -> tuple[str, ...]:
    factory = LOSSES[name]
    return factory.supervisions if isinstance(factory, LibraryLossFactory) else ("labels",)


def _mean(runs: list) -> float:
    return sum(run.test.accuracy for run in runs) / len(runs)


def _figures(runs: list) -> str:
    accuracies = sorted(run.test.accuracy for run in runs)
    return f"{_mean(runs):.4f} ({accuracies[0]:.4f} to {accuracies[-1]:.4f})"


if __name__ == "__main__":
    main()
