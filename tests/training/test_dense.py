"""Dense layers trained by written-out gradients, held to autograd."""

import copy

import pytest
import torch
import torch.nn.functional as F

from siamese_mnist import draw_pairs
from siamese_mnist.parts.designs import build_model
from siamese_mnist.parts.heads import HEADS
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.threads import Lane, threads
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

    with Lane() as lane:
        head = DenseHead(layers, noted, lane)
        logits = head.forward(features)
        torch.testing.assert_close(logits, expected.detach())
        head.step(logits[:64], same, 1e-3)
    *pieces, rest = optimizers
    assert len(pieces) == (2 if units % 2 == 0 else 1)
    found = [torch.cat(parts) for parts in zip(*(piece.seen for piece in pieces), strict=True)] + rest.seen
    torch.testing.assert_close(found, list(gradients), rtol=1e-4, atol=1e-7)
    adam = Adam(copies, learning_rate=1e-3)
    for copied, gradient in zip(copies, found, strict=True):
        copied.grad = gradient
    adam.step()
    assert all(torch.equal(moved, copied) for moved, copied in zip(parameters, copies, strict=True))


@pytest.fixture(scope="module")
def model():
    settings = Settings.resolve("baseline")
    torch.manual_seed(0)
    parts = {name: getattr(settings.parts, name) for name in settings.parts.__dataclass_fields__}
    return build_model(design="stacked", **parts, image_size=(28, 28), classes=10).eval()


class _Idle(Observer):
    """Any observer but the curve needs the model itself after every update."""

    def after_update(self, update, view):
        pass


def trained(model, small, *, aside=()):
    model = copy.deepcopy(model)
    protocol = TrainingProtocol(train_pairs=1000, schedule="cosine", weight_decay=0.1)
    pairs = draw_pairs(small.train.labels, 1000, generator=seeded(1))
    tested = draw_pairs(small.test.labels, 300, generator=seeded(2))
    held_out = HeldOutCurve(model, small.test, tested, size=64, frozen=True, generator=seeded(3))
    observers = [held_out, *aside]
    left = train(model, small.train, pairs, protocol, generator=seeded(4), progress=silent, observers=observers)
    return model, left.curve(0.0, held_out)


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


def test_a_head_with_more_to_it_trains_plainly():
    class Doubled(HEADS["classifier"]):
        def forward(self, features):
            return 2 * super().forward(features)

    assert [layer.out_features for layer in HEADS["classifier"](8).dense_layers()] == [256, 32, 2]
    assert Doubled(8).dense_layers() == ()


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
