"""Settings: what a run trains and how, as frozen values; the named variants and recipes."""

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self

from siamese_mnist.augmentation import Augmentation
from siamese_mnist.errors import UsageError
from siamese_mnist.heads import HEADS
from siamese_mnist.losses import Supervision
from siamese_mnist.registry import Registry

Design = Literal["stacked", "siamese"]

_SEEDS = 1 << 32


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
        if not 0 <= self.pair_seed < _SEEDS:
            raise UsageError(f"pair_seed must lie in 0..{_SEEDS - 1}, got {self.pair_seed}")
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


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a model by name; None leaves a part to the recipe, or to nothing where none is needed.

    Attributes:
        backbone: name in `BACKBONES`.
        backbone_options: its options.
        head: name in `HEADS`.
        head_options: its options.
        loss: name in `LOSSES`, for heads that train with one.
        loss_options: its options.
        miner: name in `MINERS`, for losses that take one.
        miner_options: its options.
    """

    backbone: str | None = None
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    head: str | None = None
    head_options: Mapping[str, Any] = field(default_factory=dict)
    loss: str | None = None
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    miner: str | None = None
    miner_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A design, and the parts that define it.

    Attributes:
        design: "stacked" or "siamese".
        parts: what the variant fixes; the recipe fills in the rest.
    """

    design: Design
    parts: Parts = field(default_factory=Parts)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training protocol, and the parts it is made for.

    Attributes:
        protocol: how to train.
        parts: what to train where the variant leaves it open.
        designs: the designs it is meant for.
    """

    protocol: TrainingProtocol
    parts: Parts
    designs: tuple[Design, ...] = ("stacked", "siamese")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that a run depends on; equal settings on one machine give equal results.

    Attributes:
        variant: name in `VARIANTS`.
        recipe: name in `RECIPES`.
        dataset: name in `DATASETS`.
        seed: seed of initial values, order and sampling of batches.
        design: "stacked" or "siamese".
        parts: the model's parts, none left open.
        protocol: how they are trained.
    """

    variant: str
    recipe: str
    dataset: str
    seed: int
    design: Design
    parts: Parts
    protocol: TrainingProtocol

    @classmethod
    def resolve(
        cls, variant: str, *, recipe: str = "report", dataset: str = "mnist-tenth", seed: int = 0, **changes: Any
    ) -> Self:
        """Settings of a variant under a recipe, with changes to any field of `Parts` or `TrainingProtocol`.

        A part is the one that `changes` name, else the variant's, else the recipe's. Options go with their part.

        Args:
            variant: name in `VARIANTS`.
            recipe: name in `RECIPES`.
            dataset: name in `DATASETS`.
            seed: seed of initial values, order and sampling of batches, >= 0.
            **changes: fields by name; None leaves a field as it is.

        Raises:
            UsageError: if a name or a value is unknown or out of range, or a change would have no effect.
        """
        if not 0 <= seed < _SEEDS:
            raise UsageError(f"seed must lie in 0..{_SEEDS - 1}, got {seed}")
        kind: Variant = VARIANTS[variant]
        base: Recipe = RECIPES[recipe]
        if kind.design not in base.designs:
            raise UsageError(
                f"recipe {recipe!r} is for {' and '.join(base.designs)} designs; {variant!r} is {kind.design}"
            )
        changes = {name: value for name, value in changes.items() if value is not None}
        names = [each.name for each in dataclasses.fields(TrainingProtocol)]
        protocol = dataclasses.replace(base.protocol, **{name: changes.pop(name) for name in names if name in changes})
        part_names = [each.name for each in dataclasses.fields(Parts)]
        for name in changes:
            if name not in part_names:
                near = difflib.get_close_matches(name, [*names, *part_names], n=1)
                raise UsageError(f"unknown setting {name!r}{f'; did you mean {near[0]!r}?' if near else ''}")
        parts = _chosen(kind, base, changes)
        return cls(
            variant=variant,
            recipe=recipe,
            dataset=dataset,
            seed=seed,
            design=kind.design,
            parts=parts,
            protocol=protocol,
        )

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings that `as_dict` described.

        Raises:
            UsageError: if a value is missing, unknown or out of range.
        """
        try:
            protocol = dict(values["protocol"])
            protocol["augmentation"] = Augmentation(**protocol["augmentation"])
            return cls(**{**values, "parts": Parts(**values["parts"]), "protocol": TrainingProtocol(**protocol)})
        except (TypeError, KeyError) as error:
            raise UsageError(f"these settings are not of this version of siamese-mnist: {error}") from error


def _chosen(kind: Variant, base: Recipe, changes: Mapping[str, Any]) -> Parts:
    """Parts and options of the first of changes, variant and recipe that names the part."""
    chosen: dict[str, Any] = {}
    for role in ("backbone", "head", "loss", "miner"):
        for source in (kind.parts, base.parts):
            name = getattr(source, role)
            if name is None or (role in ("loss", "miner") and not _wants_loss(chosen["head"], source.head)):
                continue
            chosen[role], chosen[f"{role}_options"] = name, getattr(source, f"{role}_options")
            break
        if role in changes and changes[role] != chosen.get(role):
            chosen[role], chosen[f"{role}_options"] = changes[role], {}
        if f"{role}_options" in changes:
            if chosen.get(role) is None:
                raise UsageError(f"options for a {role} have no effect without one; name it")
            chosen[f"{role}_options"] = {**chosen[f"{role}_options"], **changes[f"{role}_options"]}
    return Parts(**chosen)


def _wants_loss(head: str, meant_for: str | None) -> bool:
    """Whether a head takes a loss that was named together with the head `meant_for`."""
    kind = HEADS[head]
    return head == meant_for or (getattr(kind, "losses", False) and not kind.loss_optional)


VARIANTS: Registry[Variant] = Registry("variant", "siamese_mnist.variants")
"""Designs by name."""

RECIPES: Registry[Recipe] = Registry("recipe", "siamese_mnist.recipes")
"""Training protocols by name."""

VARIANTS.add(
    "baseline",
    Variant(design="stacked", parts=Parts(backbone="report", head="classifier")),
    summary="The report's: both images stacked as two channels of its CNN, 2-class head.",
)
VARIANTS.add(
    "baseline-symmetric",
    Variant(design="stacked", parts=Parts(backbone="report", head="symmetric-classifier")),
    summary="The baseline, its score averaged over both orders of the images.",
)
VARIANTS.add(
    "siamese",
    Variant(design="siamese"),
    summary="Shared weights embed each image once; under the report's recipe its CNN, compared by distance.",
)
VARIANTS.add(
    "siamese-comparison",
    Variant(design="siamese", parts=Parts(head="comparison")),
    summary="Shared weights, and a small network on |a - b| and a * b.",
)
VARIANTS.add(
    "siamese-concatenation",
    Variant(design="siamese", parts=Parts(head="concatenation")),
    summary="Shared weights, and the report's 2-class head on both images' features.",
)
VARIANTS.add(
    "siamese-agreement",
    Variant(design="siamese", parts=Parts(head="agreement")),
    summary="Classify each image, then the probability that both are of one class.",
)
RECIPES.add(
    "report",
    Recipe(protocol=TrainingProtocol(), parts=Parts(backbone="report", head="distance", loss="contrastive")),
    summary="The report's two phases: 2 epochs of ten classes, 2 epochs of 100,000 pairs on the frozen backbone. "
    "Expect 0.90 (baseline) and 0.945 (siamese) in 20 s each: `siamese-mnist compare baseline siamese --seeds 5`.",
)
_FROM_SCRATCH = TrainingProtocol(
    pretrain_epochs=0,
    epochs=1,
    supervision="labels",
    schedule="triangle",
    precision="bfloat16",
    adam_beta2=0.99,
    weight_decay=0.01,
    learning_rate=6e-3,
    backbone_learning_rate=6e-3,
    curve=False,
)
RECIPES.add(
    "short",
    Recipe(
        protocol=dataclasses.replace(
            _FROM_SCRATCH,
            train_pairs=24_000,
            learning_rate=3e-3,
            backbone_learning_rate=3e-3,
            augmentation=Augmentation(rotate=10, scale=0.1, shear=0.1, shift=1.5),
            augmentation_fade=0.3,
        ),
        parts=Parts(backbone="convnet", head="distance", head_options={"hidden_dim": 0}, loss="supcon"),
        designs=("siamese",),
    ),
    summary="Metric losses side by side: a small trunk from scratch, one projection, 48,000 images. "
    "Expect 0.97 to 0.99 with most losses in 8 s: `siamese-mnist run siamese --recipe short --loss supcon`.",
)
RECIPES.add(
    "fast",
    Recipe(
        protocol=dataclasses.replace(
            _FROM_SCRATCH,
            train_pairs=24_000,
            augmentation=Augmentation(rotate=10, scale=0.1, shear=0.1, shift=1.5),
            augmentation_fade=0.3,
        ),
        parts=Parts(backbone="convnet", head="agreement", loss="supcon"),
        designs=("siamese",),
    ),
    summary="The least time to 0.99: eight passes over the images with light distortions. Expect 0.992 in 9 s: "
    "`siamese-mnist run siamese --recipe fast`.",
)
RECIPES.add(
    "strong",
    Recipe(
        protocol=dataclasses.replace(
            _FROM_SCRATCH,
            train_pairs=72_000,
            learning_rate=3e-3,
            backbone_learning_rate=3e-3,
            augmentation=Augmentation(rotate=12, scale=0.15, shear=0.15, shift=2, elastic=0.7, stroke=0.6),
            augmentation_fade=0.2,
        ),
        parts=Parts(
            backbone="convnet",
            backbone_options={"members": 4, "shifts": True},
            head="agreement",
            head_options={"members": 4},
            loss="supcon",
        ),
        designs=("siamese",),
    ),
    summary="The highest accuracy: four small networks, strong distortions, 24 passes, shifted views. "
    "Expect 0.997 in two minutes: `siamese-mnist run siamese --recipe strong`.",
)
