"""A saved run as a tool: scores, answers, probabilities and embeddings for images."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Decision
from siamese_mnist.models import Model, Siamese, build_model, to_unit
from siamese_mnist.recipes import Settings
from siamese_mnist.runs import RunError, read_run, read_weights

Images = ArrayLike | Tensor


def load(run_dir: str | Path) -> "Verifier":
    """Loads a run's model, threshold and calibration.

    Args:
        run_dir: a run's folder, such as `result.run_dir`.

    Raises:
        RunError: if it is not a complete run of this version, or damaged.
    """
    result = read_run(run_dir)
    try:
        config = json.loads((Path(run_dir) / "config.json").read_text())
        image_size, classes = tuple(config.pop("image_size")), tuple(config.pop("classes"))
        settings = Settings.from_dict(config)
        decision = Decision(result.decision.threshold, result.decision.slope)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{run_dir} cannot be used ({error}); train the run again") from error
    model = build_model(
        design=settings.design,
        **dataclasses.asdict(settings.parts),
        image_size=image_size,
        classes=len(classes),
    )
    try:
        model.load_state_dict(read_weights(run_dir))
    except RuntimeError as error:
        raise RunError(f"the weights in {run_dir} do not fit its config.json; train the run again") from error
    return Verifier(model, decision, image_size=image_size)


class Verifier:
    """Decides whether two images show the same class.

    Images are uint8, light strokes on dark ground, (N, H, W) of the size the run was trained on.

    Args:
        model: a trained model.
        decision: its threshold and calibration.
        image_size: height and width of the images it takes.
    """

    def __init__(self, model: Model, decision: Decision, *, image_size: tuple[int, int]) -> None:
        self.model = model.eval()
        self.decision = decision
        self.image_size = image_size

    def score(self, left: Images, right: Images) -> NDArray[np.float32]:
        """Scores of pairs.

        Args:
            left: (P, H, W) uint8, NumPy or torch.
            right: (P, H, W) uint8.

        Returns:
            (P,) float32, higher = more alike.

        Raises:
            UsageError: if shape or type is wrong, or the numbers of images differ.
        """
        first, second = self._checked(left, "left"), self._checked(right, "right")
        if len(first) != len(second):
            raise UsageError(f"left and right must be equally many images, got {len(first)} and {len(second)}")
        scores = []
        for one, other in zip(first.split(8192), second.split(8192), strict=True):
            row = torch.arange(len(one))
            scores.append(self.model.score_pairs(to_unit(torch.cat([one, other])), row, row + len(one)))
        return _numpy(torch.cat(scores))

    def predict_proba(self, left: Images, right: Images) -> NDArray[np.float64]:
        """Calibrated probability of "same" for pairs (P, H, W), (P, H, W) uint8: (P,) in [0, 1]."""
        return self.decision.probability(self.score(left, right))

    def predict(self, left: Images, right: Images) -> NDArray[np.bool_]:
        """Answers for pairs (P, H, W), (P, H, W) uint8: (P,) bool, True = same."""
        return self.decision.predict(self.score(left, right))

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Embeddings of images (N, H, W) uint8: (N, E) float32.

        Raises:
            UsageError: if the design is stacked, which has no embedding of a single image.
        """
        if not isinstance(self.model, Siamese):
            raise UsageError("a stacked design has no embedding of a single image; use a siamese variant")
        return _numpy(self._embed(self._checked(images, "images")))

    def score_matrix(self, a: Images, b: Images) -> NDArray[np.float32]:
        """Scores of every image of `a` against every image of `b`.

        A Siamese design embeds each image once. A stacked one passes every pair through the network.

        Args:
            a: (A, H, W) uint8.
            b: (B, H, W) uint8.

        Returns:
            (A, B) float32, higher = more alike.
        """
        first, second = self._checked(a, "a"), self._checked(b, "b")
        matrix = np.empty((len(first), len(second)), np.float32)
        if isinstance(self.model, Siamese):
            left, right = self._embed(first), self._embed(second)
            rows = max(1, (1 << 18) // max(1, len(right)))
            with torch.no_grad():
                for start in range(0, len(left), rows):
                    matrix[start : start + rows] = _numpy(self.model.score_matrix(left[start : start + rows], right))
            return matrix
        images = to_unit(torch.cat([first, second]))
        columns = torch.arange(len(first), len(images))
        for row in range(len(first)):
            matrix[row] = _numpy(self.model.score_pairs(images, torch.full_like(columns, row), columns))
        return matrix

    def _embed(self, images: Tensor) -> Tensor:
        assert isinstance(self.model, Siamese)
        return torch.cat([self.model.embed(to_unit(chunk)) for chunk in images.split(8192)])

    def _checked(self, images: Images, name: str) -> Tensor:
        tensor = images if isinstance(images, Tensor) else torch.from_numpy(np.ascontiguousarray(images))
        wanted = f"uint8 (N, {self.image_size[0]}, {self.image_size[1]})"
        if tensor.dtype != torch.uint8 or tensor.ndim != 3 or tuple(tensor.shape[1:]) != self.image_size:
            raise UsageError(f"{name} must be {wanted}, got {tensor.dtype} {tuple(tensor.shape)}".replace("torch.", ""))
        if len(tensor) == 0:
            raise UsageError(f"{name} holds no image; give at least one")
        return tensor


def _numpy(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
