"""Dense layers trained by written-out gradients, held to autograd."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F

from siamese_mnist import draw_pairs
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.parts.designs import DESIGNS, Design, build_model
from siamese_mnist.parts.heads import HEADS
from siamese_mnist.parts.heads.base import linear_layers
from siamese_mnist.parts.losses import create_loss
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.threads import Lane, threads
from siamese_mnist.testing import check_parts
from siamese_mnist.training.adam import Adam
from siamese_mnist.training.dense import DenseHead
from siamese_mnist.training.observers import HeldOutCurve, Observer
from siamese_mnist.training.phases import silent, train


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class _Noted(Adam):
    """Adam that keeps the gradients it is given."""

    def __init__(self, parameters):
        super().__init__(parameters, learning_rate=1e-3)
        self.seen = []

    def step(self):
        self.seen = [each.grad.clone() for each in self.parameters]
        super().step()


@pytest.mark.parametrize("units", [256, 5])
def test_gradients_and_steps_are_those_of_autograd(units):
    torch.manual_seed(0)
    layers = torch.nn.Linear(90, units), torch.nn.Linear(units, 32), torch.nn.Linear(32, 2)
    features, same = torch.randn(100, 90), torch.rand(64) > 0.3
    parameters = [parameter for layer in layers for parameter in (layer.weight, layer.bias)]
    expected = layers[2](F.relu(layers[1](F.relu(layers[0](features)))))
    gradients = torch.autograd.grad(F.cross_entropy(expected[:64], same.long()), parameters)
    copies = [each.detach().clone() for each in parameters]
    optimizers = []

    def noted(some):
        optimizers.append(_Noted(some))
        return optimizers[-1]

    other = torch.zeros(3)
    other.grad = torch.ones(3)
    with Lane() as lane:
        head = DenseHead(layers, [other], noted, lane)
        logits = head.forward(features)
        torch.testing.assert_close(logits, expected.detach())
        head.step((logits[:64].softmax(1) - F.one_hot(same.long(), 2)) / 64, 1e-3)
    *pieces, rest = optimizers
    assert len(pieces) == (2 if units % 2 == 0 else 1)
    torch.testing.assert_close(other, torch.full((3,), -1e-3))
    found = [torch.cat(parts) for parts in zip(*(piece.seen for piece in pieces), strict=True)] + rest.seen[:-1]
    torch.testing.assert_close(found, list(gradients), rtol=1e-4, atol=1e-7)
    adam = Adam(copies, learning_rate=1e-3)
    for copied, gradient in zip(copies, found, strict=True):
        copied.grad = gradient
    adam.step()
    assert all(torch.equal(moved, copied) for moved, copied in zip(parameters, copies, strict=True))


def test_what_the_lane_begins_early_is_what_it_gives_later():
    torch.manual_seed(0)
    layers = torch.nn.Linear(90, 256), torch.nn.Linear(256, 2)
    batches, error = torch.randn(4, 100, 90), torch.randn(64, 2)

    def outputs(early):
        own = copy.deepcopy(layers)
        with Lane() as lane:
            head = DenseHead(own, [], lambda some: Adam(some, learning_rate=1e-2), lane)
            for batch, coming in itertools.pairwise(batches):
                yield head.forward(batch)
                head.step(error, 1e-2, coming if early else None)
            yield head.forward(batches[0])  # not what was announced

    assert all(torch.equal(one, other) for one, other in zip(outputs(True), outputs(False), strict=True))


def made(variant):
    settings = Settings.resolve(variant)
    torch.manual_seed(0)
    parts = {name: getattr(settings.parts, name) for name in settings.parts.__dataclass_fields__}
    return build_model(design=settings.design, **parts, image_size=(28, 28), classes=10).eval()


@pytest.fixture(scope="module", params=["baseline", "siamese", "siamese-comparison", "pseudo-siamese", "margin"])
def model(request):
    """A loss with weights of its own and grouped batches is among them."""
    if request.param != "margin":
        return made(request.param)
    model = made("siamese")
    loss = create_loss("margin", {"learn_beta": True}, None, {}, classes=10, embedding_dim=64)
    assert loss.grouped
    assert list(loss.parameters())
    model.head.loss, model.head.grouped = loss, True
    return model


class _Idle(Observer):
    """Any observer but the curve needs the model itself after every update."""

    def after_update(self, update, view):
        pass


def of_two_images(labels, count, seed):
    """Pairs without those of an image with itself, whose distance is 0 or not, as the rounding has it."""
    pairs = draw_pairs(labels, count, generator=seeded(seed))
    return Pairs(*(column[pairs.left != pairs.right] for column in pairs))


def trained(model, small, *, aside=()):
    model = copy.deepcopy(model)
    protocol = TrainingProtocol(train_pairs=1000, schedule="cosine", weight_decay=0.1)
    pairs, tested = of_two_images(small.train.labels, 500, 1), of_two_images(small.test.labels, 100, 2)
    held_out = HeldOutCurve(model, small.test, tested, size=64, frozen=True, generator=seeded(3))
    observers = [held_out, *aside]
    left = train(model, small.train, pairs, protocol, generator=seeded(4), progress=silent, observers=observers)
    return model, left.curve(model.threshold, held_out)


def test_the_course_is_that_of_the_plain_loop(model, small):
    ours, curve = trained(model, small)
    plain, expected = trained(model, small, aside=[_Idle()])
    assert torch.equal(curve.epoch, expected.epoch)
    for name in ("loss", "validation_loss", "learning_rate"):
        torch.testing.assert_close(getattr(curve, name), getattr(expected, name), rtol=1e-3, atol=1e-4)
    for name in ("accuracy", "validation_accuracy"):
        assert (getattr(curve, name) - getattr(expected, name)).abs().max() <= 2 / 32
    for one, other in zip(ours.head.parameters(), plain.head.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4)


def test_the_number_of_cores_changes_no_bit(model, small):
    before = torch.get_num_threads()
    states, curves = [], []
    try:
        for cores in (1, 2, 3):
            torch.set_num_threads(cores)
            with threads(1):
                found, curve = trained(model, small)
            states.append(found.state_dict())
            curves.append(curve)
    finally:
        torch.set_num_threads(before)
    for state, curve in zip(states[1:], curves[1:], strict=True):
        assert all(torch.equal(state[name], values) for name, values in states[0].items())
        assert torch.equal(curve.loss, curves[0].loss)
        assert torch.equal(curve.validation_loss, curves[0].validation_loss)


def test_heads_of_dense_layers():
    loss = create_loss("contrastive", {}, None, {}, classes=10, embedding_dim=64)
    siamese = {"feature_dim": 8, "classes": 10, "loss": loss}
    assert [layer.out_features for layer in HEADS["classifier"](8).dense_layers()] == [256, 32, 2]
    assert [layer.out_features for layer in HEADS["distance"](**siamese).dense_layers()] == [256, 64]
    assert [layer.out_features for layer in HEADS["comparison"](**siamese).dense_layers()] == [256, 64]
    for one_layer, many in (({"hidden_dim": 0}, {}), ({}, {"members": 2})):
        assert not HEADS["distance"](**siamese, **one_layer, **many).dense_layers()


@pytest.mark.parametrize(
    ("name", "method"), [("classifier", "forward"), ("distance", "embed"), ("comparison", "embed")]
)
def test_a_head_with_more_to_it_trains_plainly(name, method):
    def doubled(self, features):
        return 2 * getattr(HEADS[name], method)(self, features)

    more = type("More", (HEADS[name],), {method: doubled})
    loss = create_loss("contrastive", {}, None, {}, classes=10, embedding_dim=64)
    given = {"feature_dim": 8, "classes": 10, "loss": loss}
    assert not more(**{key: given[key] for key in more.given}).dense_layers()


@pytest.mark.parametrize(
    ("variant", "method"),
    [("baseline", "_logits"), ("baseline", "pair_loss"), ("siamese", "pair_loss"), ("siamese", "bank_rows")],
)
def test_a_design_with_more_to_it_trains_plainly(variant, method):
    model = made(variant)
    assert model.dense_layers()
    model.__class__ = type("More", (type(model),), {method: lambda *_: None})
    assert not model.dense_layers()


def test_adam_moves_the_same_in_threads():
    before = torch.get_num_threads()
    moved = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            weights = torch.linspace(-1, 1, 256 * 1536 + 3).requires_grad_()
            optimizer = Adam([weights], learning_rate=1e-3)
            for step in range(3):
                weights.grad = (weights.detach() * (step + 1)).sin()
                optimizer.step()
            moved.append(weights.detach())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*moved)


def decayed(self, left, right, same, anchors):
    return self.loss.of_pairs(left, right, same, anchors) + self.project[0].weight.square().mean()


def cut(self):
    first, last = linear_layers(self.project)
    copied = copy.deepcopy(last)
    copied.weight.data[:32] = 0
    return [first, copied]


def doubled(self, outputs, same, anchors):
    return *self.output_loss(outputs, same, anchors), 2 * Design.output_gradient(self, outputs, same, anchors)[2]


@pytest.mark.parametrize(
    ("broken", "method", "put", "message"),
    [
        (HEADS["distance"], "pair_loss", decayed, "uses weights of the dense layers"),
        (HEADS["distance"], "dense_layers", cut, "output_loss of the dense layers' outputs is not pair_loss"),
        (DESIGNS["siamese"], "output_gradient", doubled, "output_gradient is not the gradient"),
    ],
)
def test_what_breaks_the_contract_is_found(monkeypatch, broken, method, put, message):
    monkeypatch.setattr(broken, method, put)
    with pytest.raises(AssertionError, match=message):
        check_parts(backbone="convnet", backbone_options={"width": 4}, head="distance", loss="contrastive")
