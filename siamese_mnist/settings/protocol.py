"""How the two phases are trained, and on what, as frozen values."""

from dataclasses import dataclass
from typing import Literal

from siamese_mnist.errors import UsageError
from siamese_mnist.registry import Range
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.fields import check_fields, fields_of, setting

LARGEST_SEED = (1 << 32) - 1

_PAIRS, _PHASE_1, _PHASE_2 = "Pairs", "Phase 1", "Phase 2"


@dataclass(frozen=True, kw_only=True)
class TrainingProtocol:
    """How the two phases are trained and on what; every field says in its own line what it sets."""

    train_pairs: int = setting(100_000, "Pairs drawn from the training images.", panel=_PAIRS, at_least=1)
    test_pairs: int | None = setting(
        None,
        "Pairs drawn from the test images; none is 10,000 random ones, or as many disjoint ones as fit.",
        panel=_PAIRS,
        at_least=1,
    )
    test_protocol: Literal["random", "disjoint"] = setting(
        "random",
        "Test pairs: `random`, any two test images (report, Appendix B), or `disjoint`, every test image in one pair "
        "only, so that the pairs are independent.",
        panel=_PAIRS,
    )
    same_fraction: float = setting(0.5, "Share of genuine pairs.", panel=_PAIRS, above=0, below=1)
    validation: float = setting(
        0.0,
        "Share of each class's training images kept for threshold and calibration, not trained on, where the split "
        "keeps none; 0 trains on all images and fits both on training pairs.",
        panel=_PAIRS,
        at_least=0,
        below=1,
        added=True,
    )
    cross_fitting: int = setting(
        0,
        "Further models, each trained without one part of the images, whose pairs threshold and calibration are fitted "
        "on; nothing is lost to the training, which takes as many times longer. 0 is none.",
        panel=_PAIRS,
        at_least=0,
        added=True,
    )
    member_folds: bool = setting(
        False,
        "Where a split keeps classes for validation, and an ensemble trains from scratch on labels: each member leaves "
        "out a share of all these classes instead, and its scores of this share fit threshold and calibration. So no "
        "class is lost to the training.",
        panel=_PAIRS,
        added=True,
    )
    extra_classes: Literal["rotated", "rotated+mirrored"] | None = setting(
        None,
        "Training images turned by 90, 180 and 270 degrees, or mirrored as well, train as classes of their own; they "
        "teach what makes classes differ.",
        panel=_PAIRS,
        added=True,
    )
    pair_seed: int = setting(
        0,
        "Seed of all pairs; one for all runs, so that every design sees the same pairs.",
        panel=_PAIRS,
        at_least=0,
        at_most=LARGEST_SEED,
    )
    pretrain_epochs: int = setting(2, "Passes over the training images; 0 skips phase 1.", panel=_PHASE_1, at_least=0)
    pretrain_batch_size: int = setting(64, "Images per update.", panel=_PHASE_1, at_least=1)
    pretrain_learning_rate: float = setting(1e-3, "Adam's step size.", panel=_PHASE_1, above=0)
    epochs: int = setting(2, "Passes over the pairs.", panel=_PHASE_2, at_least=1)
    batch_size: int = setting(64, "Pairs per update.", panel=_PHASE_2, at_least=1)
    learning_rate: float = setting(
        1e-3, "Adam's step size of the head.", panel=_PHASE_2, above=0, space=Range(3e-4, 3e-2)
    )
    supervision: Literal["pairs", "labels"] | None = setting(
        None,
        "Train on the drawn `pairs`, or on `labels`: batches of as many single images whose classes are balanced. "
        "None is the head's own choice.",
        panel=_PHASE_2,
    )
    backbone_learning_rate: float = setting(
        0.0, "Step size of the backbone; 0 freezes it.", panel=_PHASE_2, option="backbone_lr", at_least=0
    )
    backbone_optimizer: Literal["adam", "muon"] = setting(
        "adam",
        "How the backbone is trained: by `adam`, or its filters by `muon`, whose steps are as large but go equally far "
        "in every direction, which short trainings want.",
        panel=_PHASE_2,
        added=True,
    )
    backbone_every: int = setting(
        1,
        "Updates of the head per update of the backbone, whose gradients add up meanwhile.",
        panel=_PHASE_2,
        at_least=1,
    )
    schedule: str = setting(
        "constant", "Course of the step sizes; `siamese-mnist list schedules` names them.", panel=_PHASE_2
    )
    adam_beta2: float = setting(
        0.999,
        "Decay of Adam's second moment; short trainings want less than the usual 0.999.",
        panel=_PHASE_2,
        above=0,
        below=1,
    )
    weight_decay: float = setting(0.0, "Decoupled weight decay (AdamW).", panel=_PHASE_2, at_least=0)
    precision: Literal["float32", "bfloat16", "fastest"] = setting(
        "float32",
        "Arithmetic of the backbone's training: `float32`, `bfloat16`, or `fastest`, which is bfloat16 where the "
        "processor has instructions for it.",
        panel=_PHASE_2,
    )
    augmentation: Augmentation = setting(
        Augmentation,
        f"Strength of a random distortion, as name=value: {', '.join(fields_of(Augmentation))}. "
        "They need a trained backbone.",
        panel=_PHASE_2,
        option="augment",
    )
    augmentation_fade: float = setting(
        0.0, "Share of phase 2, at its end, over which the distortions fade.", panel=_PHASE_2, at_least=0, at_most=1
    )
    curve: bool = setting(
        True,
        "Measure one random batch of test pairs after every update (report, section 3.2.2); it decides nothing.",
        panel=_PHASE_2,
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.cross_fitting == 1:
            raise UsageError("cross_fitting must be 0 or >= 2, as each part needs others to train on; got 1")
        if self.cross_fitting and self.validation:
            raise UsageError(
                f"validation={self.validation:g} and cross_fitting={self.cross_fitting} both say what threshold and "
                "calibration are fitted on; set one of them to 0"
            )
        if not self.backbone_learning_rate:
            idle = {
                "backbone_optimizer": self.backbone_optimizer != "adam",
                "backbone_every": self.backbone_every != 1,
                "precision": self.precision != "float32",
                "augmentation": bool(self.augmentation),
            }
            for name in (name for name, is_set in idle.items() if is_set):
                raise UsageError(f"{name} has no effect on a frozen backbone; set backbone_learning_rate > 0 as well")
