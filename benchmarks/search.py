"""Search of a large gallery: seconds and memory against one matrix product of the same size, and an index's recall.

    python benchmarks/search.py [--queries 1000] [--examples 100000] [--dimensions 64] [--rounds 5] [--json]

Embeddings are random points about as many centres as there are names, scored by the distance head of `siamese`.
The exact search and the plain product take turns, so that other work on the machine meets both.
"""

import argparse
import json
import resource
import time

import torch

from siamese_mnist.evaluation import Decision
from siamese_mnist.inference.search import Examples, Index, exact
from siamese_mnist.inference.verifier import Verifier
from siamese_mnist.parts.designs import build_model
from siamese_mnist.system.machine import machine

_NEAREST = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    verifier = _verifier(options.dimensions)
    names = max(1, options.examples // 10)
    centres = torch.randn(names, options.dimensions)
    owners = torch.arange(options.examples) % names
    kept = centres[owners] + 0.5 * torch.randn(options.examples, options.dimensions)
    queries = centres[torch.randint(names, (options.queries,))] + 0.5 * torch.randn(options.queries, options.dimensions)
    examples = Examples(kept, owners, torch.zeros(options.examples))

    before = _peak()
    exact(verifier, queries, examples, _NEAREST)
    searched = _peak()
    found = {"search": [], "product": []}
    for _ in range(options.rounds):
        found["search"].append(_seconds(lambda: exact(verifier, queries, examples, _NEAREST)))
        found["product"].append(_seconds(lambda: queries @ kept.T))
    figures = {
        "machine": machine(),
        "threads": torch.get_num_threads(),
        **{f"{name}_seconds": round(min(times), 3) for name, times in found.items()},
        "ratio": round(min(found["search"]) / min(found["product"]), 2),
        "search_extra_mib": (searched - before) >> 20,
        "product_mib": 4 * options.queries * options.examples >> 20,
        **_index(verifier, queries, examples),
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{name:<22}{value}" for name, value in figures.items()))


def _verifier(dimensions: int) -> Verifier:
    options = {"backbone_options": {}, "head_options": {"embedding_dim": dimensions}, "loss_options": {}}
    parts = {"design": "siamese", "backbone": "report", "head": "distance", "loss": "supcon", "miner": None}
    model = build_model(**parts, **options, miner_options={}, image_size=(28, 28), classes=10)
    return Verifier(model, Decision(threshold=0.5, slope=10.0), image_size=(28, 28))


def _index(verifier: Verifier, queries: torch.Tensor, examples: Examples) -> dict[str, float]:
    start = time.perf_counter()
    index = Index(verifier, examples)
    built = time.perf_counter()
    rows = index.search(queries, _NEAREST).rows[:, 0]
    ended = time.perf_counter()
    recall = float((rows == exact(verifier, queries, examples, _NEAREST).rows[:, 0]).float().mean())
    return {
        "index_build_seconds": round(built - start, 3),
        "index_search_seconds": round(ended - built, 3),
        "index_recall_at_1": round(recall, 4),
    }


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
