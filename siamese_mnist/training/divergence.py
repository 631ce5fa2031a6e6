"""Trainings whose numbers are no longer finite end here."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from siamese_mnist.errors import UsageError
from siamese_mnist.parts.designs import Design
from siamese_mnist.settings.protocol import TrainingProtocol

PHASE_2_RATES = ("learning_rate", "backbone_learning_rate")


class DivergedError(UsageError):
    """A training whose loss or weights are no longer finite; the message names the update and the setting."""


def check_finite(loss: Tensor, phase: str, update: int, updates: int, protocol: TrainingProtocol, *rates: str) -> None:
    """Stops a diverged training. Elsewhere than on the CPU, where asking costs a wait, every hundredth update is asked.

    Raises:
        DivergedError: if the loss is not finite.
    """
    asked = loss.device.type == "cpu" or update % 100 == 0 or update == updates
    if asked and not math.isfinite(value := loss.item()):
        raise _diverged(f"{phase} diverged: the loss is {value} at update {update} of {updates}", protocol, rates)


def check_weights(model: Design, phase: str, updates: int, protocol: TrainingProtocol, *rates: str) -> None:
    """Stops a diverged training after its last update, whose damage shows in the weights only.

    Raises:
        DivergedError: if a weight is not finite.
    """
    for name, values in model.state_dict().items():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            what = f"{phase} diverged: {name} is not finite after update {updates} of {updates}"
            raise _diverged(what, protocol, rates)


def _diverged(what: str, protocol: TrainingProtocol, rates: Sequence[str]) -> DivergedError:
    given = " or ".join(f"{name} (it is {getattr(protocol, name):g})" for name in rates if getattr(protocol, name))
    return DivergedError(f"{what}; lower {given}")
