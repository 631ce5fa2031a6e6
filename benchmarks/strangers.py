"""Unknown characters against galleries of the built-in glyphs: refused at the stated rate?

    python benchmarks/strangers.py RUN [--names 30] [--galleries 200] [--max-fpir 0.1] [--one-hand]
    python benchmarks/strangers.py --simulated [--names 30] [--galleries 200] [--max-fpir 0.1]

Each gallery has some of the 45 characters, one example each by any test writer, or all by one with `--one-hand`; other
images of test writers are identified, and those of characters that are not enrolled are strangers. RUN should be of
`--dataset glyphs --split classes+groups`.

The stated interval is of the rate among all strangers there could be. `--simulated` draws 4,000 of them for each
gallery, as random points, and counts how often the interval holds their rate. Of `glyphs` but a few characters are
left, whose share varies more: it is also held against the interval of so few (beta-binomial).
"""

import argparse
import json

import numpy as np
import torch
from scipy.stats import betabinom

import siamese_mnist as sm
from siamese_mnist.evaluation.identification import expected_false_positives, guarded_threshold
from siamese_mnist.runs.store import read_run

CHARACTERS = 45  # of glyphs
DIMENSIONS = 8  # of simulated images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", nargs="?")
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--names", type=int, default=30)
    parser.add_argument("--galleries", type=int, default=200)
    parser.add_argument("--max-fpir", type=float, default=0.1)
    parser.add_argument("--one-hand", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    if options.simulated:
        rows = [_simulated(rng, options) for _ in range(options.galleries)]
    elif options.run:
        rows = _of_glyphs(rng, options)
    else:
        parser.error("name a run, or --simulated")
    stated, low, high, measured, detected, first = np.array(rows).T
    few = _interval_of_few(stated, options.names)
    figures = {
        "galleries": options.galleries,
        "names": options.names,
        "stated_rate": round(float(stated.mean()), 4),
        "measured_rate": round(float(measured.mean()), 4),
        "measured_within_interval": _share_within(measured, low, high),
    }
    if not options.simulated:
        figures |= {
            f"within_that_of_{CHARACTERS - options.names}_strangers": _share_within(measured, *few),
            "detection_and_identification_rate": round(float(detected.mean()), 4),
            "rank_1": round(float(first.mean()), 4),
        }
    print(json.dumps(figures) if options.json else "\n".join(f"{name:<36}{value}" for name, value in figures.items()))


def _share_within(values, low, high) -> float:
    return round(float(((low <= values) & (values <= high)).mean()), 3)


def _interval_of_few(stated, names: int):
    """95 % intervals of the share among the characters that are left, from the beta distributions of the rate."""
    alarmed = stated * (names + 1) - 2
    left = CHARACTERS - names
    shape = alarmed / 2 + 1, np.maximum((names + 1 - alarmed) / 2 - 1, 1e-9)
    return [betabinom.ppf(quantile, left, *shape) / left for quantile in (0.025, 0.975)]


def _simulated(rng, options) -> tuple[float, ...]:
    """Classes are points about the origin, images are points about their class, and scores are cosines."""

    def images(count):
        points = rng.normal(size=(count, DIMENSIONS)) + 0.5 * rng.normal(size=(count, DIMENSIONS))
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    kept, strangers, owners = images(options.names), images(4000), np.arange(options.names)
    scores = kept @ kept.T
    scores[owners, owners] = -np.inf
    alarms = scores.max(axis=1)
    threshold = guarded_threshold(alarms, owners, options.max_fpir, 2)
    measured = ((strangers @ kept.T).max(axis=1) >= threshold).mean()
    return (*expected_false_positives(alarms, owners, threshold, 2), measured, np.nan, np.nan)


def _of_glyphs(rng, options) -> list[tuple[float, ...]]:
    verifier, fold = sm.load(options.run), read_run(options.run).split.fold
    dataset = sm.load_dataset("glyphs")
    parts = (dataset.train, dataset.test)
    images, labels, groups = (torch.cat([part[column] for part in parts]) for column in range(3))
    writers = sm.split_dataset(dataset, "classes+groups", fold).test.groups.unique()
    return [_tried(verifier, images, labels, groups, writers, rng, options) for _ in range(options.galleries)]


def _tried(verifier, images, labels, groups, writers, rng, options) -> tuple[float, ...]:
    known = rng.choice(int(labels.max()) + 1, options.names, replace=False)
    hands = rng.choice(writers.numpy(), options.names)
    if options.one_hand:
        hands[:] = hands[0]
    gallery, others = sm.Gallery(verifier), torch.isin(groups, writers)
    for label, hand in zip(known.tolist(), hands.tolist(), strict=True):
        of_both = (labels == label) & (groups == hand)
        row = int(rng.choice(of_both.nonzero().squeeze(1).numpy()))
        gallery.enrol(str(label), images[row : row + 1])
        others &= ~of_both  # the same letter form, distorted
    chosen = torch.from_numpy(rng.choice(others.nonzero().squeeze(1).numpy(), 400, replace=False))
    expected = gallery.expect(options.max_fpir)
    found = gallery.identify(images[chosen], nearest=1, expected=expected)
    truth = labels[chosen].numpy()
    mated = np.isin(truth, known)
    named = np.array([each.name is not None for each in found])
    right = np.array([each.nearest[0].name for each in found]) == truth.astype(str)
    return (*expected[1:4], named[~mated].mean(), (named & right)[mated].mean(), right[mated].mean())


if __name__ == "__main__":
    main()
