"""How well stated probabilities hold on new images, for several ways to fit threshold and calibration.

python benchmarks/calibration.py --seeds 3 --output calibration.md

A thousand of the 6,000 training images play the new images; the built-in test set is not looked at. Of the other 5,000
one model trains on all, and five on four fifths each, with the fifth left out to fit on. What is trained is kept in
`--runs-dir` and not trained again.
"""

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from joblib import Memory, Parallel, delayed
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from study import publish, table

from siamese_mnist.data import LabeledImages, SplitDataset, hold_back, load_dataset
from siamese_mnist.data.pairs import draw_pairs
from siamese_mnist.data.streams import Purpose, stream
from siamese_mnist.evaluation import Decision, evaluate, fit_decision, fit_logistic
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.runs.experiment import learn
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.machine import made_by

FOLDS = 5
PAIRS = 20_000
ENTRIES = ("siamese:curve=false", "baseline:curve=false", "siamese:recipe=fast")

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]


class Trained(NamedTuple):
    """A model's decision, and its scores of pairs of images that it has not seen."""

    fitted: Decision  # on its training pairs
    own_threshold: float | None  # of a head that decides by itself
    left_out: tuple[Scores, Truth] | None  # pairs of the fold that it did not train on
    new: tuple[Scores, Truth]  # pairs of the new images

    def fit(self, scores: Scores, same: Truth) -> Decision:
        """Threshold and slope on unseen pairs, as a run fits them on validation images."""
        if self.own_threshold is None:
            return fit_logistic(scores, same)
        return fit_decision(scores, same, threshold=self.own_threshold)


def main() -> None:
    options = _arguments()
    cached = Memory(options.runs_dir / "calibration", verbose=0).cache(trained)
    sections = []
    for entry in options.entries or ENTRIES:
        jobs = [delayed(cached)(entry, seed, fold) for seed in range(options.seeds) for fold in (None, *range(FOLDS))]
        found = Parallel(options.jobs)(jobs)
        by_seed = [found[start : start + FOLDS + 1] for start in range(0, len(found), FOLDS + 1)]
        sections.append(f"### `{entry}`\n\n{_table(by_seed)}")
    command = f"python benchmarks/calibration.py --seeds {options.seeds}"
    publish(f"{made_by(command)}\n\n" + "\n\n".join(sections) + "\n", options.output)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("entries", nargs="*", help="what to train, as `siamese-mnist compare` takes it")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every entry: 0, 1, ...")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes side by side, one thread each")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed otherwise")
    return parser.parse_args()


def trained(entry: str, seed: int, fold: int | None) -> Trained:
    """Trains an entry on the images that are not new, or on those outside one of their folds."""
    source = load_dataset("mnist-tenth")
    whole = SplitDataset(
        train=source.train,
        validation=None,
        test=source.test,
        classes=source.classes,
        test_classes=source.classes,
        preprocessing=source.preprocessing,
    )
    divided = hold_back(whole, 1 / 6)
    assert divided.validation is not None
    new, rest = divided.validation, divided.train
    outside = None
    if fold is not None:
        left_out = torch.arange(len(rest.labels)) % FOLDS == fold  # rows are in no order of classes
        outside, rest = rest.select(left_out), rest.select(~left_out)
    learned = learn(Settings.resolve(entry, seed=seed), replace(divided, train=rest, validation=None, test=new))
    return Trained(
        fitted=Decision(learned.decision.threshold, learned.decision.slope),
        own_threshold=learned.model.threshold,
        left_out=None if outside is None else _scored(learned.model, outside),
        new=_scored(learned.model, new),
    )


def _scored(model: Design, images: LabeledImages) -> tuple[Scores, Truth]:
    """Scores of balanced pairs of different images."""
    generator = stream(0, Purpose.FITTING_PAIRS)
    pairs = draw_pairs(images.labels, PAIRS, generator=generator, self_pairs=False, mirrored=False)
    scores = model.score_pairs(to_unit(images.images), pairs.left, pairs.right)
    return scores.double().numpy(), pairs.same.numpy()


Way = Callable[[Sequence[Trained]], Decision]
"""From the model of all images and those of the folds to the decision of the former."""


def _scaled(all_images: Trained, folds: Sequence[Trained]) -> Decision:
    """What training pairs gave, moved as unseen pairs moved it in the folds."""
    unseen = [each.fit(*each.left_out) for each in folds]
    slope = math.exp(fmean(math.log(own.slope / each.fitted.slope) for own, each in zip(unseen, folds, strict=True)))
    shift = fmean(own.threshold - each.fitted.threshold for own, each in zip(unseen, folds, strict=True))
    return Decision(all_images.fitted.threshold + shift, all_images.fitted.slope * slope)


def _pooled(all_images: Trained, folds: Sequence[Trained]) -> Decision:
    """One curve through the unseen pairs of all folds."""
    scores, same = (np.concatenate(each) for each in zip(*(each.left_out for each in folds), strict=True))
    return all_images.fit(scores, same)


WAYS: dict[str, Way] = {
    "training pairs": lambda models: models[0].fitted,
    "left-out pairs of five folds": lambda models: _pooled(models[0], models[1:]),
    "left-out pairs of one fold": lambda models: _pooled(models[0], models[1:2]),
    "training pairs, moved as in five folds": lambda models: _scaled(models[0], models[1:]),
    "training pairs, moved as in one fold": lambda models: _scaled(models[0], models[1:2]),
    "training pairs, slope moved as in one fold": lambda models: replace(
        models[0].fitted, slope=_scaled(models[0], models[1:2]).slope
    ),
    "the new pairs (not possible)": lambda models: models[0].fit(*models[0].new),
}


def _table(by_seed: Sequence[Sequence[Trained]]) -> str:
    header = ["fitted on", "accuracy", "log loss", "calibration error", "Cllr", "minCllr"]
    rows = [_line(name, [(way(models), models[0].new) for models in by_seed]) for name, way in WAYS.items()]
    kept = [(each.fit(*each.left_out), each.new) for models in by_seed for each in models[1:]]
    return table(header, [*rows, _line("kept images: a fifth is not trained on", kept)])


def _line(name: str, judged: Sequence[tuple[Decision, tuple[Scores, Truth]]]) -> list[str]:
    figures = [evaluate(*pairs, decision) for decision, pairs in judged]
    shown = [[each[key] for each in figures] for key in ("accuracy", "log_loss", "expected_calibration_error")]
    shown.append([each["log_loss"] / math.log(2) for each in figures])  # of balanced pairs
    shown.append([_least_cost(*pairs) for _, pairs in judged])
    return [name, *(f"{fmean(values):.4f}" for values in shown)]


def _least_cost(scores: Scores, same: Truth) -> float:
    """Cllr of the best monotone calibration (Brummer and du Preez 2006), in bits."""
    fitted = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, same.astype(float))
    return float(-np.mean(np.log2(np.where(same, fitted, 1 - fitted))))


if __name__ == "__main__":
    main()
