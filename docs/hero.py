"""The pair that is judged on the first page of the site: images and the network's own answers, recorded.

python docs/hero.py

Writes docs/images/hero.png, tiles of 28 x 28 in a column, and docs/images/hero.json, which tiles a scene has and the
probability of "same" that the network of the live page gave for each. A test digit turns into another one; both are the
first of their class in the test images.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, zoom

import siamese_mnist as sm

FOLDER = Path(__file__).parent / "images"
RUNS = Path(__file__).parents[1] / "build" / "demo" / "runs"
SCENES = ((4, 9), (3, 8), (7, 1))
STEPS = 16
FINE = 4

Pixels = NDArray[np.uint8]


def between(left: Pixels, right: Pixels, steps: int = STEPS) -> list[Pixels]:
    """Images (H, W) from one to the other, both with them, by the distance of every place to the edge of the ink."""
    fields = [_field(left), _field(right)]
    areas = [int((field > 0).sum()) for field in fields]
    shapes = []
    for share in np.linspace(0, 1, steps + 1):
        mixed = (1 - share) * fields[0] + share * fields[1]
        # Strokes that do not overlap would vanish halfway; the level that leaves the right amount of ink keeps them.
        level = np.sort(mixed, axis=None)[-round((1 - share) * areas[0] + share * areas[1])]
        ink = np.clip(mixed - level + 0.5, 0, 1)
        shapes.append(255 * ink.reshape(left.shape[0], FINE, left.shape[1], FINE).mean((1, 3)))
    lack = [left - shapes[0], right - shapes[-1]]
    shares = np.linspace(0, 1, steps + 1)
    whole = [shape + (1 - share) * lack[0] + share * lack[1] for shape, share in zip(shapes, shares, strict=True)]
    return [np.clip(np.rint(each), 0, 255).astype(np.uint8) for each in whole]


def _field(image: Pixels) -> NDArray[np.float64]:
    ink = zoom(image.astype(np.float64), FINE, order=1) >= image.max() / 2
    inside, outside = distance_transform_edt(ink), distance_transform_edt(~ink)
    field: NDArray[np.float64] = inside - outside
    return field


def main() -> None:
    """Records the scenes."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    verifier = sm.load(sm.run("siamese", recipe="fast", validation=0.1, runs_dir=RUNS).run_dir)
    test = sm.load_dataset("mnist-tenth").test
    images, labels = test.images[:, 0].numpy(), test.labels.numpy()
    tiles: list[Pixels] = []
    scenes = []
    for one, other in SCENES:
        left, start = np.flatnonzero(labels == one)[:2]
        frames = between(images[start], images[np.flatnonzero(labels == other)[0]])
        probability = verifier.predict_proba(np.repeat(images[left][None], len(frames), 0), np.stack(frames))
        said = verifier.predict(np.repeat(images[left][None], len(frames), 0), np.stack(frames))
        scenes.append(
            {
                "left": len(tiles),
                "frames": list(range(len(tiles) + 1, len(tiles) + 1 + len(frames))),
                "probability": [round(float(each), 3) for each in probability],
                "same": said.tolist(),
            }
        )
        tiles += [images[left], *frames]
    Image.fromarray(np.concatenate(tiles)).save(FOLDER / "hero.png", optimize=True)
    (FOLDER / "hero.json").write_text(json.dumps({"size": 28, "scenes": scenes}) + "\n", encoding="utf-8")
    print(f"{len(tiles)} tiles, {(FOLDER / 'hero.png').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
