"""Which images threshold and calibration are fitted on."""

import dataclasses

import numpy as np
import pytest
import torch

import siamese_mnist as sm
from siamese_mnist.data import LabeledImages, hold_back, split_dataset
from siamese_mnist.data.typical import Typical
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration
from siamese_mnist.runs import experiment
from siamese_mnist.runs.assessment import CALIBRATION_PAIRS, pooled
from siamese_mnist.runs.experiment import learn, run
from siamese_mnist.runs.store import read_config
from siamese_mnist.settings.settings import Settings


def settings_of(short, variant="siamese", **changes):
    return Settings.resolve(variant, **short, **{"curve": False, "pretrain_epochs": 0} | changes)


def known(data):
    return {image.numpy().tobytes() for image in data.images}


def test_a_tenth_of_every_class_is_kept_and_not_trained_on(small):
    kept = hold_back(split_dataset(small), 0.1)
    assert not known(kept.train) & known(kept.validation)
    assert known(kept.train) | known(kept.validation) == known(small.train)
    sizes = torch.bincount(small.train.labels)
    assert torch.equal(torch.bincount(kept.validation.labels), (0.1 * sizes).round().long())
    again = hold_back(split_dataset(small), 0.1)
    assert again.validation.images.equal(kept.validation.images)
    assert hold_back(kept, 0.5) is kept


def test_all_impostor_pairs_of_validation_images_are_kept(small, short):
    """A design that embeds scores them in one go; a stacked one would pass each through its network."""
    dataset = hold_back(split_dataset(small), 0.1)
    images, labels = dataset.validation.images, dataset.validation.labels
    found = learn(settings_of(short), dataset)
    left, right = torch.triu_indices(len(labels), len(labels), 1)
    scores = found.model.score_matrix(images, images)[left, right][labels[left] != labels[right]]
    tail = found.calibration.tail
    assert tail.pairs == len(scores)
    torch.testing.assert_close(torch.from_numpy(tail.scores).float(), scores.sort(descending=True).values)
    assert learn(settings_of(short, "baseline"), dataset).calibration.tail is None


@pytest.mark.parametrize("variant", ["siamese", "baseline"])
def test_validation_images_reach_the_decision_and_nothing_else(small, short, variant):
    settings = settings_of(short, variant)
    dataset = hold_back(split_dataset(small), 0.1)
    noise = torch.randint(256, dataset.validation.images.shape, generator=torch.Generator().manual_seed(0)).byte()
    other = dataclasses.replace(dataset, validation=dataset.validation._replace(images=noise))
    found, noisy = learn(settings, dataset), learn(settings, other)
    assert found.decision.fitted_on == "validation images"
    assert 0 < found.decision.pairs <= CALIBRATION_PAIRS
    assert found.decision.slope != noisy.decision.slope
    for one, two in zip(found.model.state_dict().values(), noisy.model.state_dict().values(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("variant", ["siamese", "siamese-agreement"])
def test_the_threshold_for_new_classes_comes_from_classes_that_are_not_trained_on(small, short, variant):
    """A head that decides by itself is told, too: its own threshold is that of the classes it knows."""
    dataset = split_dataset(small, "classes")
    found = learn(settings_of(short, variant, train_pairs=300), dataset)
    assert found.decision.fitted_on == "validation images of new classes"
    assert found.decision.threshold != found.model.threshold
    assert found.decision.pairs > CALIBRATION_PAIRS / 5
    known = dataclasses.replace(dataset, validation_classes=None)
    assert learn(settings_of(short, variant, train_pairs=300), known).decision.fitted_on == "validation images"


def test_without_validation_images_training_pairs_are_used_and_it_says_so(small, short):
    found = learn(settings_of(short, validation=0.0), split_dataset(small))
    assert (found.decision.fitted_on, found.decision.pairs) == ("training images", 2000)


def test_runs_of_before_kept_no_images(short):
    settings = settings_of(short, validation=0.1)
    values = settings.as_dict()
    del values["protocol"]["validation"]
    assert Settings.from_dict(values).protocol.validation == 0


@pytest.mark.parametrize("grouped", [False, True])
def test_pairs_of_two_parts_share_groups_but_no_images(grouped):
    """Each part counts its own images from 0 on."""
    sides = np.array([0, 2]), np.array([1, 0])
    part = Calibration(
        scores=np.array([1.0, 2.0]), same=np.array([False, True]), left=sides[0], right=sides[1], unseen=True
    )
    groups = torch.arange(4) if grouped else None
    images = LabeledImages(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 0, 1, 1]), groups)
    both = pooled([part, part], [images, images])
    rows = np.stack([both.left, both.right])
    np.testing.assert_array_equal(rows[:, :2], sides)
    np.testing.assert_array_equal(rows[:, 2:], np.stack(sides) + (0 if grouped else 4))


def test_cross_fitting_keeps_all_impostor_pairs_of_its_parts(small, short, monkeypatch):
    parts = []
    fit = experiment.fit

    def noted(model, fitting, *others):
        parts.append((model, fitting.data))
        return fit(model, fitting, *others)

    monkeypatch.setattr(experiment, "fit", noted)
    found = learn(settings_of(short, train_pairs=300, cross_fitting=3), split_dataset(small)).calibration
    scores = []
    for model, data in parts[1:]:
        left, right = torch.triu_indices(len(data.labels), len(data.labels), 1)
        impostor = data.labels[left] != data.labels[right]
        scores.append(model.score_matrix(data.images, data.images)[left, right][impostor])
    every = torch.cat(scores).sort(descending=True).values
    assert found.tail.pairs == len(every)
    torch.testing.assert_close(torch.from_numpy(found.tail.scores).float(), every[: found.tail.scores.size])
    assert found.tail.scores.size > 20_000
    assert found.tail.clusters.max() + 1 == len(small.train.labels)


@pytest.mark.parametrize("variant", ["siamese", "baseline"])
def test_cross_fitting_changes_the_decision_and_nothing_else(small, short, variant):
    dataset = split_dataset(small)
    plain = learn(settings_of(short, variant, train_pairs=300), dataset)
    crossed = learn(settings_of(short, variant, train_pairs=300, cross_fitting=2), dataset)
    assert crossed.decision.fitted_on == "left-out training images"
    assert crossed.decision.pairs == len(crossed.calibration.same) > plain.decision.pairs
    assert crossed.calibration.unseen
    assert crossed.decision.slope != plain.decision.slope
    for one, two in zip(plain.model.state_dict().values(), crossed.model.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_no_model_of_cross_fitting_is_fitted_on_images_that_it_has_seen(small, short, monkeypatch):
    """Each part is left out of one training, and judged by that model alone."""
    parts = []
    fit = experiment.fit

    def noted(model, fitting, *others):
        parts.append(fitting)
        return fit(model, fitting, *others)

    monkeypatch.setattr(experiment, "fit", noted)
    learn(settings_of(short, train_pairs=300, cross_fitting=3), split_dataset(small))
    assert [part.unseen for part in parts] == [False, True, True, True]
    images = [known(part.data) for part in parts[1:]]
    assert set.union(*images) == known(small.train)
    assert sum(len(part.data.labels) for part in parts[1:]) == len(small.train.labels)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cross_fitting": 1}, "cross_fitting must be 0 or >= 2"),
        ({"cross_fitting": 2, "validation": 0.1}, "set one of them to 0"),
        ({"cross_fitting": 2, "split": "classes"}, "has no effect"),
    ],
)
def test_cross_fitting_that_cannot_be_is_refused(tmp_path, short, changes, told):
    with pytest.raises(UsageError, match=told):
        run("siamese", runs_dir=tmp_path, curve=False, pretrain_epochs=0, train_pairs=50, **short, **changes)


def test_parts_without_two_images_of_a_class_are_refused(small, short):
    """They would give no same pairs, and images that were trained on would decide."""
    rows = torch.cat([(small.train.labels == label).nonzero().flatten()[:5] for label in range(10)])
    dataset = dataclasses.replace(split_dataset(small), train=small.train.select(rows))
    with pytest.raises(UsageError, match="give 10 or more training images of every class, or"):
        learn(settings_of(short, train_pairs=40, cross_fitting=5), dataset)
    assert learn(settings_of(short, train_pairs=40, cross_fitting=2), dataset).calibration.unseen


def test_what_images_are_typical_is_told_of_validation_images(small, short, tmp_path):
    """Their embeddings are those that the decision was fitted on, and as if they were made anew."""
    found = run("siamese", runs_dir=tmp_path, **short, validation=0.2)
    dataset = hold_back(split_dataset(small), 0.2)
    expected = Typical.of(dataset.train, dataset.validation.images, sm.load(found.run_dir).model.embed)
    kept = Typical.from_config(read_config(found.run_dir))
    np.testing.assert_allclose(kept.farthest, expected.farthest, rtol=1e-4)
    np.testing.assert_allclose(kept.centres, expected.centres, rtol=1e-4, atol=1e-6)
