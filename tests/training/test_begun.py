import dataclasses

import pytest
import torch

from siamese_mnist.runs.experiment import untrained
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training import begun
from siamese_mnist.training.begun import pretrain_once
from siamese_mnist.training.phases import pretrain

SETTINGS = Settings.resolve("siamese", pretrain_epochs=1)


class Beginning:
    """A model before phase 1, and what all draws come from."""

    def __init__(self, small, seed=0, settings=SETTINGS):
        torch.manual_seed(seed)
        self.model, self.head = untrained(settings, small)
        self.protocol = settings.protocol
        self.generator = torch.Generator().manual_seed(seed)
        self.data = small.train
        self.told = []

    def given(self):
        return (self.model, self.head, self.data, self.protocol), {
            "generator": self.generator,
            "progress": lambda *words: self.told.append(words),
        }

    def once(self, folder, about="here"):
        args, named = self.given()
        return pretrain_once(folder, about, *args, **named)

    def left(self):
        """All that comes after depends on."""
        states = [*self.model.state_dict().values(), *self.head.state_dict().values()]
        return [each.clone() for each in states] + [self.generator.get_state(), torch.get_rng_state()]


@pytest.fixture(autouse=True)
def stream():
    with torch.random.fork_rng():
        yield


def equal(one, other):
    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_the_second_gets_to_the_bit_what_it_would_have_trained(small, tmp_path):
    plain = Beginning(small)
    args, named = plain.given()
    curve = pretrain(*args, **named)
    expected = plain.left()
    first = Beginning(small)
    first.once(tmp_path)
    assert equal(first.left(), expected)
    second = Beginning(small)
    shared = second.once(tmp_path)
    assert equal(second.left(), expected)
    updates = len(curve.epoch)
    assert len(first.told) == updates
    assert second.told == [("phase 1", updates, updates)]
    for name in set(curve._fields) - {"seconds"}:
        assert torch.equal(getattr(shared, name), getattr(curve, name)), name
    assert len(shared.seconds) == updates
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize("change", ["seed", "about", "images", "protocol", "order", "draws"])
def test_what_begins_otherwise_is_trained(small, tmp_path, change):
    Beginning(small).once(tmp_path)
    other = Beginning(small, seed=int(change == "seed"))
    if change == "images":
        other.data = other.data._replace(images=other.data.images.flip(0))
    if change == "protocol":
        other.protocol = dataclasses.replace(other.protocol, pretrain_batch_size=32)
    if change == "order":
        torch.rand(1, generator=other.generator)
    if change == "draws":
        torch.rand(1)
    other.once(tmp_path, about="there" if change == "about" else "here")
    assert len(other.told) > 1
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("epochs", [0, 1])
def test_without_a_folder_it_is_trained_and_nothing_kept(small, tmp_path, epochs):
    settings = Settings.resolve("siamese", pretrain_epochs=epochs)
    beginning = Beginning(small, settings=settings)
    assert len(beginning.once(None).epoch) == len(beginning.told)
    Beginning(small, settings=settings).once(tmp_path)
    assert len([*tmp_path.iterdir()]) == epochs


def test_tied_weights_are_shared_too(small, tmp_path):
    def tied():
        beginning = Beginning(small)
        first, second = beginning.model.backbone.blocks[0].convs[1:]
        second.weight = first.weight
        return beginning

    one, two = tied(), tied()
    one.once(tmp_path)
    two.once(tmp_path)
    assert len(two.told) == 1
    assert equal(one.left(), two.left())


def test_a_design_that_keeps_something_of_its_own_is_shared_whole(small, tmp_path):
    """What is neither backbone nor head is as after phase 1, and tells beginnings apart."""

    def seen(start):
        beginning = Beginning(small)
        beginning.model.register_buffer("seen", torch.tensor(start))
        features = type(beginning.model).class_features

        def counted(images):
            beginning.model.seen += len(images)
            return features(beginning.model, images)

        beginning.model.class_features = counted
        return beginning

    beginnings = [seen(0), seen(0), seen(7)]
    for each in beginnings:
        each.once(tmp_path)
    assert [len(each.told) > 1 for each in beginnings] == [True, False, True]
    assert [int(each.model.seen) for each in beginnings] == [600, 600, 607]


def test_a_full_disk_and_a_damaged_file_cost_no_run(small, tmp_path, monkeypatch):
    expected = Beginning(small)
    expected.once(tmp_path)
    (place,) = tmp_path.iterdir()
    left = expected.left()
    place.write_bytes(b"not at all")
    again = Beginning(small)
    again.once(tmp_path)
    assert equal(again.left(), left)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(begun, "save_file", full)
    place.unlink()
    third = Beginning(small)
    third.once(tmp_path)
    assert equal(third.left(), left)
    assert not [*tmp_path.iterdir()]
