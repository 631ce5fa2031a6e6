"""Time and memory of one step at one size, as one process: what `benchmarks/speed.py` draws its curves of.

    python benchmarks/growth.py pairs 1000000
    python benchmarks/growth.py gallery 100000 --run runs/siamese-fast-s0-...

Prints one JSON object: axis, size, seconds of the step alone, and peak memory of the process.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import siamese_mnist as sm
from siamese_mnist.runs.provenance import peak_rss_bytes

SCORED_IMAGES = 6000
QUERIES = 100
TRAINED = "images", "all-pairs", "gallery", "stacked-pairs", "runs"  # axes that need a trained run


def digits(count: int) -> torch.Tensor:
    """Images (count, 1, 28, 28) uint8: the built-in ones over and over, each time a little brighter or darker."""
    images = sm.load_dataset("mnist-tenth").train.images
    chosen = images[torch.arange(count) % len(images)]
    for start in range(0, count, len(images)):
        part = chosen[start : start + len(images)]
        part.copy_((part * (1 - 0.001 * (start // len(images) % 200))).byte())
    return chosen


def images(count: int, run: Path) -> Callable[[], Any]:
    """Embeds so many images."""
    verifier, shown = sm.load(run), digits(count).numpy()
    return lambda: verifier.embed(shown)


def all_pairs(count: int, run: Path) -> Callable[[], Any]:
    """Scores every one of so many images against every other."""
    verifier, shown = sm.load(run), digits(count).numpy()
    return lambda: verifier.score_matrix(shown, shown)


def pairs(count: int, _run: Path) -> Callable[[], Any]:
    """Draws so many pairs of 60,000 images."""
    labels = torch.arange(60_000) % 10
    return lambda: sm.draw_pairs(labels, count, generator=torch.Generator().manual_seed(0))


def stacked_pairs(count: int, run: Path) -> Callable[[], Any]:
    """Scores so many pairs of 6,000 images that are seen as two channels of one."""
    verifier, shown = sm.load(run), digits(SCORED_IMAGES).numpy()
    left, right = torch.randint(SCORED_IMAGES, (2, count), generator=torch.Generator().manual_seed(0)).numpy()
    return lambda: verifier.score_rows(shown, left, right)


def classes(count: int, _run: Path) -> Callable[[], Any]:
    """One pass of `label_loss` and all pairs of 2,000 embeddings, of a head that tells so many classes apart."""
    torch.manual_seed(0)
    head = sm.HEADS.make("agreement", {}, feature_dim=128, classes=count, loss=None)
    embeddings = torch.randn(2000, 64)
    labels = torch.arange(2000) % count

    def work() -> None:
        head.label_loss(embeddings[:256], labels[:256]).backward()
        with torch.no_grad():
            head.score_matrix(embeddings, embeddings)

    return work


def gallery(count: int, run: Path) -> Callable[[], Any]:
    """Finds the three nearest of so many examples for 100 images."""
    verifier = sm.load(run)
    kept = verifier.prepare(digits(min(count, SCORED_IMAGES)).numpy())
    kept = kept[torch.arange(count) % len(kept)]
    kept += 0.01 * torch.randn(kept.shape, generator=torch.Generator().manual_seed(0))
    enrolled = sm.Gallery(verifier)
    enrolled.add(kept, [(f"name {row % 1000}", "") for row in range(count)])
    queries = digits(QUERIES).numpy()
    return lambda: enrolled.identify(queries)


def runs(count: int, run: Path) -> Callable[[], Any]:
    """Reads a folder of so many runs into a table."""
    folder = Path(tempfile.mkdtemp(prefix="siamese-mnist-growth-"))
    for number in range(count):
        shutil.copytree(run, folder / f"{run.name}-{number}")

    def work() -> None:
        sm.runs_frame(folder)
        shutil.rmtree(folder)

    return work


AXES = {
    "images": images,
    "all-pairs": all_pairs,
    "pairs": pairs,
    "stacked-pairs": stacked_pairs,
    "classes": classes,
    "gallery": gallery,
    "runs": runs,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("axis", choices=AXES)
    parser.add_argument("size", type=int)
    parser.add_argument("--run", type=Path, default=Path(), help=f"a trained run, for {', '.join(TRAINED)}")
    args = parser.parse_args()
    work = AXES[args.axis](args.size, args.run)
    before = peak_rss_bytes()
    clock = time.perf_counter()
    work()
    seconds = time.perf_counter() - clock
    print(
        json.dumps(
            {
                "axis": args.axis,
                "size": args.size,
                "seconds": seconds,
                "peak_rss_bytes": peak_rss_bytes(),
                "rss_before_bytes": before,
            }
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
