"""What a run depends on besides its model and its training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from siamese_mnist.settings.fields import check_fields, setting
from siamese_mnist.settings.protocol import LARGEST_SEED

_TRAINING, _DATA = "Training", "Data"


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Recipe, images and seed; every field says in its own line what it sets."""

    recipe: str = setting("report", "Training protocol; `siamese-mnist list recipes` names them.", panel=_TRAINING)
    seed: int = setting(0, "Seed of initial values and batch order.", panel=_TRAINING, at_least=0, at_most=LARGEST_SEED)
    vary: Literal["seed", "seed,pairs", "seed,images", "seed,pairs,images"] = setting(
        "seed",
        "What differs between seeds besides initial values and batch order: `seed,pairs` draws other training pairs, "
        "`seed,images` other training images (resampled), `seed,pairs,images` both. Test pairs stay.",
        panel=_TRAINING,
        added=True,
    )
    dataset: str = setting("mnist-tenth", "Data set; `siamese-mnist list datasets` names them.", panel=_DATA)
    dataset_options: Mapping[str, Any] = setting(
        dict, "Option of the data set, as name=value.", panel=_DATA, option="dataset_arg", added=True
    )
    split: str = setting(
        "images", "What is kept for the test; `siamese-mnist list splits` names them.", panel=_DATA, added=True
    )
    fold: int | None = setting(
        None, "Which of the split's folds, from 0; none is the first.", panel=_DATA, at_least=0, added=True
    )

    def __post_init__(self) -> None:
        check_fields(self)
