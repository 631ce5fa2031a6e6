"""Models that other hands describe, built with no more work and memory than their weights have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.designs import Design, build_model

_REGISTRATIONS = 8  # modules and parameters for every tensor, and as many more for those without tensors
_FEWEST = 1000


def build_bounded(parts: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Design:
    """Builds what `parts` describe, to be filled with `weights`.

    Args:
        parts: arguments of `build_model`, which other hands may have written.
        weights: tensors by name.

    Raises:
        UsageError: as soon as the model turns out larger than the weights, or of other names, shapes or types.
    """
    with _no_more_than(_REGISTRATIONS * len(weights) + _FEWEST):
        try:
            with torch.device("meta"):
                sketch = _described(build_model(**parts).state_dict())
        except _TooLargeError:
            raise
        except Exception:  # a part that needs real numbers to be made; it is made with them next
            sketch = None
        if sketch is not None and sketch != _described(weights):
            raise UsageError("the weights have other names, shapes or types than it describes")
        return build_model(**parts)


class _TooLargeError(UsageError):
    pass


@contextmanager
def _no_more_than(count: int) -> Iterator[None]:
    """Refuses to make a model of more modules and parameters than `count`."""
    made = 0

    def counted(*_: object) -> None:
        nonlocal made
        made += 1
        if made > count:
            raise _TooLargeError("it describes a larger model than the weights are of")

    hooks = [register_module_parameter_registration_hook(counted), register_module_module_registration_hook(counted)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _described(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
