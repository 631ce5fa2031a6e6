"""Trained backbones on one core and on several: the same to the bit."""

import threading

import pytest
import torch

from siamese_mnist import draw_pairs
from siamese_mnist.parts.backbones import parallel
from siamese_mnist.parts.designs import build_model
from siamese_mnist.settings.augmentation import Augmentation
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.threads import ahead, threads
from siamese_mnist.training.phases import silent, train


def trained(small, cores, options):
    """Weights and losses of a short training with distortions on so many cores."""
    settings = Settings.resolve(
        "siamese",
        recipe="fast",
        backbone_options={"width": 4, **options},
        head_options={"members": options.get("members", 1)},
    )
    parts = {name: getattr(settings.parts, name) for name in settings.parts.__dataclass_fields__}
    protocol = TrainingProtocol(
        train_pairs=200,
        epochs=2,
        supervision="labels",
        precision="bfloat16",
        learning_rate=1e-3,
        backbone_learning_rate=1e-3,
        augmentation=Augmentation(rotate=10, shift=1),
        augmentation_fade=0.5,
    )
    before = torch.get_num_threads()
    torch.manual_seed(0)
    model = build_model(design="siamese", **parts, image_size=(28, 28), classes=10)
    pairs = draw_pairs(small.train.labels, 200, generator=torch.Generator().manual_seed(0))
    torch.set_num_threads(cores)
    try:
        with threads(1):
            generator = torch.Generator().manual_seed(1)
            left = train(model, small.train, pairs, protocol, generator=generator, progress=silent)
    finally:
        torch.set_num_threads(before)
    return model.state_dict(), left.losses.all(), generator.get_state()


@pytest.mark.parametrize("options", [{"members": 2}, {"halves": True}, {"members": 2, "halves": True}])
def test_what_is_computed_beside_each_other_changes_no_bit(small, options, monkeypatch):
    where = set()
    real = parallel.together

    def watched(work, pieces):
        return real(lambda piece: where.add(threading.get_ident()) or work(piece), pieces)

    monkeypatch.setattr(parallel, "together", watched)
    state, losses, generator = trained(small, 1, options)
    assert where <= {threading.get_ident()}
    for cores in (2, 3):
        where.clear()
        found, course, end = trained(small, cores, options)
        assert len(where) > 1
        assert all(torch.equal(found[name], values) for name, values in state.items())
        assert torch.equal(course, losses)
        assert torch.equal(end, generator)


@pytest.mark.parametrize("cores", [1, 2])
def test_what_is_made_ahead_comes_in_order_and_tells_its_mistakes(cores):
    def items():
        yield from range(3)
        raise ValueError("no more")

    before = torch.get_num_threads()
    torch.set_num_threads(cores)
    try:
        found = ahead(items())
        assert [next(found) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ValueError, match="no more"):
            next(found)
    finally:
        torch.set_num_threads(before)
