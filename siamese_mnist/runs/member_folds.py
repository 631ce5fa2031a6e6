"""Cross-fitting within an ensemble: each member leaves out some classes, and is asked about these alone.

So every class trains the ensemble, and threshold and calibration still come from scores of networks that had not seen
the class. These are scores of single members; the whole ensemble's vary less, so that its probabilities lean to the
careful side.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from siamese_mnist.data import LabeledImages, SplitDataset
from siamese_mnist.data.folds import folds_of
from siamese_mnist.data.streams import Purpose, stream
from siamese_mnist.parts.designs import Design
from siamese_mnist.parts.losses import Supervision
from siamese_mnist.runs.assessment import Fitted, Fitting, drawn_fitting_pairs, fit, fit_unseen, pooled
from siamese_mnist.settings.protocol import TrainingProtocol

TOLD = "classes that a member left out"
_ASKED = 5_000  # images of a member at most: twelve million pairs


class LeftOut(NamedTuple):
    """What the members of an ensemble do not train on.

    Attributes:
        classes: K, of the data set.
        members: (V K,) int64, for each class that is trained on the member that does not see it; the K classes come V
            times, as they are and in other positions, and are left out in all of them.
    """

    classes: int
    members: Tensor


def can_fold(model: Design, dataset: SplitDataset, supervision: Supervision, protocol: TrainingProtocol) -> bool:
    """Whether there are classes to leave out, and members that train on labels from scratch."""
    new_classes = dataset.validation is not None and dataset.validation_classes is not None
    from_scratch = not protocol.pretrain_epochs and protocol.backbone_learning_rate > 0
    return new_classes and from_scratch and supervision == "labels" and model.member(0) is not None


def leave_out(members: int, classes: int, trained: int) -> LeftOut:
    """Gives each class to a member, two or more to each, and to no member where there are more members.

    Args:
        members: of the ensemble.
        classes: of the data set.
        trained: classes that are trained on, a multiple of `classes`.
    """
    return LeftOut(classes, folds_of(classes, min(members, classes // 2)).repeat(trained // classes))


def fit_members(
    model: Design, data: LabeledImages, left_out: LeftOut, protocol: TrainingProtocol, generator: torch.Generator
) -> Fitted | None:
    """Threshold and calibration from what every member says of the classes that it left out, as they are.

    Of many images a member is asked about some, drawn at random.

    Args:
        model: an ensemble.
        data: what it was trained on, on the CPU.
        left_out: by whom.
        protocol: how pairs are drawn.
        generator: see `fit`.

    Returns:
        None if there are too few images for pairs of both kinds.
    """
    device = next(model.parameters()).device
    by_member = left_out.members[data.labels]
    parts, asked = [], []
    for number in left_out.members.unique().tolist():
        alone = model.member(number)
        assert alone is not None
        rows = ((data.labels < left_out.classes) & (by_member == number)).nonzero().squeeze(1)
        if len(rows) > _ASKED:
            rows = rows[torch.randperm(len(rows), generator=stream(protocol.pair_seed, Purpose.ASKED_IMAGES))[:_ASKED]]
        own = data.select(rows)
        pairs = drawn_fitting_pairs(own.labels, protocol)
        if pairs is not None:
            parts.append(fit(alone, Fitting(own.to(device), pairs, True, True), protocol, generator).calibration)
            asked.append(own)
    if not parts:
        return None
    calibration = pooled(parts, asked)
    return Fitted(fit_unseen(calibration.scores, calibration.same, None), calibration)
