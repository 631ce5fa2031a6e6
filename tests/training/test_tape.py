"""What every update leaves behind."""

import torch

from siamese_mnist.training.curve import TrainedPairs
from siamese_mnist.training.tape import Tape


def test_updates_are_what_was_added(generator):
    tape = Tape()
    added = [torch.randn(size % 5, generator=generator) for size in range(700)]
    for each in added:
        tape.add(each)
    assert len(tape) == 700
    assert all(map(torch.equal, tape.updates(), added))
    assert torch.equal(tape.all(), torch.cat(added))
    assert list(Tape().updates()) == []


def test_accuracy_is_that_of_every_batch_by_itself(generator):
    """Without a threshold of its own, a batch of one kind takes over the one before it."""
    trained = TrainedPairs()
    batches = [(torch.randn(8, generator=generator), torch.rand(8, generator=generator) < 0.5) for _ in range(300)]
    batches[7] = (batches[7][0], torch.ones(8, dtype=torch.bool))
    for scores, same in batches:
        trained.add(1, torch.zeros(()), scores, same, 0.1, 0.0)
    expected, cut = [], 0.0
    for scores, same in batches:
        if 0 < same.sum() < 8:
            cut = (scores[same].mean() + scores[~same].mean()) / 2
        expected.append(((scores >= cut) == same).float().mean())
    assert torch.equal(trained.curve(None, None).accuracy, torch.stack(expected))
    fixed = torch.stack([((scores >= 0.25) == same).float().mean() for scores, same in batches])
    assert torch.equal(trained.curve(0.25, None).accuracy, fixed)
