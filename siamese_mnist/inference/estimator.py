"""A verifier as a scikit-learn classifier over pairs, for cross-validation, pipelines and model selection."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from siamese_mnist.data import LabeledImages
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.errors import UsageError
from siamese_mnist.inference.verifier import Verifier
from siamese_mnist.parts.designs import build_model
from siamese_mnist.runs.assessment import CALIBRATION_PAIRS, Fitting, fit
from siamese_mnist.runs.experiment import check_device
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.phases import silent, train

_CLASSES = 10  # of heads that ask; none that trains on pairs uses it
_OF_THE_TABLE = ("image_size", "channels", "device", "random_state")  # parameters that are no settings of a run

Options = Mapping[str, Any] | None


class SiameseClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Decides whether two images show the same class; learns that from pairs alone.

    A row of `X` is a pair: the pixels of the left image, then those of the right one, both flattened channel by channel
    and row by row, grey ones light on dark. Of the two values in `y` the greater one, `classes_[1]`, means *same*:
    True, or 1. The range of the training pixels is mapped on the 256 levels that the networks see; later ones are
    clipped to it.

    Pairs have no class labels, so there is no phase 1: backbone and head are trained together on the pairs. All other
    settings of a training are parameters, which a search can vary; None leaves one to the recipe or the variant. A
    trained run becomes such a classifier by `from_verifier`.

    Args:
        variant: name in `VARIANTS`, one that trains on pairs.
        recipe: name in `RECIPES`, whose settings hold where a parameter is None.
        backbone: name in `BACKBONES`.
        backbone_options: its options by name.
        head: name in `HEADS`.
        head_options: its options by name.
        loss: name in `LOSSES`, one that trains on pairs.
        loss_options: its options by name.
        miner: name in `MINERS`, for losses that take one.
        miner_options: its options by name.
        epochs: passes over the pairs.
        batch_size: pairs per update.
        learning_rate: Adam's step size of the head.
        backbone_learning_rate: step size of the backbone.
        backbone_optimizer: "adam" or "muon", how the backbone is trained.
        backbone_every: updates of the head per update of the backbone.
        schedule: name in `SCHEDULES`, course of the step sizes.
        adam_beta2: decay of Adam's second moment.
        weight_decay: decoupled weight decay.
        precision: "float32", "bfloat16" or "fastest", arithmetic of the backbone's training.
        augmentation: strengths of random distortions by name, such as `{"rotate": 10, "shift": 2}`.
        augmentation_fade: share of the training, at its end, over which they fade.
        image_size: height and width of an image, or None to take it from the rows: a square if half a row is one, else
            one line of pixels; a row of odd length then gets a blank pixel at its end.
        channels: 1 for grey images, 3 for red, green and blue.
        device: PyTorch device of the training; answers are computed on the CPU.
        random_state: seed of initial values and batches.

    Attributes:
        classes_: (2,) the values of `y`, different first.
        image_size_: height and width of an image.
        pixel_range_: least and largest pixel seen in training.
        verifier_: the trained `Verifier`, which takes uint8 images, and has operating points.
        n_features_in_: length of a row.

    `cross_val_score(SiameseClassifier(epochs=3), X, same, cv=ImageDisjointKFold(5))` works as with any classifier, for
    rows `X` made by `np.concatenate([left.reshape(len(left), -1), right.reshape(len(right), -1)], axis=1)`.

    Example:
        >>> SiameseClassifier(epochs=3).set_params(variant="baseline").get_params()["variant"]
        'baseline'
    """

    def __init__(
        self,
        variant: str = "siamese",
        *,
        recipe: str = "report",
        backbone: str | None = "convnet",
        backbone_options: Options = None,
        head: str | None = None,
        head_options: Options = None,
        loss: str | None = None,
        loss_options: Options = None,
        miner: str | None = None,
        miner_options: Options = None,
        epochs: int | None = 5,
        batch_size: int | None = 64,
        learning_rate: float | None = 1e-3,
        backbone_learning_rate: float | None = 1e-3,
        backbone_optimizer: str | None = None,
        backbone_every: int | None = None,
        schedule: str | None = None,
        adam_beta2: float | None = None,
        weight_decay: float | None = None,
        precision: str | None = None,
        augmentation: Options = None,
        augmentation_fade: float | None = None,
        image_size: tuple[int, int] | None = (28, 28),
        channels: int = 1,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.variant = variant
        self.recipe = recipe
        self.backbone = backbone
        self.backbone_options = backbone_options
        self.head = head
        self.head_options = head_options
        self.loss = loss
        self.loss_options = loss_options
        self.miner = miner
        self.miner_options = miner_options
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.backbone_learning_rate = backbone_learning_rate
        self.backbone_optimizer = backbone_optimizer
        self.backbone_every = backbone_every
        self.schedule = schedule
        self.adam_beta2 = adam_beta2
        self.weight_decay = weight_decay
        self.precision = precision
        self.augmentation = augmentation
        self.augmentation_fade = augmentation_fade
        self.image_size = image_size
        self.channels = channels
        self.device = device
        self.random_state = random_state

    @classmethod
    def from_verifier(cls, verifier: Verifier) -> Self:
        """A fitted classifier that answers as a trained verifier does, such as that of a run or a bundle.

        Rows hold its images' pixels as they are, 0 to 255; of picture files, `verifier.read` gives them. Fitting it
        again, or a clone, trains a new model.

        Args:
            verifier: what answers.
        """
        fitted = cls(image_size=verifier.image_size, channels=verifier.channels)
        fitted.classes_ = np.array([False, True])
        fitted.image_size_ = verifier.image_size
        fitted.pixel_range_ = 0.0, 255.0
        fitted.n_features_in_ = 2 * verifier.channels * math.prod(verifier.image_size)
        fitted.verifier_ = verifier
        return fitted

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Trains on pairs.

        Args:
            X: (P, 2 H W) real numbers, see the class.
            y: (P,) two values, the greater one for *same*.

        Raises:
            ValueError: if X is not such a table, y does not hold exactly two classes, or a setting is wrong.
        """
        table, target = validate_data(self, X, y)
        check_classification_targets(target)
        kind = type_of_target(target, input_name="y", raise_unknown=True)
        self.classes_, truth = np.unique(target, return_inverse=True)
        if len(self.classes_) > 2:
            raise UsageError(
                f"Only binary classification is supported. The type of the target is {kind}: y has "
                f"{len(self.classes_)} classes; give same (True) and different (False)"
            )
        if len(self.classes_) < 2:
            raise UsageError("y holds one class only; give pairs of both, same (True) and different (False)")
        self.image_size_ = self._size(table.shape[1])
        self.pixel_range_ = float(table.min()), float(table.max())
        chosen = {name: value for name, value in self.get_params(deep=False).items() if name not in _OF_THE_TABLE}
        settings = Settings.resolve(**_named(chosen), supervision="pairs", pretrain_epochs=0, curve=False)
        check_device(self.device)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        images, rows = np.unique(self._images(table), axis=0, return_inverse=True)
        left, right = torch.from_numpy(rows.reshape(2, len(table)))
        pairs = Pairs(left, right, torch.from_numpy(truth.astype(bool)))
        data = LabeledImages(torch.from_numpy(images), torch.zeros(len(images), dtype=torch.int64)).to(self.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build_model(
                design=settings.design,
                **dataclasses.asdict(settings.parts),
                image_size=self.image_size_,
                channels=self.channels,
                classes=_CLASSES,
            ).to(self.device)
            if "pairs" not in model.supervisions:
                what = settings.parts.loss or settings.parts.head
                raise UsageError(f"{what!r} needs class labels, which pairs do not have; choose another")
            generator = torch.Generator().manual_seed(seed)
            train(model, data, pairs, settings.protocol, generator=generator, progress=silent)
            some = torch.randperm(len(table), generator=generator)[:CALIBRATION_PAIRS]
            fitting = Fitting(data, Pairs(*(column[some] for column in pairs)), unseen=False)
            decision, calibration, _ = fit(model, fitting, settings.protocol, generator)
        self.verifier_ = Verifier(
            model.cpu(),
            decision,
            image_size=self.image_size_,
            channels=self.channels,
            calibration=calibration,
        )
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score above the threshold for pairs (P, 2 H W): (P,), > 0 for *same*."""
        scores = self._scores(X)
        margin = scores - self.verifier_.decision.threshold
        # A score at the threshold means "same" here, a margin of 0 the first class in scikit-learn.
        return np.where(margin == 0, np.nextafter(0, 1), margin)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of *different* and *same* for pairs (P, 2 H W): (P, 2)."""
        scores = self._scores(X)
        same = self.verifier_.decision.probability(scores)
        same = np.where(same == 0.5, np.nextafter(0.5, 1), same)  # as for the margin: a tie goes to "same"
        return np.column_stack([1 - same, same])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Answers out of `classes_` for pairs (P, 2 H W): (P,)."""
        scores = self._scores(X)
        answers: NDArray[Any] = self.classes_[self.verifier_.decision.predict(scores).astype(int)]
        return answers

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        # Whether two halves of a row belong together is not what the labels of scikit-learn's own test data say.
        tags.classifier_tags.poor_score = True
        return tags

    def _scores(self, X: ArrayLike) -> NDArray[np.float64]:
        check_is_fitted(self)
        table = validate_data(self, X, reset=False)
        left, right = np.split(self._images(table), 2)
        return self.verifier_.score(left, right).astype(np.float64)

    def _size(self, features: int) -> tuple[int, int]:
        if self.channels not in (1, 3):
            raise UsageError(f"channels must be 1 or 3, got {self.channels!r}")
        if self.image_size is not None:
            height, width = self.image_size
            numbers = 2 * self.channels * height * width
            if features != numbers:
                colour = " in colour" if self.channels == 3 else ""
                raise UsageError(
                    f"a row of X must hold two images of {height} x {width}{colour}, that is {numbers} pixels, got "
                    f"{features} feature(s); set image_size or channels"
                )
            return height, width
        pixels = -(-features // (2 * self.channels))
        side = math.isqrt(pixels)
        return (side, side) if side * side == pixels else (1, pixels)

    def _images(self, table: NDArray[Any]) -> NDArray[np.uint8]:
        """Images of pairs (P, 2 C H W): (2 P, C, H, W), left ones first."""
        low, high = self.pixel_range_
        shape = self.channels, *self.image_size_
        levels = np.clip((table.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1) * 255
        levels = np.pad(levels, ((0, 0), (0, 2 * math.prod(shape) - levels.shape[1])))
        sides = np.rint(levels).astype(np.uint8).reshape(len(table), 2, *shape)
        return np.ascontiguousarray(sides.swapaxes(0, 1)).reshape(-1, *shape)


def _named(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as `Settings.resolve` takes them, those left to recipe and variant without."""
    entry = parameters.pop("variant")
    return {"entry": entry, **{name: value for name, value in parameters.items() if value is not None}}
