"""How a model's `scorer.json` is made: what it does with two images is written down while PyTorch does it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.runs.operations import OPERATIONS
from siamese_mnist.runs.scorer import MOST_STEPS, Scorer, ScorerError, made_of

TOLERANCE = 1e-5
"""Of a score, or of the share of one that is greater than 1."""

_FEW = 4096  # numbers of a constant
_PLACES = ("device", "layout", "memory_format", "non_blocking", "pin_memory")  # which NumPy has no use for


@torch.no_grad()
def record_scorer(model: Design, config: Mapping[str, Any], images: Tensor) -> Scorer | None:
    """Writes down how a model scores two images, if NumPy can do the same to the last digits.

    Args:
        model: on the CPU, in evaluation mode.
        config: what it is made of, see `scorer.made_of`.
        images: (N, C, H, W) uint8, N at least 2, to try it on.

    Returns:
        None where an operator has no form in NumPy, or the scores differ.
    """
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    known = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    pair = to_unit(images[:2])
    tape = _Tape(pair, {name: tensor for name, tensor in known.items() if name in weights})
    try:
        with tape:
            embedded = model.embed_batch(pair) if model.embeds else None
            swapped = pair.flip(0) if embedded is None else embedded.flip(0)
            scores = model(pair, swapped) if embedded is None else model.score_embeddings(embedded, swapped)
        scorer = tape.scorer(scores, embedded, made_of(config))
        Scorer.parse(scorer.as_json())
        if all(_agrees(model, scorer, weights, part) for part in images.split(2) if len(part) == 2):
            return scorer
    except (ScorerError, ValueError):
        pass
    return None


def _agrees(model: Design, scorer: Scorer, weights: Mapping[str, Any], images: Tensor) -> bool:
    rows = torch.arange(2)
    expected = model.score_pairs(to_unit(images), rows, rows.flip(0)).numpy()
    return bool(np.allclose(scorer.score(images.numpy(), weights), expected, rtol=TOLERANCE, atol=TOLERANCE))


class _Tape(TorchDispatchMode):
    """Writes down every operator that is called meanwhile."""

    def __init__(self, images: Tensor, weights: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[list[Any]] = []
        self._kept: list[Any] = [images]  # so that no identity is given away again
        self._names: dict[int, dict[str, Any]] = {id(tensor): {"weight": name} for name, tensor in weights.items()}
        self._names[id(images)] = {"images": 0}
        self._shapes = {name: list(tensor.shape) for name, tensor in weights.items()}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not: it would import PyTorch's compiler, which takes more than a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = [self._written(each) for each in args]
        options = {name: self._written(each) for name, each in (kwargs or {}).items() if name not in _PLACES}
        found = func(*args, **(kwargs or {}))
        self._kept.append((args, found))
        name = str(func).removeprefix("aten.")
        self.steps.append([name, arguments, {key: each for key, each in options.items() if each is not None}])
        for output, tensor in enumerate(found if isinstance(found, list | tuple) else [found]):
            if not isinstance(tensor, Tensor):
                raise ScorerError(f"{name} reads numbers, so that other images could take another way")
            self._names[id(tensor)] = {"step": [len(self.steps) - 1, output]}
        return found

    def scorer(self, scores: Tensor, embedded: Tensor | None, digest: str) -> Scorer:
        """What was written, without steps that scores and embeddings do not depend on."""
        written = self._written(scores)
        places = None if embedded is None else self._written(embedded)
        needed: set[int] = set()
        waiting = list(_steps_in([written, places]))
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                waiting += _steps_in(self.steps[number])
        if len(needed) > MOST_STEPS:
            raise ScorerError("it has too many steps")
        order = {number: place for place, number in enumerate(sorted(needed))}
        steps = [_renumbered(self.steps[number], order) for number in order]
        for name, _, _ in steps:
            if name not in OPERATIONS:
                raise ScorerError(f"{name} has no form in NumPy")
        used = {name: shape for name, shape in self._shapes.items() if any(_reads(step, name) for step in steps)}
        output = _renumbered(written, order)["step"]
        embeddings = None if places is None else _renumbered(places, order)["step"]
        size = [int(side) for side in self._kept[0].shape]
        return Scorer(made_of=digest, images=size, weights=used, steps=steps, output=output, embeddings=embeddings)

    def _written(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._written(each) for each in value]
        if isinstance(value, torch.dtype):
            return {"type": str(value).removeprefix("torch.")}
        if not isinstance(value, Tensor):
            return value if isinstance(value, bool | int | float | str | None) else repr(value)
        if id(value) in self._names:
            return self._names[id(value)]
        if value.numel() > _FEW:
            raise ScorerError("a constant is too large")
        if value.ndim == 0:
            return value.item()
        return {"constant": [str(value.dtype).removeprefix("torch."), value.tolist()]}


def _steps_in(written: Any) -> list[int]:
    """Numbers of the steps that an argument, or a step, reads."""
    if isinstance(written, dict):
        if "step" in written:
            return [written["step"][0]]
        written = list(written.values())
    return [number for each in written for number in _steps_in(each)] if isinstance(written, list) else []


def _renumbered(written: Any, order: Mapping[int, int]) -> Any:
    if isinstance(written, dict):
        if "step" in written:
            return {"step": [order[written["step"][0]], written["step"][1]]}
        return {key: _renumbered(each, order) for key, each in written.items()}
    return [_renumbered(each, order) for each in written] if isinstance(written, list) else written


def _reads(written: Any, name: str) -> bool:
    if isinstance(written, dict):
        return written.get("weight") == name or any(_reads(each, name) for each in written.values())
    return isinstance(written, list) and any(_reads(each, name) for each in written)
