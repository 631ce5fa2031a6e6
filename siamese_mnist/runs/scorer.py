"""A run's scores of one pair of pictures without PyTorch: the operations of its model, written down and replayed.

`scorer.json` lists what the model does with two images, operator by operator; the numbers are those of the run's
weights, which it names. `recording` writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siamese_mnist.runs.operations import OPERATIONS
from siamese_mnist.system.jsonfile import parse_object

FORMAT = 1
MOST_STEPS = 20_000

_MADE_OF = ("design", "parts", "image_size", "channels", "classes")


class ScorerError(ValueError):
    """A scorer that does not belong to a model, or cannot be replayed; PyTorch scores in its place."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """The operations of one model on two images.

    Attributes:
        made_of: digest of what the model is made of, see `made_of`.
        images: shape (2, C, H, W) of what it takes.
        weights: shapes of the tensors that it reads, by name.
        steps: the operator's name, its arguments and its options, in the order of their turn. A tensor is written as
            `{"step": [number, output]}`, `{"weight": name}`, `{"images": 0}` or `{"constant": [type, values]}`, a type
            as `{"type": name}`.
        output: the number of the step and of its output that are the scores (2,) of both orders.
        embeddings: the same of the two images' embeddings (2, E); None for designs that embed no single image.
    """

    made_of: str
    images: Sequence[int]
    weights: Mapping[str, Sequence[int]]
    steps: Sequence[Sequence[Any]]
    output: Sequence[int]
    embeddings: Sequence[int] | None = None

    def as_json(self) -> bytes:
        """The file.

        Raises:
            ValueError: if an argument is a number that is not finite.
        """
        values = {"format": FORMAT, **vars(self)}
        return (json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n").encode()

    @classmethod
    def parse(cls, content: bytes) -> Scorer:
        """The scorer that a file holds.

        Raises:
            ScorerError: if it holds none of this format.
        """
        try:
            values = parse_object(content)
            if values.pop("format", None) != FORMAT:
                raise ScorerError("it is of another version")
            found = cls(**values)
            unknown = {name for name, _, _ in found.steps} - OPERATIONS.keys()
        except (ValueError, TypeError) as error:
            raise ScorerError(str(error)) from error
        if unknown or len(found.steps) > MOST_STEPS:
            raise ScorerError(f"it has steps that are unknown ({sorted(unknown)[:1]}) or too many")
        return found

    def check(self, config: Mapping[str, Any], weights: Mapping[str, NDArray[Any]]) -> None:
        """Checks that this is the scorer of a model.

        Raises:
            ScorerError: if it is of another one.
        """
        if self.made_of != made_of(config):
            raise ScorerError("it is of another model")
        for name, shape in self.weights.items():
            if name not in weights or list(weights[name].shape) != list(shape):
                raise ScorerError(f"it reads a weight {name} of another shape")

    def score(self, images: NDArray[np.uint8], weights: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Scores of two images: what `replay` gives first."""
        return self.replay(images, weights)[0]

    def replay(
        self, images: NDArray[np.uint8], weights: Mapping[str, NDArray[Any]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Scores of two images, and their embeddings.

        Args:
            images: (2, C, H, W).
            weights: tensors by name, see `check`.

        Returns:
            (2,): the first image with the second, and the second with the first; and (2, E), or None without.

        Raises:
            ScorerError: if a step cannot be made.
        """
        pixels = images.astype(np.float32) / 255
        results: list[Any] = []

        def value(argument: Any) -> Any:
            if isinstance(argument, list):
                return [value(each) for each in argument]
            if not isinstance(argument, dict):
                return argument
            ((kind, what),) = argument.items()
            if kind == "step":
                number, output = what
                return results[number][output]
            if kind == "weight":
                return weights[what]
            if kind == "constant":
                return np.array(what[1], dtype=what[0])
            return np.dtype(what) if kind == "type" else pixels

        try:
            for name, arguments, options in self.steps:
                found = OPERATIONS[name](*map(value, arguments), **{key: value(each) for key, each in options.items()})
                results.append(found if isinstance(found, list) else [found])
            scores = np.asarray(value({"step": self.output}), dtype=np.float32)
            embedded = None
            if self.embeddings is not None:
                embedded = np.asarray(value({"step": self.embeddings}), dtype=np.float32).reshape(2, -1)
        # What a file of other hands can make NumPy raise is open.
        except Exception as error:
            raise ScorerError(f"step {len(results) + 1} cannot be made ({error})") from error
        if scores.shape != (2,):
            raise ScorerError(f"it gives scores of shape {scores.shape}")
        return scores, embedded


def made_of(config: Mapping[str, Any]) -> str:
    """SHA-256 of what a model is made of, out of a run's `config.json`."""
    what = {name: config.get(name) for name in _MADE_OF}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
