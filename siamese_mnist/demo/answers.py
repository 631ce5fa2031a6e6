"""What the page asks of a verifier: an answer, the nearest training images, an image to start from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.data import Preprocessing
from siamese_mnist.demo.choices import choices
from siamese_mnist.demo.digits import Digits, load_digits
from siamese_mnist.demo.drawings import Image
from siamese_mnist.demo.nearest import Neighbour, Neighbours
from siamese_mnist.demo.puzzles import Puzzle, puzzles
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.explanation import Maps, occlusion
from siamese_mnist.inference.verifier import Verifier, load
from siamese_mnist.runs.bundle import is_bundle, read_bundle
from siamese_mnist.runs.store import read_config, read_run


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a verifier says of two images.

    Attributes:
        same: True if both show the same class.
        probability: calibrated probability of "same", in [0, 1].
        score: higher = more alike.
        threshold: score from which the answer is "same".
        swapped_score: score with the two images exchanged.
        stable: whether the answer stays when they are.
    """

    same: bool
    probability: float
    score: float
    threshold: float
    swapped_score: float
    stable: bool


class Answers:
    """A verifier with the images that its page shows.

    Args:
        verifier: what decides.
        digits: its data set, or None where there is none to show.
        about: what the page says of the model, see `describe`.
        rng: chooses the images to start from.
    """

    def __init__(
        self, verifier: Verifier, digits: Digits | None, about: Mapping[str, Any], rng: np.random.Generator
    ) -> None:
        self.verifier = verifier
        self.digits = digits
        self.neighbours = Neighbours(verifier, digits.train) if digits else None
        self.about = {**about, **shown(verifier, digits, self.neighbours)}
        self.rng = rng

    def compare(self, left: Image, right: Image) -> Answer:
        """The answer about two images (H, W) uint8."""
        score, swapped = self.verifier.score_rows(np.stack([left, right]), [0, 1], [1, 0])
        decision = self.verifier.decision
        same = bool(decision.predict(score))
        return Answer(
            same=same,
            probability=float(decision.probability(score)),
            score=float(score),
            threshold=decision.threshold,
            swapped_score=float(swapped),
            stable=same == bool(decision.predict(swapped)),
        )

    def nearest(self, image: Image) -> list[Neighbour]:
        """The training images nearest to an image (H, W), nearest first; none without a data set."""
        return self.neighbours.nearest(image) if self.neighbours else []

    def place(self, image: Image) -> tuple[float, float] | None:
        """Where an image (H, W) lies on the map of training images, both in [0, 1]; None without such a map."""
        look = self.neighbours.look(image) if self.neighbours else None
        if look is None:
            return None
        assert self.neighbours is not None
        assert self.neighbours.plane is not None
        across, down = self.neighbours.plane.place(look.direction)
        return float(across), float(down)

    def scores(self, image: Image, others: NDArray[np.uint8]) -> list[float]:
        """Scores of an image (H, W) against others (N, H, W), higher = more alike."""
        count = len(others)
        images = np.concatenate([image[None], others])
        found = self.verifier.score_rows(images, np.zeros(count, int), np.arange(count) + 1)
        return [float(score) for score in found]

    def why(self, left: Image, right: Image) -> Maps:
        """What the places of two images (H, W) contribute to their score, see `explanation.occlusion`."""
        return occlusion(self.verifier, np.stack([left, right])[:, None])

    def puzzles(self) -> list[Puzzle]:
        """Pairs of test images that are hard to tell; none without a data set."""
        return puzzles(self.verifier, self.digits) if self.digits else []

    def sample(self, label: int) -> Image | None:
        """A random test image of a class, or None if there is none."""
        rows = np.flatnonzero(self.digits.test.labels.numpy() == label) if self.digits else np.array([])
        if rows.size == 0:
            return None
        assert self.digits is not None
        image: Image = self.digits.test.images[int(self.rng.choice(rows)), 0].numpy()
        return image


def open_answers(place: Path, data_dir: str | Path | None, rng: np.random.Generator) -> Answers:
    """Loads a run or a bundle and the images that go with it.

    Raises:
        UsageError: if it is damaged, or `data_dir` does not hold its data set.
    """
    verifier = load(place)
    if verifier.channels != 1:
        raise UsageError(f"{place} takes images in colour, and the page draws in grey; name a run on grey images")
    if verifier.preprocessing is not Preprocessing.MNIST:
        raise UsageError(
            f"{place} takes pictures {verifier.preprocessing.summary}, and the page's drawings are "
            f"{Preprocessing.MNIST.summary}; name a run on such images, of --dataset folder-normalised for your own"
        )
    about = describe(place)
    digits = load_digits(about.pop("config"), None if data_dir is None else str(data_dir))
    return Answers(verifier, digits, about, rng)


def describe(place: Path) -> dict[str, Any]:
    """What the page says of a run or bundle: `name`, `variant`, test `accuracy`; and its `config`."""
    if is_bundle(place):
        bundle = read_bundle(place)
        config, figures = bundle.config, bundle.metrics
    else:
        config, figures = read_config(place), read_run(place).as_dict()
    accuracy = figures.get("test", {}).get("accuracy")
    return {"name": place.resolve().stem, "variant": figures.get("variant"), "accuracy": accuracy, "config": config}


def shown(verifier: Verifier, digits: Digits | None, neighbours: Neighbours | None) -> dict[str, Any]:
    """What the page says of a model and its images.

    Returns:
        `choices`; `classes`; `nearest` with number and kind, and `enough`, the cosine that an example of one's own must
        reach, both None where there are none.
    """
    chosen = choices(verifier.decision, verifier.calibration)
    if digits is None or neighbours is None:
        return {"classes": [], "nearest": None, "enough": None, "choices": chosen}
    kind = "score" if neighbours.directions is None else "embedding"
    return {
        "classes": list(digits.classes),
        "nearest": {"count": len(neighbours.labels), "kind": kind, "dataset": digits.dataset},
        "enough": neighbours.enough(),
        "choices": chosen,
    }
