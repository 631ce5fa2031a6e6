"""Unknown characters against galleries of the built-in glyphs: refused at the stated rate?

    python benchmarks/strangers.py RUN [--names 30] [--galleries 200] [--max-fpir 0.1] [--one-hand]

Each gallery has some of the 45 characters, one example each by any test writer, or all by one with `--one-hand`; other
images of test writers are identified, and those of characters that are not enrolled are strangers. RUN should be of
`--dataset glyphs --split classes+groups`.
"""

import argparse
import json

import numpy as np
import torch

import siamese_mnist as sm
from siamese_mnist.runs.store import read_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run")
    parser.add_argument("--names", type=int, default=30)
    parser.add_argument("--galleries", type=int, default=200)
    parser.add_argument("--max-fpir", type=float, default=0.1)
    parser.add_argument("--one-hand", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    verifier, fold = sm.load(options.run), read_run(options.run).split.fold
    dataset = sm.load_dataset("glyphs")
    parts = (dataset.train, dataset.test)
    images, labels, groups = (torch.cat([part[column] for part in parts]) for column in range(3))
    writers = sm.split_dataset(dataset, "classes+groups", fold).test.groups.unique()
    rng = np.random.default_rng(0)
    rows = [_tried(verifier, images, labels, groups, writers, rng, options) for _ in range(options.galleries)]
    stated, low, high, measured, detected, first = np.array(rows).T
    figures = {
        "galleries": options.galleries,
        "names": options.names,
        "stated_rate": round(float(stated.mean()), 4),
        "measured_rate": round(float(measured.mean()), 4),
        "measured_within_interval": round(float(((low <= measured) & (measured <= high)).mean()), 3),
        "detection_and_identification_rate": round(float(detected.mean()), 4),
        "rank_1": round(float(first.mean()), 4),
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{name:<36}{value}" for name, value in figures.items()))


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
