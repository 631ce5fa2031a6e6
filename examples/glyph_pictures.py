"""Writes characters of the built-in `glyphs` as PNG files, to enrol and identify them as pictures of one's own.

    python examples/glyph_pictures.py PICTURES [--names 30] [--fold 0]

PICTURES/enrol/NAME.png is one example of each of the first 30 of the 45 characters, by one writer, and
PICTURES/identify/NAME.png another of each of all 45, by a second writer: 15 of them are nobody's. Both writers are test
writers of the split `classes+groups`, which no run on that fold has seen. Small letters are named small-a, and so on:
many systems take a.png and A.png for one file.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import siamese_mnist as sm


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--names", type=int, default=30)
    parser.add_argument("--fold", type=int, default=0)
    options = parser.parse_args()
    dataset = sm.load_dataset("glyphs")
    images, labels, writers = dataset.test
    first, second = sm.split_dataset(dataset, "classes+groups", options.fold).test.groups.unique()[:2].tolist()
    # In an order of its own, so that letters and digits are in both parts.
    order = np.random.default_rng(0).permutation(len(dataset.classes))
    for folder, writer, chosen in (("enrol", first, order[: options.names]), ("identify", second, order)):
        place = options.pictures / folder
        place.mkdir(parents=True, exist_ok=True)
        for label in chosen.tolist():
            image = images[(labels == label) & (writers == writer)][0, 0]
            Image.fromarray(image.numpy()).save(place / f"{_name(dataset.classes[label])}.png")
        print(f"{place}: {len(chosen)} characters")


def _name(character: str) -> str:
    return f"small-{character}" if character.islower() else character


if __name__ == "__main__":
    main()
