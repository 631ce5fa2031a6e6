"""The recipes `fast` and `strong` as the outcome of a study: the space that they lie in, searched on validation images.

    python benchmarks/recipes.py --trials 40

The first trial of each is the recipe as it stands; the table says how many of the others validate better.
"""

import sys
from pathlib import Path

from study import arguments, publish, table

import siamese_mnist as sm
from siamese_mnist.system.machine import made_by

_STRENGTHS = {"augment.rotate": "0..20", "augment.scale": "0..0.3", "augment.shear": "0..0.3", "augment.shift": "0..3"}
SPACES = {
    "fast": {"learning_rate": "1e-3..2e-2", "augmentation_fade": "0..0.6", **_STRENGTHS},
    "strong": {
        **{"learning_rate": "1e-3..2e-2", "augmentation_fade": "0..0.6", **_STRENGTHS},
        **{"augment.elastic": "0..1.5", "augment.stroke": "0..1", "augment.blur": "0..1"},
    },
}


def main() -> None:
    options = arguments(__doc__.partition("\n")[0], seeds=3, trials=40, train_pairs=0)
    shorter = {"train_pairs": options.train_pairs} if options.train_pairs else {}
    lines = []
    for recipe, space in SPACES.items():
        result = sm.study(
            ["siamese"],
            recipe=recipe,
            space=space,
            trials=options.trials,
            seeds=options.seeds,
            study_dir=Path("studies") / f"recipe-{recipe}{options.train_pairs or ''}",
            runs_dir=options.runs_dir,
            jobs=options.jobs,
            progress=lambda stage, done, total, recipe=recipe: print(
                f"{recipe}: {stage} {done}/{total}", file=sys.stderr
            ),
            **shorter,
        )
        (row,) = result.rows
        as_it_stands = row.trials[0].accuracy
        better = sum(each.accuracy is not None and each.accuracy > (as_it_stands or 0) for each in row.trials[1:])
        best = "-" if row.best is None else f"{row.best.accuracy:.4f}"
        chosen = f"`{row.chosen}`" if row.chosen else "-"
        lines.append([f"`{recipe}`", f"{as_it_stands or 0:.4f}", best, f"{better} of {len(row.trials) - 1}", chosen])
    header = ["recipe", "validation accuracy as it stands", "best trial", "trials that validate better", "chosen"]
    command = f"python benchmarks/recipes.py --trials {options.trials} --train-pairs {options.train_pairs}"
    publish(f"{table(header, lines)}\n\n{made_by(command)}\n", options.output)


if __name__ == "__main__":
    main()
