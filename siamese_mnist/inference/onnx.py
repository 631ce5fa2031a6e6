"""A verifier's network as ONNX files, for programs without PyTorch.

All take any number of images, prepared as `export.json` says: uint8 (N, H, W) in grey, or (N, 3, H, W) in colour.

- `pair_scorer.onnx`: `left`, `right` (P, H, W) to `score` (P,) and `probability` of "same" (P,).
- `embedder.onnx`, designs that embed only: `images` (N, H, W) to `embeddings` (N, E).
- `embedding_scorer.onnx`, designs that embed only: `left`, `right` (P, E) to `score` (P,) and `probability` (P,).
- `export.json`: threshold, slope, size and channels of the images, and how a picture file becomes one. Each network
  has the same text in its metadata, under `siamese_mnist`.
"""

import contextlib
import functools
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Decision
from siamese_mnist.inference.verifier import Verifier
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.system.files import unfinished

METADATA = "siamese_mnist"
"""Under which a network's metadata have the text of `export.json`."""

_PACKAGES = ("onnx", "onnxscript")
_OPSET = 18


class ExportError(UsageError):
    """A model that cannot be exported; the message says why and what to do."""


def export_onnx(verifier: Verifier, folder: str | Path) -> list[Path]:
    """Writes a verifier as ONNX files into a new folder, which appears whole or not at all.

    Args:
        verifier: what to export.
        folder: a path where nothing is yet.

    Returns:
        The files.

    Raises:
        ExportError: if the packages for it are missing, `folder` exists or cannot be written, or a part of the model
            has no form in ONNX.
    """
    folder = Path(folder)
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX export needs {' and '.join(missing)}; pip install 'siamese-mnist[export]'")
    if os.path.lexists(folder):
        raise ExportError(f"{folder} exists already; name another folder with --output or remove it")
    try:
        with unfinished(folder) as target:
            target.mkdir()
            _write(verifier, target)
    except OSError as error:
        raise ExportError(f"cannot write {folder} ({error.strerror or error}); name another with --output") from error
    return sorted(folder.iterdir())


class PairScorer(nn.Module):
    """Score and probability of pairs of images, uint8 (P, H, W)."""

    def __init__(self, model: Design, decision: Decision) -> None:
        super().__init__()
        self.model = model
        self.calibration = _Calibration(decision)

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (P, H, W) and (P, H, W) to scores (P,) and probabilities (P,)."""
        scores = self.model(to_unit(left), to_unit(right))
        return scores, self.calibration(scores)


class Embedder(nn.Module):
    """Embeddings of images, uint8 (N, H, W)."""

    def __init__(self, model: Design) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Maps (N, H, W) to (N, E)."""
        embeddings: Tensor = self.model.embed_batch(to_unit(images))
        return embeddings


class EmbeddingScorer(nn.Module):
    """Score and probability of pairs of embeddings, float32 (P, E)."""

    def __init__(self, model: Design, decision: Decision) -> None:
        super().__init__()
        self.model = model
        self.calibration = _Calibration(decision)

    def forward(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (P, E) and (P, E) to scores (P,) and probabilities (P,)."""
        scores = self.model.score_embeddings(left, right)
        return scores, self.calibration(scores)


class _Calibration(nn.Module):
    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.threshold, self.slope = decision.threshold, decision.slope

    def forward(self, scores: Tensor) -> Tensor:
        return (self.slope * (scores - self.threshold)).sigmoid()


def _write(verifier: Verifier, folder: Path) -> None:
    model, (height, width) = verifier.model, verifier.image_size
    shape = (height, width) if verifier.channels == 1 else (verifier.channels, height, width)
    images = torch.zeros(2, *shape, dtype=torch.uint8)
    about = {
        "image_size": [height, width],
        "channels": verifier.channels,
        "preprocessing": verifier.preprocessing,
        "threshold": verifier.decision.threshold,
        "slope": verifier.decision.slope,
    }
    outputs = ["score", "probability"]
    write = functools.partial(_export, about=json.dumps(about))
    # The two example inputs must not be one tensor, or the exporter takes them for one input.
    pair = (images, images.clone())
    write(PairScorer(model, verifier.decision), pair, ["left", "right"], outputs, folder / "pair_scorer.onnx")
    if model.embeds:
        embedder = Embedder(model)
        with torch.no_grad():
            embedded = embedder(images)
        write(embedder, (images,), ["images"], ["embeddings"], folder / "embedder.onnx")
        scorer = EmbeddingScorer(model, verifier.decision)
        write(scorer, (embedded, embedded.clone()), ["left", "right"], outputs, folder / "embedding_scorer.onnx")
    (folder / "export.json").write_text(json.dumps(about, indent=2) + "\n")


def _export(
    module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], outputs: list[str], path: Path, *, about: str
) -> None:
    batch = torch.export.Dim("batch", min=1)
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                inputs,
                dynamo=True,
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                input_names=names,
                output_names=outputs,
                opset_version=_OPSET,
                verbose=False,
            )
            assert program is not None
            fixed = [each.name for each in program.model.graph.inputs if each.shape and isinstance(each.shape[0], int)]
            if fixed:
                raise ExportError(
                    f"this model has no form in ONNX for any number of images ({fixed[0]} is of two alone)"
                )
            program.model.metadata_props[METADATA] = about
            program.save(path, external_data=False)
    # The exporter answers what it cannot express with exceptions of many kinds.
    except Exception as error:
        if isinstance(error, OSError | ExportError):
            raise
        raise ExportError(f"this model has no form in ONNX ({str(error).partition(chr(10))[0]})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's remarks about itself from the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
