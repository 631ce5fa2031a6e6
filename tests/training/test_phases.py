"""The two phases: what learns, what stays, and what the curves hold."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch

from siamese_mnist import draw_pairs
from siamese_mnist.parts import designs as models
from siamese_mnist.parts.designs import build_model
from siamese_mnist.parts.heads import pretraining_head
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.observers import HeldOutCurve
from siamese_mnist.training.phases import class_accuracy, pretrain, train

TRAIN_PAIRS, BATCH, EPOCHS = 500, 64, 2
UPDATES_PER_EPOCH = math.ceil(TRAIN_PAIRS / BATCH)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def silent(stage, done, total):
    pass


def build(variant, **parts):
    """An untrained model; the initial values are the same every time."""
    chosen = Settings.resolve(variant, **parts)
    torch.manual_seed(0)
    parts = {name: getattr(chosen.parts, name) for name in chosen.parts.__dataclass_fields__}
    return build_model(design=chosen.design, **parts, image_size=(28, 28), classes=10)


@pytest.fixture(scope="module")
def pairs(small):
    return draw_pairs(small.train.labels, TRAIN_PAIRS, generator=seeded())


@pytest.fixture(scope="module")
def test_pairs(small):
    return draw_pairs(small.test.labels, 200, generator=seeded())


@pytest.fixture(scope="module")
def pretrained(small):
    """Models after phase 1, by variant, and the curve of it; copy before training them."""
    after = {}
    for variant in ("baseline", "siamese"):
        model = build(variant)
        head = pretraining_head(model.backbone.feature_dim, 10)
        curve = pretrain(model, head, small.train, TrainingProtocol(), generator=seeded(), progress=silent)
        after[variant] = (model, head, curve)
    return after


def second_phase(model, small, pairs, test_pairs=None, *, seed=0, progress=silent, **changes):
    protocol = TrainingProtocol(**{"epochs": EPOCHS, "batch_size": BATCH, "supervision": "pairs", **changes})
    held_out = None
    if test_pairs:
        frozen = not protocol.backbone_learning_rate
        held_out = HeldOutCurve(
            model.eval(), small.test, test_pairs, size=BATCH, frozen=frozen, generator=seeded(seed + 1)
        )
    observers = [held_out] if held_out else []
    trained = train(model, small.train, pairs, protocol, generator=seeded(seed), progress=progress, observers=observers)
    return trained.curve(model.threshold, held_out)


def state(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def unchanged(module, before):
    return {name: torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_pretraining_learns(small, pretrained, variant):
    model, head, curve = pretrained[variant]
    assert curve.epoch.tolist() == [1] * 10 + [2] * 10
    assert curve.loss.shape == curve.accuracy.shape == (20,)
    assert curve.validation_loss.shape == curve.validation_accuracy.shape == (0,)
    assert curve.loss[-4:].mean() < 0.6 * curve.loss[:4].mean()
    assert curve.accuracy[-4:].mean() > curve.accuracy[:4].mean() + 0.2
    assert class_accuracy(model, head, small.test) > 0.3


def test_class_accuracy_is_a_share(small, pretrained):
    model, head, _ = pretrained["siamese"]
    predicted = head(model.eval().backbone(small.test.images / 255)).argmax(1)
    right = sum(a == b for a, b in zip(predicted.tolist(), small.test.labels.tolist(), strict=True))
    assert class_accuracy(model, head, small.test) == pytest.approx(right / 300, abs=1e-9)


def test_no_pretraining(small):
    model = build("siamese")
    before = state(model)
    head = pretraining_head(model.backbone.feature_dim, 10)
    protocol = TrainingProtocol(pretrain_epochs=0)
    curve = pretrain(model, head, small.train, protocol, generator=seeded(), progress=silent)
    assert [len(column) for column in curve] == [0] * 7
    assert all(unchanged(model, before).values())


@pytest.mark.parametrize(
    ("variant", "supervision"), [("baseline", "pairs"), ("siamese", "pairs"), ("siamese", "labels")]
)
def test_frozen_means_frozen(small, pretrained, pairs, test_pairs, variant, supervision):
    """Phase 2 leaves every weight and every moving statistic of the backbone bit-identical."""
    model = copy.deepcopy(pretrained[variant][0])
    backbone, head = state(model.backbone), state(model.head)
    assert any(name.endswith("running_var") for name in backbone)
    second_phase(model, small, pairs, test_pairs, supervision=supervision)
    assert all(unchanged(model.backbone, backbone).values())
    weights = {
        name: same for name, same in unchanged(model.head, head).items() if "project" in name or "layers" in name
    }
    assert weights
    assert not any(weights.values())
    assert not model.training
    assert all(not module.training for module in model.modules())


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_a_learning_rate_thaws_the_backbone(small, pretrained, pairs, test_pairs, variant):
    model = copy.deepcopy(pretrained[variant][0])
    before = state(model.backbone)
    curve = second_phase(model, small, pairs, test_pairs, epochs=1, backbone_learning_rate=1e-3)
    assert not any(unchanged(model.backbone, before).values())
    assert len(curve.validation_loss) == UPDATES_PER_EPOCH
    assert all(not module.training for module in model.modules())


def test_backbone_waits_for_its_turn(small, pretrained, pairs):
    """With an update of the backbone after every ninth of the head, eight leave it as it is."""
    model = copy.deepcopy(pretrained["siamese"][0])
    before = {name: tensor.detach().clone() for name, tensor in model.backbone.named_parameters()}
    second_phase(model, small, pairs, epochs=1, backbone_learning_rate=1e-3, backbone_every=UPDATES_PER_EPOCH + 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.backbone.named_parameters())
    second_phase(model, small, pairs, epochs=1, backbone_learning_rate=1e-3, backbone_every=UPDATES_PER_EPOCH)
    assert not any(torch.equal(tensor, before[name]) for name, tensor in model.backbone.named_parameters())


@pytest.mark.parametrize(
    ("variant", "supervision"), [("baseline", "pairs"), ("siamese", "pairs"), ("siamese", "labels")]
)
def test_curve(small, pretrained, pairs, test_pairs, variant, supervision):
    told = []
    curve = second_phase(
        copy.deepcopy(pretrained[variant][0]),
        small,
        pairs,
        test_pairs,
        supervision=supervision,
        progress=lambda *each: told.append(each),
    )
    updates = EPOCHS * UPDATES_PER_EPOCH
    assert told == [("phase 2", done, updates) for done in range(1, updates + 1)]
    assert curve.epoch.tolist() == [1] * UPDATES_PER_EPOCH + [2] * UPDATES_PER_EPOCH
    assert [len(column) for column in curve] == [updates] * 7
    for column in curve[1:]:
        assert torch.isfinite(column).all()
    for column in (curve.accuracy, curve.validation_accuracy):
        assert column.min() >= 0
        assert column.max() <= 1
        assert column[-UPDATES_PER_EPOCH:].mean() > 0.5


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_second_phase_learns(small, pretrained, pairs, variant):
    curve = second_phase(copy.deepcopy(pretrained[variant][0]), small, pairs, epochs=6)
    assert curve.loss[-UPDATES_PER_EPOCH:].mean() < 0.8 * curve.loss[:UPDATES_PER_EPOCH].mean()
    assert curve.validation_loss.shape == curve.validation_accuracy.shape == (0,)


def test_the_validation_batch_decides_nothing(small, pretrained, pairs, test_pairs):
    """Test images may show in the curve, never in the weights."""
    dark = dataclasses.replace(small, test=small.test._replace(images=torch.zeros_like(small.test.images)))
    first, second = (copy.deepcopy(pretrained["baseline"][0]) for _ in range(2))
    seen, unseen = (second_phase(*each, pairs, test_pairs) for each in ((first, small), (second, dark)))
    assert all(unchanged(first, state(second)).values())
    assert torch.equal(seen.loss, unseen.loss)
    assert not torch.equal(seen.validation_loss, unseen.validation_loss)


@pytest.mark.parametrize("pairs_per_block", [BATCH, 3 * BATCH, 100])
def test_bank_in_blocks(small, pretrained, pairs, monkeypatch, pairs_per_block):
    """Where memory holds some pairs' features at a time, training goes on as if it held all."""
    whole, blocks = (copy.deepcopy(pretrained["baseline"][0]) for _ in range(2))
    expected = second_phase(whole, small, pairs)
    monkeypatch.setattr(models.base, "_BANK_BYTES", pairs_per_block * 1536 * 4)
    assert blocks.pairs_per_bank(pairs) == pairs_per_block
    backbone = state(blocks.backbone)
    curve = second_phase(blocks, small, pairs)
    assert all(unchanged(blocks.backbone, backbone).values())
    torch.testing.assert_close(curve.loss, expected.loss, rtol=1e-3, atol=1e-4)
    assert torch.equal(curve.epoch, expected.epoch)


def test_progress_of_bank_in_blocks_ends_at_its_total(small, pretrained, pairs, monkeypatch):
    """A block that is no multiple of the batch must not make more updates than announced."""
    told = []
    monkeypatch.setattr(models.base, "_BANK_BYTES", 100 * 1536 * 4)
    model = copy.deepcopy(pretrained["baseline"][0])
    second_phase(model, small, pairs, progress=lambda *each: told.append(each))
    assert {total for _, _, total in told} == {len(told)}


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_the_generator_alone_decides(small, pretrained, pairs, variant):
    models_ = [copy.deepcopy(pretrained[variant][0]) for _ in range(3)]
    for number, (model, seed) in enumerate(zip(models_, (0, 0, 1), strict=True)):
        torch.manual_seed(number)
        second_phase(model, small, pairs, epochs=1, seed=seed)
    assert all(unchanged(models_[1], state(models_[0])).values())
    assert not all(unchanged(models_[2], state(models_[0])).values())


def test_schedule_ends_at_no_step(small, pretrained, pairs):
    """The last of many updates under a falling step size moves the weights far less than the first."""
    model = copy.deepcopy(pretrained["siamese"][0])
    moved, last = [], [next(model.head.parameters()).detach().clone()]

    def watch(*_):
        now = next(model.head.parameters()).detach().clone()
        moved.append(float((now - last[0]).abs().mean()))
        last[0] = now

    second_phase(model, small, pairs, schedule="cosine", progress=watch)
    assert moved[-1] < 0.1 * moved[0]


def test_weight_decay_shrinks(small, pretrained, pairs):
    plain, decayed = (copy.deepcopy(pretrained["baseline"][0]) for _ in range(2))
    second_phase(plain, small, pairs)
    second_phase(decayed, small, pairs, weight_decay=10.0)
    assert decayed.head.layers[0].weight.norm() < 0.95 * plain.head.layers[0].weight.norm()


def test_the_curve_has_the_step_size_of_every_update(small, pretrained, pairs):
    model = copy.deepcopy(pretrained["siamese"][0])
    curve = second_phase(model, small, pairs, schedule="cosine", learning_rate=0.01)
    updates = EPOCHS * UPDATES_PER_EPOCH
    expected = [0.005 * (1 + math.cos(math.pi * update / updates)) for update in range(updates)]
    np.testing.assert_allclose(curve.learning_rate.numpy(), expected, rtol=1e-6)
    assert bool((curve.seconds > 0).all())
