"""How soon the program answers: whole processes to their first output or their end, and all pairs of 10,000 images.

    python benchmarks/answers.py [--repeats 5] [--busy] [--json]

It trains one quick run in a temporary folder first. `--busy` measures beside a program that keeps one core busy.
Medians of the repeats are printed. `speed.py` takes `measure` from here.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

SIAMESE = [sys.executable, "-m", "siamese_mnist_cli"]
IMAGES = 10_000
RECIPES = ("fast", "report")


def seconds(words: list[str], *, first_output: bool = False) -> float:
    """Seconds of a whole process, or of one until it prints anything."""
    clock = time.perf_counter()
    process = subprocess.Popen([*SIAMESE, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    if first_output:
        process.stdout.read(1)
        taken = time.perf_counter() - clock
        process.terminate()
    process.stdout.read()
    process.wait()
    return taken if first_output else time.perf_counter() - clock


def all_pairs(recipe: str) -> dict[str, float]:
    """Seconds in which a Siamese design embeds 10,000 images, and scores all pairs of them, in a process warmed up."""
    import torch

    from siamese_mnist.data import load_dataset
    from siamese_mnist.evaluation import Decision
    from siamese_mnist.inference.verifier import Verifier
    from siamese_mnist.parts.designs import build_model
    from siamese_mnist.settings.settings import Settings

    settings = Settings.resolve("siamese", recipe=recipe)
    parts = dataclasses.asdict(settings.parts)
    model = build_model(design=settings.design, **parts, image_size=(28, 28), classes=10, channels=1)
    verifier = Verifier(model, Decision(0.0, 1.0), image_size=(28, 28))
    data = load_dataset("mnist-tenth")
    shipped = torch.cat([data.train.images, data.test.images])
    images = torch.cat([shipped, shipped.flip(3)])[:IMAGES]
    verifier.score_matrix(images[:1000], images[:1000])
    clock = time.perf_counter()
    verifier.embed(images)
    embedded = time.perf_counter() - clock
    clock = time.perf_counter()
    verifier.score_matrix(images, images)
    return {"embed": embedded, "all pairs": time.perf_counter() - clock}


@contextmanager
def beside(busy: bool) -> Iterator[None]:
    """Keeps one core busy meanwhile, if asked."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def measure(repeats: int = 5, *, busy: bool = False) -> dict[str, float]:
    """Medians in seconds, by what was measured; the lines alternate, so that a slow minute slows all of them."""
    from PIL import Image

    import siamese_mnist as sm

    with tempfile.TemporaryDirectory() as folder:
        small = {"train_pairs": 2000, "test_pairs": 600, "pretrain_epochs": 0, "epochs": 1, "curve": False}
        run = sm.run("siamese", recipe="fast", runs_dir=folder, **small)
        pictures = [str(Path(folder) / f"{number}.png") for number in range(2)]
        for picture, image in zip(pictures, sm.load_dataset("mnist-tenth").test.images[:2, 0], strict=True):
            Image.fromarray(255 - image.numpy()).save(picture)
        new = ["--runs-dir", str(Path(folder) / "new")]
        lines: dict[str, tuple[list[str], bool]] = {
            "predict of two pictures": (["predict", run.run_dir, *pictures], False),
            "a misspelt variant": (["run", "siamse"], False),
            "list recipes": (["list", "recipes"], False),
            "list datasets": (["list", "datasets"], False),
            "list losses": (["list", "losses"], False),
            "first output of compare": (["compare", "baseline", "siamese", *new], True),
        }
        found: dict[str, list[float]] = {}
        with beside(busy):
            for _ in range(repeats):
                for name, (words, first) in lines.items():
                    found.setdefault(name, []).append(seconds(words, first_output=first))
                for recipe in RECIPES:
                    done = subprocess.run(
                        [sys.executable, __file__, "--pairs-of", recipe], capture_output=True, text=True, check=True
                    )
                    for name, taken in json.loads(done.stdout).items():
                        found.setdefault(f"{recipe}: {name} of {IMAGES:,} images", []).append(taken)
    return {name: median(taken) for name, taken in found.items()}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="of every line (default 5)")
    parser.add_argument("--busy", action="store_true", help="beside a program that keeps one core busy")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pairs-of", choices=RECIPES, help=argparse.SUPPRESS)  # one measurement, in this process
    args = parser.parse_args(argv)
    if args.pairs_of:
        print(json.dumps(all_pairs(args.pairs_of)))
        return
    found: dict[str, Any] = measure(args.repeats, busy=args.busy)
    print(json.dumps(found) if args.json else "\n".join(f"{taken:7.2f} s  {name}" for name, taken in found.items()))


if __name__ == "__main__":
    main()
