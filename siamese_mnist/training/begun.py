"""Phase 1 trained once for all runs that begin alike; each of them gets to the bit what it would have trained."""

import contextlib
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from siamese_mnist.data import LabeledImages
from siamese_mnist.parts.designs import Design
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.system.files import unfinished
from siamese_mnist.training.curve import Curve
from siamese_mnist.training.phases import Progress, pretrain


def pretrain_once(
    folder: Path | None,
    about: Any,
    model: Design,
    head: nn.Module,
    data: LabeledImages,
    protocol: TrainingProtocol,
    **given: Any,
) -> Curve:
    """What `pretrain` does, or what it did for a run that began alike.

    Args:
        folder: where phases that were trained are kept for others; None trains it in any case.
        about: what else it depends on, as JSON holds it: design, backbone with options, device and machine.
        model: see `pretrain`, as are the others.
        head: trained with it.
        data: training images.
        protocol: epochs, batch size and learning rate.
        **given: generator and progress; this one is told once where nothing is trained.

    Raises:
        DivergedError: see `pretrain`.
    """
    if folder is None or not protocol.pretrain_epochs:
        return pretrain(model, head, data, protocol, **given)
    both, generator = nn.ModuleDict({"model": model, "head": head}), given["generator"]
    settings = [protocol.pretrain_epochs, protocol.pretrain_batch_size, protocol.pretrain_learning_rate]
    begin = {**both.state_dict(), **_draws(generator), "images": data.images, "labels": data.labels}
    place = folder / _digest([about, settings], begin)
    with contextlib.suppress(OSError, SafetensorError):
        return _taken(load_file(place), both, **given)
    curve = pretrain(model, head, data, protocol, **given)
    left = {**both.state_dict(), **_draws(generator), **_columns(curve)}
    with contextlib.suppress(OSError), unfinished(place) as target:  # what is kept for others is worth no run
        # Copies, as a file does not hold weights that are tied to others.
        save_file({name: each.detach().cpu().clone().contiguous() for name, each in left.items()}, target)
    return curve


def _taken(kept: dict[str, Tensor], both: nn.Module, *, generator: torch.Generator, progress: Progress) -> Curve:
    both.load_state_dict({name: kept[name] for name in both.state_dict()})
    generator.set_state(kept["order"])
    torch.set_rng_state(kept["draws"])
    curve = Curve(*(kept[f"curve {name}"] for name in Curve._fields))
    progress("phase 1", len(curve.epoch), len(curve.epoch))
    return curve


def _columns(curve: Curve) -> dict[str, Tensor]:
    return {f"curve {name}": each for name, each in curve._asdict().items()}


def _draws(generator: torch.Generator) -> dict[str, Tensor]:
    """Where the order of the images and PyTorch's own stream, as of dropout, stand."""
    return {"order": generator.get_state(), "draws": torch.get_rng_state()}


def _digest(about: Any, tensors: dict[str, Tensor]) -> str:
    found = sha256(json.dumps(about, sort_keys=True).encode())
    for name, each in tensors.items():
        found.update(f"{name} {each.dtype} {tuple(each.shape)}".encode())
        found.update(each.detach().cpu().numpy().tobytes())
    return f"{found.hexdigest()}.safetensors"
