"""Where a result comes from: names, versions, sizes, the course of the training."""

import hashlib
import json
import math
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from torch import nn

from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.phases import Curve


def run_name(settings: Settings) -> str:
    """Folder name that tells variant, recipe and seed, and differs for different settings."""
    digest = hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{settings.variant}-{settings.recipe}-s{settings.seed}-{digest}"


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("siamese-mnist", "torch", "pytorch-metric-learning", "scikit-learn", "numpy")
    return {"python": platform.python_version(), **{name.replace("-", "_"): version(name) for name in packages}}


def count_parameters(module: nn.Module) -> int:
    """Numbers in a module as Keras counts them: weights and the moving statistics of batch norm."""
    return sum(tensor.numel() for tensor in module.state_dict().values() if tensor.is_floating_point())


def history(first: Curve, second: Curve) -> Iterator[Sequence[Any]]:
    """Rows of `history.csv`, the header first; a cell is empty where nothing finite was measured."""
    yield "phase", "update", "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"
    for phase, curve in ((1, first), (2, second)):
        columns = [column.tolist() for column in curve]
        count = len(columns[0])
        columns = [column or [""] * count for column in columns]
        for update, row in enumerate(zip(*columns, strict=True), start=1):
            yield phase, update, *(each if each == "" or math.isfinite(each) else "" for each in row)


def peak_rss_bytes() -> int | None:
    """Largest resident memory of this process so far, or None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
