"""The named variants and recipes."""

import dataclasses
from dataclasses import dataclass, field

from siamese_mnist.registry import Described, Registry
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.parts import Parts
from siamese_mnist.settings.protocol import TrainingProtocol


@dataclass(frozen=True, kw_only=True)
class Variant(Described):
    """A design, and the parts that define it.

    Attributes:
        design: name in `DESIGNS`.
        parts: what the variant fixes; the recipe fills in the rest.
        summary: one line for `siamese-mnist list`.
    """

    design: str
    parts: Parts = field(default_factory=Parts)
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe(Described):
    """A training protocol, and the parts it is made for.

    Attributes:
        protocol: how to train.
        parts: what to train where the variant leaves it open.
        designs: names of the designs it is meant for; empty for all whose heads and supervision fit.
        summary: one line for `siamese-mnist list`.
    """

    protocol: TrainingProtocol
    parts: Parts
    designs: tuple[str, ...] = ()
    summary: str = ""


VARIANTS: Registry[Variant] = Registry("variant", "siamese_mnist.variants", Variant)
"""Designs by name."""

RECIPES: Registry[Recipe] = Registry("recipe", "siamese_mnist.recipes", Recipe)
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
VARIANTS.add(
    "pseudo-siamese",
    Variant(
        design="pseudo-siamese",
        summary="Two branches without shared weights, one for left and one for right images.",
    ),
)
VARIANTS.add(
    "central-surround",
    Variant(
        design="central-surround",
        summary="Shared weights on two streams an image: its middle, and the whole at half the resolution.",
    ),
)
VARIANTS.add(
    "cross-attention",
    Variant(
        design="cross-attention",
        parts=Parts(head="classifier"),
        summary="Places of one image attend to places of the other, in both directions.",
    ),
)
RECIPES.add(
    "report",
    Recipe(protocol=TrainingProtocol(), parts=Parts(backbone="report", head="distance", loss="contrastive")),
    summary="The report's two phases: 2 epochs of ten classes, 2 epochs of 100,000 pairs on the frozen backbone. "
    "Expect 0.90 (baseline) and 0.945 (siamese): `siamese-mnist compare baseline siamese --seeds 5`.",
)
_FROM_SCRATCH = TrainingProtocol(
    pretrain_epochs=0,
    epochs=1,
    supervision="labels",
    schedule="triangle",
    precision="fastest",
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
    ),
    summary="Metric losses side by side: a small trunk from scratch, one projection, 48,000 images. "
    "Expect 0.97 to 0.99 with most losses in `fast`'s time: `siamese-mnist run siamese --recipe short --loss supcon`.",
)
RECIPES.add(
    "alike",
    Recipe(
        protocol=dataclasses.replace(
            _FROM_SCRATCH,
            train_pairs=48_000,
            supervision="pairs",
            learning_rate=3e-3,
            backbone_learning_rate=3e-3,
            augmentation=Augmentation(rotate=10, scale=0.1, shear=0.1, shift=1.5),
            augmentation_fade=0.3,
        ),
        parts=Parts(backbone="convnet", head="comparison"),
        summary="All designs side by side, from scratch on the same pairs.",
    ),
)
RECIPES.add(
    "fast",
    Recipe(
        protocol=dataclasses.replace(
            _FROM_SCRATCH,
            train_pairs=16_000,
            backbone_optimizer="muon",
            augmentation=Augmentation(rotate=10, scale=0.1, shear=0.1, shift=1.5),
            augmentation_fade=0.3,
        ),
        parts=Parts(backbone="convnet", backbone_options={"halves": True}, head="agreement", loss="supcon"),
    ),
    summary="The least time to 0.99: five passes over the images with light distortions, by Muon. "
    "Expect 0.994 in less time than `report`: `siamese-mnist run siamese --recipe fast`.",
)
RECIPES.add(
    "strong",
    Recipe(
        protocol=dataclasses.replace(
            _FROM_SCRATCH,
            train_pairs=48_000,
            backbone_optimizer="muon",
            augmentation=Augmentation(rotate=12, scale=0.15, shear=0.15, shift=2, elastic=0.7, stroke=0.6, blur=1.0),
            augmentation_fade=0.2,
        ),
        parts=Parts(
            backbone="convnet",
            backbone_options={"members": 4, "shifts": True},
            head="agreement",
            head_options={"members": 4},
            loss="supcon",
        ),
    ),
    summary="The highest accuracy: four small networks, strong distortions, 16 passes by Muon, shifted views. "
    "Expect 0.997 for ten times the work of `fast`: `siamese-mnist run siamese --recipe strong`.",
)
RECIPES.add(
    "new-classes",
    Recipe(
        protocol=dataclasses.replace(
            _FROM_SCRATCH,
            train_pairs=64_000,
            member_folds=True,
            extra_classes="rotated",
            batch_size=80,
            learning_rate=3e-3,
            backbone_learning_rate=12e-3,
            backbone_optimizer="muon",
            augmentation=Augmentation(rotate=15, scale=0.25, shear=0.3, shift=2.5, elastic=1.0, stroke=1.0, blur=0.7),
            augmentation_fade=0.2,
        ),
        parts=Parts(
            backbone="convnet",
            backbone_options={"members": 4, "deep": True, "fine": True, "slants": True},
            head="distance",
            head_options={
                "embedding_dim": 256,
                "hidden_dim": 0,
                "members": 4,
                "views": 3,
                "whitened": True,
                "projected": False,
            },
            loss="cosface",
            loss_options={"margin": 0.2, "scale": 20.0},
        ),
    ),
    summary="Classes that were never seen: turned images as classes of their own, strong distortions, four networks "
    "of the full resolution, a margin between classes, whitened features, views compared. "
    "`siamese-mnist run siamese --recipe new-classes --dataset glyphs --split classes+groups`.",
)
