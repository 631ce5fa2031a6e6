"""A verifier as a scikit-learn classifier over pairs, for cross-validation, pipelines and model selection."""

import dataclasses
import math
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
from siamese_mnist.evaluation import fit_decision
from siamese_mnist.inference.verifier import Verifier
from siamese_mnist.parts.designs import build_model
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.phases import silent, train

_CALIBRATION_PAIRS = 10_000
_CLASSES = 10  # of heads that ask; none that trains on pairs uses it


class SiameseClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Decides whether two images show the same class; learns that from pairs alone.

    A row of `X` is a pair: the pixels of the left image, then those of the right one, both flattened row by row, light
    strokes on dark ground. Of the two values in `y` the greater one, `classes_[1]`, means *same*: True, or 1. The
    range of the training pixels is mapped on the 256 levels that the networks see; later ones are clipped to it.

    Pairs have no class labels, so there is no phase 1: backbone and head are trained together on the pairs.

    Args:
        variant: name in `VARIANTS`, one that trains on pairs.
        backbone: name in `BACKBONES`; None takes the variant's or the recipe's.
        head: name in `HEADS`; None likewise.
        loss: name in `LOSSES`, one that trains on pairs; None likewise.
        epochs: passes over the pairs.
        batch_size: pairs per update.
        learning_rate: Adam's step size of the head.
        backbone_learning_rate: Adam's step size of the backbone.
        image_size: height and width of an image, or None to take it from the rows: a square if half a row is one, else
            one line of pixels; a row of odd length then gets a blank pixel at its end.
        random_state: seed of initial values and batches.

    Attributes:
        classes_: (2,) the values of `y`, different first.
        image_size_: height and width of an image.
        pixel_range_: least and largest pixel seen in training.
        verifier_: the trained `Verifier`, which takes uint8 images.
        n_features_in_: length of a row.

    `cross_val_score(SiameseClassifier(epochs=3), X, same)` works as with any classifier, for rows `X` made by
    `np.concatenate([left.reshape(len(left), -1), right.reshape(len(right), -1)], axis=1)`.

    Example:
        >>> SiameseClassifier(epochs=3).set_params(variant="baseline").get_params()["variant"]
        'baseline'
    """

    def __init__(
        self,
        variant: str = "siamese",
        *,
        backbone: str | None = "convnet",
        head: str | None = None,
        loss: str | None = None,
        epochs: int = 5,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        backbone_learning_rate: float = 1e-3,
        image_size: tuple[int, int] | None = (28, 28),
        random_state: Any = None,
    ) -> None:
        self.variant = variant
        self.backbone = backbone
        self.head = head
        self.loss = loss
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.backbone_learning_rate = backbone_learning_rate
        self.image_size = image_size
        self.random_state = random_state

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
        settings = Settings.resolve(
            self.variant,
            backbone=self.backbone,
            head=self.head,
            loss=self.loss,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            backbone_learning_rate=self.backbone_learning_rate,
            supervision="pairs",
            pretrain_epochs=0,
            curve=False,
        )
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        images, rows = np.unique(self._images(table)[:, None], axis=0, return_inverse=True)
        left, right = torch.from_numpy(rows.reshape(2, len(table)))
        pairs = Pairs(left, right, torch.from_numpy(truth.astype(bool)))
        data = LabeledImages(torch.from_numpy(images), torch.zeros(len(images), dtype=torch.int64))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build_model(
                design=settings.design,
                **dataclasses.asdict(settings.parts),
                image_size=self.image_size_,
                classes=_CLASSES,
            )
            if "pairs" not in model.supervisions:
                what = settings.parts.loss or settings.parts.head
                raise UsageError(f"{what!r} needs class labels, which pairs do not have; choose another")
            generator = torch.Generator().manual_seed(seed)
            train(model, data, pairs, settings.protocol, generator=generator, progress=silent)
        chosen = slice(_CALIBRATION_PAIRS)
        untuned = fit_decision([0.0, 1.0], [False, True])
        self.verifier_ = Verifier(model, untuned, image_size=self.image_size_)
        scores = self.verifier_.score_rows(images, left[chosen].numpy(), right[chosen].numpy())
        self.verifier_.decision = fit_decision(scores, truth[chosen].astype(bool), threshold=model.threshold)
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
        if self.image_size is not None:
            height, width = self.image_size
            if features != 2 * height * width:
                raise UsageError(
                    f"a row of X must hold two images of {height} x {width}, that is {2 * height * width} pixels, got "
                    f"{features} feature(s); set image_size"
                )
            return height, width
        pixels = -(-features // 2)
        side = math.isqrt(pixels)
        return (side, side) if side * side == pixels else (1, pixels)

    def _images(self, table: NDArray[Any]) -> NDArray[np.uint8]:
        """Images of pairs (P, 2 H W): (2 P, H, W), left ones first."""
        low, high = self.pixel_range_
        height, width = self.image_size_
        levels = np.clip((table.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1) * 255
        levels = np.pad(levels, ((0, 0), (0, 2 * height * width - levels.shape[1])))
        sides = np.rint(levels).astype(np.uint8).reshape(len(table), 2, height, width)
        return np.ascontiguousarray(sides.swapaxes(0, 1)).reshape(-1, height, width)
