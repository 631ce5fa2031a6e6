"""Whether the places that explanations mark made the answers: deletion against random deletion over test pairs.

Command:

    siamese-mnist run siamese --runs-dir runs
    python benchmarks/explanations.py siamese --runs-dir runs

Balanced pairs of different test images of the built-in MNIST are explained; prints, by method and answer, how far the
score for the answer falls as marked and as random places are blanked (`siamese_mnist.inference.explanation`), and the
ratio. `--json` prints one JSON object a line.
"""

import argparse
import json
import sys

import numpy as np
import torch

from siamese_mnist.data import load_dataset
from siamese_mnist.data.pairs import draw_pairs
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.saved import locate
from siamese_mnist.inference.verifier import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs-dir", default="runs")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    verifier, test = load(locate(options.run, options.runs_dir)), load_dataset("mnist-tenth").test
    generator = torch.Generator().manual_seed(0)
    pairs = draw_pairs(test.labels, options.pairs, generator=generator, self_pairs=False, mirrored=False)
    explained = [verifier.explain(test.images[a], test.images[b]) for a, b in zip(pairs.left, pairs.right, strict=True)]
    for method in explained[0].deletion:
        for answer in ("all", "same", "different"):
            chosen = [
                each.deletion[method] for each in explained if answer in ("all", ("different", "same")[each.same])
            ]
            if not chosen:
                continue
            falls = {name: float(np.mean([getattr(each, name) for each in chosen])) for name in FALLS}
            if options.json:
                print(json.dumps({"method": method, "answer": answer, "pairs": len(chosen), **falls}))
                continue
            marked, random, ink = falls.values()
            print(
                f"{method:10} {answer:10} {len(chosen):4} pairs: marked {marked:.3f}, random {random:.3f} "
                f"({marked / random:.1f} times), random inked {ink:.3f} ({marked / ink:.1f} times)"
            )


FALLS = ("fall", "random_fall", "random_ink_fall")

if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(f"explanations.py: {error}")
