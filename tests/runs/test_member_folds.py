"""Members of an ensemble that leave out classes, and are asked about these alone."""

import numpy as np
import pytest
import torch

from siamese_mnist.data import load_dataset, split_dataset
from siamese_mnist.data.splits import joined
from siamese_mnist.evaluation import fit_logistic
from siamese_mnist.parts.backbones.convnet import ConvNet
from siamese_mnist.parts.designs.siamese import Siamese
from siamese_mnist.runs import experiment, member_folds
from siamese_mnist.runs.experiment import learn, untrained
from siamese_mnist.runs.member_folds import TOLD, leave_out
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.fields import fields_of
from siamese_mnist.settings.settings import Settings

SHORT = {
    "recipe": "new-classes",
    "train_pairs": 100,
    "batch_size": 50,
    "backbone_options": {"members": 3, "width": 4, "slants": False, "fine": False},
    "head_options": {"members": 3, "views": 1, "embedding_dim": 16, "hidden_dim": 0, "whitened": True},
    "augmentation": dict.fromkeys(fields_of(Augmentation), 0),
    "curve": False,
}


@pytest.fixture(scope="module")
def divided():
    return split_dataset(load_dataset("glyphs"), "classes+groups", 1)


def settings_of(**changes):
    return Settings.resolve("siamese", **{**SHORT, **changes})


def of_bytes(images):
    return {image.numpy().tobytes() for image in images}


@pytest.mark.parametrize(("members", "classes", "sizes"), [(4, 25, (7, 6, 6, 6)), (5, 8, (2, 2, 2, 2)), (2, 4, (2, 2))])
def test_every_class_is_left_out_by_one_member_in_every_position(members, classes, sizes):
    left_out = leave_out(members, classes, 4 * classes)
    assert tuple(left_out.members[:classes].bincount().tolist()) == sizes
    assert torch.equal(left_out.members, left_out.members[:classes].repeat(4))


def test_validation_classes_become_further_training_classes(divided):
    whole = joined(divided)
    assert whole.classes == (*divided.classes, *divided.validation_classes)
    assert whole.validation is None
    assert whole.validation_classes is None
    assert of_bytes(whole.train.images) == of_bytes(divided.train.images) | of_bytes(divided.validation.images)
    count = len(divided.train.labels)
    names = [divided.validation_classes[label] for label in divided.validation.labels.tolist()]
    assert [whole.classes[label] for label in whole.train.labels[count:].tolist()] == names
    assert torch.equal(whole.train.labels[:count], divided.train.labels)
    assert torch.equal(whole.train.groups[count:], divided.validation.groups)
    assert of_bytes(whole.test.images) == of_bytes(divided.test.images)


def test_no_member_sees_a_class_that_it_is_asked_about(divided, monkeypatch):
    """All that each network is shown in training, and all that decides, image by image."""
    shown, asked = [set(), set(), set()], []
    plain, fit = ConvNet._each, experiment.fit_members.__globals__["fit"]

    def noted(net, seen):
        if net.training:
            for kept, images in zip(shown, seen, strict=True):
                kept |= {image.tobytes() for image in images.mul(0.31).add(0.13).mul(255).round().byte().numpy()}
        return plain(net, seen)

    def asking(model, fitting, *others):
        asked.append((model.backbone.members[0], fitting))
        return fit(model, fitting, *others)

    monkeypatch.setattr(ConvNet, "_each", noted)
    monkeypatch.setitem(experiment.fit_members.__globals__, "fit", asking)
    learned = learn(settings_of(train_pairs=600), divided)
    networks = list(learned.model.backbone.members)
    assert [network for network, _ in asked] == networks
    every = [of_bytes(fitting.data.images) for _, fitting in asked]
    assert set.union(*every) == of_bytes(joined(divided).train.images)
    for number in range(3):
        assert shown[number]
        assert not shown[number] & every[number]
        assert any(shown[number] & other for other in every)
    assert learned.decision.fitted_on == TOLD
    assert learned.calibration.unseen
    labels = [fitting.data.labels for _, fitting in asked]
    impostor = sum(int((each[:, None] != each).sum()) // 2 for each in labels)
    assert learned.calibration.tail.pairs == impostor > 40_000
    assert learned.calibration.tail.clusters.max() + 1 == len(joined(divided).train.groups.unique())
    assert learned.decision.pairs == len(learned.calibration.same) == sum(len(each.pairs.same) for _, each in asked)
    expected = fit_logistic(learned.calibration.scores, learned.calibration.same)
    assert learned.decision.threshold == expected.threshold
    assert learned.model.head.left_out is None


def test_the_scores_that_decide_are_those_of_the_members_alone(divided):
    learned = learn(settings_of(), divided)
    whole = joined(divided).train
    left_out = leave_out(3, 25, 25).members[whole.labels]
    own = whole.select(left_out == 0)
    alone = learned.model.member(0)
    scores = alone.score_matrix(own.images, own.images).numpy()
    first = learned.calibration.scores[: len(learned.calibration.scores) // 3]
    assert np.isin(np.round(first, 4), np.round(scores.astype(np.float64), 4)).all()


def test_of_many_images_a_member_is_asked_about_some(divided, monkeypatch):
    every = learn(settings_of(), divided).calibration.tail
    monkeypatch.setattr(member_folds, "_ASKED", 100)
    some, again = (learn(settings_of(), divided).calibration for _ in range(2))
    assert np.bincount(some.tail.parts).tolist() == [100, 100, 100] < np.bincount(every.parts).tolist()
    assert set(some.tail.labels) == set(every.labels)
    np.testing.assert_array_equal(some.scores, again.scores)


@pytest.mark.parametrize(
    "changes",
    [
        {"member_folds": False},
        {"supervision": "pairs", "loss": "contrastive"},
        {"backbone_options": {"members": 1, "width": 4}, "head_options": {"members": 1, "views": 1}},
        {"backbone_options": {"members": 2, "width": 6}, "head_options": {"members": 3, "views": 1}},
        {"pretrain_epochs": 1},
    ],
)
def test_where_members_cannot_leave_classes_out_the_validation_classes_decide(divided, changes):
    learned = learn(settings_of(**changes), divided)
    assert learned.decision.fitted_on == "validation images of new classes"


def test_a_design_that_makes_something_else_of_features_has_no_members_alone(divided):
    class Doubled(Siamese):
        def side_features(self, images, side):
            return 2 * super().side_features(images, side)

    plain, _ = untrained(settings_of(), divided)
    assert plain.member(0) is not None
    assert Doubled(plain.backbone, plain.head).member(0) is None


def test_known_classes_are_trained_on_by_all(small):
    learned = learn(settings_of(), split_dataset(small))
    assert learned.decision.fitted_on == "training images"
