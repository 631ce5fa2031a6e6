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
    *,
    generator: torch.Generator,
    progress: Progress,
) -> Curve:
    """What `pretrain` does, or what it did for a run that began alike.

    Args:
        folder: where phases that were trained are kept for others; None trains it in any case.
        about: what else it depends on, as JSON holds it: the names and options of backbone and design.
        model: see `pretrain`, and so on.
        head: trained with it.
        data: training images.
        protocol: epochs, batch size and learning rate.
        generator: order of the images.
        progress: told after every update, or once where nothing is trained.
    """
    trained = {"backbone": model.backbone, "head": head}
    if folder is None or not protocol.pretrain_epochs:
        return pretrain(model, head, data, protocol, generator=generator, progress=progress)
    settings = [protocol.pretrain_epochs, protocol.pretrain_batch_size, protocol.pretrain_learning_rate]
    begin = {**_states(trained), **_draws(generator), "images": data.images, "labels": data.labels}
    place = folder / _digest([about, settings], begin)
    with contextlib.suppress(OSError, SafetensorError):
        return _taken(load_file(place), trained, generator, progress)
    curve = pretrain(model, head, data, protocol, generator=generator, progress=progress)
    left = {
        **_states(trained),
        **_draws(generator),
        **{f"curve.{name}": each for name, each in curve._asdict().items()},
    }
    with contextlib.suppress(OSError), unfinished(place) as target:  # what is kept for others is worth no run
        save_file({name: each.cpu().contiguous() for name, each in left.items()}, target)
    return curve


def _taken(
    kept: dict[str, Tensor], trained: dict[str, nn.Module], generator: torch.Generator, progress: Progress
) -> Curve:
    for kind, module in trained.items():
        module.load_state_dict(
            {name.removeprefix(f"{kind}."): each for name, each in kept.items() if name.startswith(kind)}
        )
    generator.set_state(kept["order"])
    torch.set_rng_state(kept["draws"])
    curve = Curve(*(kept[f"curve.{name}"] for name in Curve._fields))
    progress("phase 1", len(curve.epoch), len(curve.epoch))
    return curve


def _states(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{kind}.{name}": each for kind, module in modules.items() for name, each in module.state_dict().items()}


def _draws(generator: torch.Generator) -> dict[str, Tensor]:
    """Where the order of the images and PyTorch's own stream, as of dropout, stand."""
    return {"order": generator.get_state(), "draws": torch.get_rng_state()}


def _digest(about: Any, tensors: dict[str, Tensor]) -> str:
    found = sha256(json.dumps(about, sort_keys=True).encode())
    for name, each in tensors.items():
        found.update(f"{name} {each.dtype} {tuple(each.shape)}".encode())
        found.update(each.detach().cpu().numpy().tobytes())
    return f"{found.hexdigest()}.safetensors"
