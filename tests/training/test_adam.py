import copy

import pytest
import torch
from torch import nn

from siamese_mnist.data import load_dataset
from siamese_mnist.parts.designs import to_unit
from siamese_mnist.training import adam
from siamese_mnist.training.adam import Adam


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "public class"])
def test_steps_are_those_of_pytorch_to_the_bit(kernel, monkeypatch):
    images = to_unit(load_dataset("mnist-tenth").train.images[:64])
    network = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(2704, 10))
    twin = copy.deepcopy(network)
    unused = nn.Parameter(torch.ones(3))
    if not kernel:
        monkeypatch.setattr(adam, "_KERNELS", ("_no_such_kernel",))
    ours = Adam([*network.parameters(), unused], learning_rate=1e-3, beta2=0.99, weight_decay=0.01)
    theirs = torch.optim.AdamW(twin.parameters(), lr=1e-3, betas=(0.9, 0.99), eps=1e-7, weight_decay=0.01, fused=kernel)
    for step in range(4):
        ours.learning_rate = theirs.param_groups[0]["lr"] = 1e-3 * (step + 1)
        for each in (network, twin):
            each(images).square().mean().backward()
        ours.step()
        theirs.step()
        theirs.zero_grad()
        assert all(each.grad is None for each in network.parameters())
    for one, other in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(unused, torch.ones(3))
