"""Trainings elsewhere than on the CPU: nothing waits for the device update by update.

The losses are taken out: those of pytorch-metric-learning count pairs, which the CPU has to know.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from siamese_mnist import draw_pairs
from siamese_mnist.parts.designs import build_model
from siamese_mnist.parts.heads import pretraining_head
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training import divergence, phases
from siamese_mnist.training.observers import HeldOutCurve
from siamese_mnist.training.phases import pretrain, silent, train

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "is_nonzero", "equal")
CASES = {
    "dense head": ("baseline", "report", {}),
    "pairs": ("siamese", "report", {}),
    "labels": ("siamese", "fast", {"backbone_learning_rate": 1e-3, "supervision": "labels"}),
    "live pairs": ("baseline", "report", {"backbone_learning_rate": 1e-3}),
}


class Waits(TorchDispatchMode):
    """Counts the operations whose size or value the CPU has to know."""

    def __init__(self):
        super().__init__()
        self.count = 0
        self.paused = False

    def without(self, function):
        """The function, uncounted."""

        def called(*arguments):
            self.paused = True
            found = function(*arguments)
            self.paused = False
            return found

        return called

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        name = operation.overloadpacket.__name__
        masked = name == "index" and any(each is not None and each.dtype == torch.bool for each in arguments[1])
        self.count += not self.paused and (name in WAITING or masked)
        return operation(*arguments, **(options or {}))


def both_phases(small, case, device="cpu", pairs=512):
    variant, recipe, changes = CASES[case]
    settings = Settings.resolve(variant, recipe=recipe)
    torch.manual_seed(0)
    parts = {name: getattr(settings.parts, name) for name in settings.parts.__dataclass_fields__}
    model = build_model(design=settings.design, **parts, image_size=(28, 28), classes=10).to(device)
    head = pretraining_head(model.feature_dim, 10).to(device)
    if changes:
        changes = {**changes, "augmentation": Augmentation(rotate=10, elastic=0.5, stroke=0.5)}
    protocol = TrainingProtocol(train_pairs=pairs, epochs=1, pretrain_epochs=1, learning_rate=1e-3, **changes)
    drawn = draw_pairs(small.train.labels, pairs, generator=torch.Generator().manual_seed(0))
    tested = draw_pairs(small.test.labels, 100, generator=torch.Generator().manual_seed(0))
    images, generator = small.train.to(device), torch.Generator().manual_seed(1)
    first = pretrain(model, head, images, protocol, generator=generator, progress=silent)
    frozen = not protocol.backbone_learning_rate
    held_out = HeldOutCurve(
        model.eval(), small.test.to(device), tested, size=64, frozen=frozen, generator=torch.Generator().manual_seed(2)
    )
    waits = Waits()
    for name in ("pair_loss", "label_loss"):
        if hasattr(model.head, name):
            setattr(model.head, name, waits.without(getattr(model.head, name)))
    with waits:
        left = train(model, images, drawn, protocol, generator=generator, progress=silent, observers=[held_out])
    return first, left.curve(model.threshold, held_out), waits.count


@pytest.mark.parametrize("case", CASES)
def test_an_update_waits_for_nothing(small, case, monkeypatch):
    monkeypatch.setattr(phases, "check_finite", lambda *_: None)
    *_, few = both_phases(small, case, pairs=256)
    *_, many = both_phases(small, case, pairs=1024)
    assert many == few


def test_elsewhere_every_hundredth_loss_is_looked_at():
    asked = []

    class Loss:
        device = torch.device("cuda")

        def item(self):
            asked.append(1)
            return 0.0

    for update in range(1, 251):
        divergence.check_finite(Loss(), "phase 2", update, 250, TrainingProtocol(), "learning_rate")
    assert len(asked) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_takes_the_course_of_the_cpu(small, case):
    ours, theirs = (both_phases(small, case, device)[:2] for device in ("cuda", "cpu"))
    for one, other in zip(ours, theirs, strict=True):
        assert one.loss.device.type == "cpu"
        torch.testing.assert_close(one.loss[:2], other.loss[:2], rtol=0.02, atol=0.02)
        torch.testing.assert_close(one.loss.mean(), other.loss.mean(), rtol=0.1, atol=0.05)
