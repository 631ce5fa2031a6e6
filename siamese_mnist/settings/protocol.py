"""How the two phases are trained, and on what, as frozen values."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from siamese_mnist.data.augmentation import Augmentation
from siamese_mnist.errors import UsageError
from siamese_mnist.parts.losses import Supervision

SEEDS = 1 << 32
"""Number of seeds, from 0."""

SCHEDULES: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {
        "constant": lambda done: 1.0,  # noqa: ARG005
        "cosine": lambda done: 0.5 + 0.5 * math.cos(math.pi * done),
        "triangle": lambda done: min(done / 0.2, (1 - done) / 0.8),
    }
)
"""Factor of a step size, by the share of updates done, in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class TrainingProtocol:
    """How the two phases are trained and on what.

    Attributes:
        train_pairs: pairs drawn from the training images.
        test_pairs: pairs drawn from the test images; None is 10,000 random ones, or as many disjoint ones as fit.
        test_protocol: "random", any pairs of test images (report, Appendix B), or "disjoint", every test image in one
            pair only, so that the test pairs are independent.
        same_fraction: share of genuine pairs, in [0, 1].
        pair_seed: seed of all pairs; one for all runs, so that every design sees the same pairs.
        pretrain_epochs: passes over the training images in phase 1; 0 skips it.
        pretrain_batch_size: images per update in phase 1.
        pretrain_learning_rate: Adam's step size in phase 1.
        epochs: passes over the pairs in phase 2.
        batch_size: pairs per update in phase 2.
        learning_rate: Adam's step size of the head in phase 2.
        supervision: what phase 2 trains on: "pairs", the drawn pairs, or "labels", batches of single images whose
            classes are balanced. Both see as many images, in as many updates. None is the head's own choice.
        backbone_learning_rate: Adam's step size of the backbone in phase 2; 0 freezes it.
        backbone_every: updates of the head per update of the backbone, whose gradients add up meanwhile.
        schedule: course of the step sizes in phase 2, see `SCHEDULES`.
        adam_beta2: decay of Adam's second moment in phase 2, in (0, 1); short trainings want less than the usual 0.999.
        weight_decay: decoupled weight decay (AdamW) in phase 2.
        precision: arithmetic of the backbone's training, "float32" or "bfloat16".
        augmentation: strengths of random distortions in phase 2, see `Augmentation`; they need a trained backbone.
        augmentation_fade: share of phase 2, at its end, over which the distortions fade to none.
        curve: whether one random batch of test pairs is measured after every update (report, section 3.2.2);
            it decides nothing.
    """

    train_pairs: int = 100_000
    test_pairs: int | None = None
    test_protocol: Literal["random", "disjoint"] = "random"
    same_fraction: float = 0.5
    pair_seed: int = 0
    pretrain_epochs: int = 2
    pretrain_batch_size: int = 64
    pretrain_learning_rate: float = 1e-3
    epochs: int = 2
    batch_size: int = 64
    learning_rate: float = 1e-3
    supervision: Supervision | None = None
    backbone_learning_rate: float = 0.0
    backbone_every: int = 1
    schedule: str = "constant"
    adam_beta2: float = 0.999
    weight_decay: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    augmentation: Augmentation = field(default_factory=Augmentation)
    augmentation_fade: float = 0.0
    curve: bool = True

    def __post_init__(self) -> None:
        for name in ("train_pairs", "test_pairs", "pretrain_batch_size", "batch_size", "epochs", "backbone_every"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UsageError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.pretrain_epochs < 0:
            raise UsageError(f"pretrain_epochs must be >= 0, got {self.pretrain_epochs}")
        for name in ("pretrain_learning_rate", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("backbone_learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be >= 0, got {getattr(self, name)}")
        if not 0 <= self.pair_seed < SEEDS:
            raise UsageError(f"pair_seed must lie in 0..{SEEDS - 1}, got {self.pair_seed}")
        if not 0 < self.adam_beta2 < 1:
            raise UsageError(f"adam_beta2 must lie between 0 and 1, got {self.adam_beta2}")
        if not 0 <= self.augmentation_fade <= 1:
            raise UsageError(f"augmentation_fade must lie in [0, 1], got {self.augmentation_fade}")
        for name, known in (
            ("schedule", tuple(SCHEDULES)),
            ("supervision", (None, "pairs", "labels")),
            ("precision", ("float32", "bfloat16")),
            ("test_protocol", ("random", "disjoint")),
        ):
            if getattr(self, name) not in known:
                allowed = ", ".join(str(each) for each in known if each)
                raise UsageError(f"unknown {name} {getattr(self, name)!r}; use one of {allowed}")
        if not self.backbone_learning_rate:
            idle = {
                "backbone_every": self.backbone_every != 1,
                "precision": self.precision != "float32",
                "augmentation": bool(self.augmentation),
            }
            for name in (name for name, set_ in idle.items() if set_):
                raise UsageError(f"{name} has no effect on a frozen backbone; set backbone_learning_rate > 0 as well")
        if not 0 < self.same_fraction < 1:
            raise UsageError(f"same_fraction must lie between 0 and 1, got {self.same_fraction}")
