"""A trained model, measured: its decision, its answers about the test pairs, and whether it has collapsed."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese_mnist.data import LabeledImages, SplitDataset
from siamese_mnist.data.augmentation import distort
from siamese_mnist.data.pairs import Pairs, draw_pairs, largest_count, pairs_digest
from siamese_mnist.data.streams import Purpose, stream
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, Decision, digit_pair_accuracy, evaluate, fit_decision, fit_logistic
from siamese_mnist.evaluation.tail import ImpostorTail, collect_tail, joined_tails, upper_tiles
from siamese_mnist.parts.designs import Design, to_unit
from siamese_mnist.runs.image_scores import ImageScores
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.training.divergence import DivergedError

CALIBRATION_PAIRS = 10_000  # of training pairs
VALIDATION_PAIRS = 20_000
_KEPT_IMPOSTORS = 20_000  # of all that validation images have
_COLLAPSED_SPREAD = 1e-3
_LOOKED_AT = 200  # images, spread over the whole set
_SHOWN_CLASSES = 62  # letters and digits


class Assessment(NamedTuple):
    """What the test pairs showed."""

    figures: dict[str, Any]  # of `test` in result.json
    scores: NDArray[np.float32]  # (P,) higher = more alike
    swapped: NDArray[np.float32]  # (P,) with the two images exchanged
    pairs_per_second: float
    scores_of: ImageScores  # of any pairs of rows of the test images


class Fitting(NamedTuple):
    """Pairs that threshold and calibration are fitted on."""

    data: LabeledImages
    pairs: Pairs  # of its rows
    unseen: bool  # whether the images are not trained on
    new_classes: bool = False  # whether their classes are not, either

    @property
    def told(self) -> str:
        """Which images these are, as results say it."""
        if self.new_classes:
            return "validation images of new classes"
        return "validation images" if self.unseen else "training images"


def fitting_pairs(dataset: SplitDataset, drawn: Pairs, protocol: TrainingProtocol, threshold: float | None) -> Fitting:
    """The pairs that threshold and calibration are fitted on: of validation images, or of training ones without any.

    Args:
        dataset: with validation images, if there are any.
        drawn: the training pairs.
        protocol: how pairs are drawn.
        threshold: of a head that decides by itself, which leaves one number to fit.

    Raises:
        UsageError: if they do not hold both same and different pairs.
    """
    check_both_kinds(drawn, "train_pairs", len(drawn.same))
    new_classes = dataset.validation_classes is not None
    share = 1 if threshold is None or new_classes else 5
    if dataset.validation is not None:
        pairs = drawn_fitting_pairs(dataset.validation.labels, protocol, VALIDATION_PAIRS // share)
        if pairs is not None:
            return Fitting(dataset.validation, pairs, True, new_classes)
    share = 1 if threshold is None else 5
    fitting = Pairs(*(column[: CALIBRATION_PAIRS // share] for column in drawn))
    check_both_kinds(fitting, "train_pairs", len(drawn.same))
    return Fitting(dataset.train, fitting, False)


def drawn_fitting_pairs(labels: Tensor, protocol: TrainingProtocol, most: int = VALIDATION_PAIRS) -> Pairs | None:
    """At most so many pairs of images with labels (N,) to fit on, or None where there are none of both kinds."""
    fraction = protocol.same_fraction
    count = min(most, largest_count(labels, fraction, self_pairs=False, mirrored=False))
    if not 0 < round(count * fraction) < count:
        return None
    generator = stream(protocol.pair_seed, Purpose.FITTING_PAIRS)
    return draw_pairs(labels, count, same_fraction=fraction, generator=generator, self_pairs=False, mirrored=False)


def check_both_kinds(pairs: Pairs, setting: str, count: int) -> None:
    """Raises UsageError, naming the setting and its value, unless there are both same and different pairs."""
    if bool(pairs.same.all()) or not bool(pairs.same.any()):
        kind = "same" if len(pairs.same) and bool(pairs.same[0]) else "different"
        raise UsageError(f"{setting} must be large enough for both same and different pairs, got {count}: all {kind}")


class Fitted(NamedTuple):
    """A decision and the scored pairs that it was fitted on."""

    decision: Decision
    calibration: Calibration
    embeddings: Tensor | None = None  # (N, E) of the images, where they are not trained on and the design embeds


def fit(model: Design, fitting: Fitting, protocol: TrainingProtocol, generator: torch.Generator) -> Fitted:
    """Threshold and calibration; images that were trained on are shown as the training saw them.

    On plain ones, a model trained on distorted images looks too sure. For classes that were not trained on, the
    threshold of a head that decides by itself is as wrong as one fitted on training classes, so all are fitted.
    """
    shown, pairs, embeddings = fitting.data, fitting.pairs, None
    if fitting.unseen:
        scores_of = ImageScores(model, shown.images)
        scores, embeddings = scores_of(pairs.left, pairs.right), scores_of.embeddings
    else:
        images = distort(to_unit(shown.images), generator, **dataclasses.asdict(protocol.augmentation))
        as_bytes = images.mul(255).round().byte()
        scores = model.score_pairs(to_unit(as_bytes), pairs.left, pairs.right).cpu().numpy()
    same = pairs.same.numpy()
    _check_finite(scores)
    threshold = None if fitting.new_classes else model.threshold
    if fitting.unseen:
        decision = fit_unseen(scores, same, threshold)
    else:
        decision = fit_decision(scores, same, threshold=threshold)
    # What makes pairs dependent: the group where there are groups, else the image.
    left, right = (side if shown.groups is None else shown.groups[side].cpu() for side in (pairs.left, pairs.right))
    kept = Calibration(
        scores=scores.astype(np.float64),
        same=same,
        left=left.numpy(),
        right=right.numpy(),
        unseen=fitting.unseen,
        tail=None if embeddings is None else _tail(model, embeddings, shown),
    )
    return Fitted(decision, kept, embeddings)


def _tail(model: Design, embeddings: Tensor, data: LabeledImages) -> ImpostorTail:
    """The highest scores of all impostor pairs of images, which low false match rates and priors ask for."""
    tiles = upper_tiles(
        len(data.labels),
        lambda rows, columns: model.embedding_matrix(embeddings[rows], embeddings[columns]).cpu().numpy(),
    )
    groups = None if data.groups is None else data.groups.cpu().numpy()
    return collect_tail(tiles, data.labels.cpu().numpy(), groups, kept=_KEPT_IMPOSTORS)


def fit_unseen(scores: NDArray[Any], same: NDArray[np.bool_], threshold: float | None) -> Decision:
    """The decision from scored pairs of images that were not trained on.

    Args:
        scores: (P,) higher = more alike.
        same: (P,) bool ground truth.
        threshold: of a head that decides by itself, or None.
    """
    return fit_logistic(scores, same) if threshold is None else fit_decision(scores, same, threshold=threshold)


def pooled(parts: Sequence[Calibration], data: Sequence[LabeledImages]) -> Calibration:
    """The scored pairs of several models as one set.

    Args:
        parts: each of one model.
        data: each one's images; images of one are none of another's, but groups are the same ones in all.
    """
    sizes = [len(images.labels) for images in data]
    starts = np.cumsum(sizes) - sizes if data[0].groups is None else np.zeros(len(sizes), np.int64)
    tails = [part.tail for part in parts if part.tail is not None]
    clusters = [
        start + np.arange(size) if images.groups is None else images.groups.cpu().numpy()
        for start, size, images in zip(starts, sizes, data, strict=True)
    ]
    return Calibration(
        scores=np.concatenate([part.scores for part in parts]),
        same=np.concatenate([part.same for part in parts]),
        left=np.concatenate([part.left + start for part, start in zip(parts, starts, strict=True)]),
        right=np.concatenate([part.right + start for part, start in zip(parts, starts, strict=True)]),
        tail=joined_tails(tails, clusters) if len(tails) == len(parts) else None,
    )


def assess(model: Design, data: LabeledImages, pairs: Pairs, decision: Decision, classes: int) -> Assessment:
    """Scores the test pairs in both orders and evaluates the answers.

    Args:
        model: a trained model.
        data: test images.
        pairs: pairs of their rows.
        decision: fitted on other images.
        classes: number of classes.

    Raises:
        DivergedError: if a score is not finite.
    """
    clock = time.perf_counter()
    scores_of = ImageScores(model, data.images)
    scores = scores_of(pairs.left, pairs.right)
    seconds = time.perf_counter() - clock
    swapped = scores_of(pairs.right, pairs.left)
    _check_finite(scores)
    _check_finite(swapped)
    figures = {
        "pairs_digest": pairs_digest(pairs),
        **evaluate(scores, pairs.same.numpy(), decision, swapped_scores=swapped),
        "digit_pairs": _by_classes(scores, data.labels.cpu().numpy(), pairs, decision, classes),
    }
    return Assessment(figures, scores, swapped, len(pairs.same) / seconds, scores_of)


def collapse(model: Design, data: LabeledImages) -> str | None:
    """A sentence if all images have nearly the same embedding, which no loss recovers from; else None.

    Some hundred images from all over `data` are looked at, which may be sorted by class.
    """
    if not model.embeds:
        return None
    embeddings = model.embed(data.images[:: max(1, len(data.images) // _LOOKED_AT)])
    spread = float(embeddings.std(0).norm() / embeddings.norm(dim=1).mean().clamp(min=1e-12))
    if spread > _COLLAPSED_SPREAD:
        return None
    return (
        f"the embeddings have collapsed: their spread is {spread:.1e} of their length; "
        "try another loss, a smaller learning rate, or a trained backbone"
    )


def _check_finite(scores: NDArray[np.float32]) -> None:
    if not np.isfinite(scores).all():
        raise DivergedError("the trained model's scores are not finite; set a smaller learning_rate")


def _by_classes(
    scores: NDArray[np.float32], labels: NDArray[np.int64], pairs: Pairs, decision: Decision, classes: int
) -> dict[str, Any] | None:
    """Accuracy and number of the test pairs of every two classes, or None for more classes than a table can show."""
    if classes > _SHOWN_CLASSES:
        return None
    correct = decision.predict(scores) == pairs.same.numpy()
    accuracy, counts = digit_pair_accuracy(correct, labels[pairs.left], labels[pairs.right], classes)
    return {
        "accuracy": [[None if np.isnan(each) else each for each in row] for row in accuracy.tolist()],
        "pairs": counts.tolist(),
    }
