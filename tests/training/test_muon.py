import copy

import pytest
import torch
from torch import nn

from siamese_mnist.data import load_dataset
from siamese_mnist.parts.designs import to_unit
from siamese_mnist.system.threads import threads
from siamese_mnist.training import adam
from siamese_mnist.training.adam import Adam
from siamese_mnist.training.muon import Muon, orthogonal

CHOSEN = {"learning_rate": 1e-2, "beta2": 0.99, "weight_decay": 0.01}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 5, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 12, 3), nn.Flatten())


@pytest.fixture(scope="module")
def images():
    return to_unit(load_dataset("mnist-tenth").train.images[:64])


@pytest.mark.parametrize("shape", [(64, 288), (288, 64), (12, 12), (1, 25), (25, 1)])
def test_singular_values_are_what_the_polynomial_makes_of_them(shape):
    """By double-precision singular values, to which the polynomial is applied number by number."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.norm()
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    assert (orthogonal(matrix) - (left * values) @ right).abs().max() < 1e-5
    assert ((values > 0.5) & (values < 1.25)).all()


def test_nothing_is_made_of_nothing():
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_steps_are_pytorchs_but_for_its_sixteen_bits():
    """PyTorch's own class makes matrices orthogonal in bfloat16."""
    generator = torch.Generator().manual_seed(0)
    ours = nn.Parameter(torch.randn(16, 40, generator=generator))
    theirs = nn.Parameter(ours.detach().clone())
    start = ours.detach().clone()
    one = Muon([ours], **CHOSEN)
    other = torch.optim.Muon([theirs], lr=1e-2, weight_decay=0.01, momentum=0.9, adjust_lr_fn="match_rms_adamw")
    for step in range(4):
        one.learning_rate = other.param_groups[0]["lr"] = 1e-2 * (step + 1)
        gradient = torch.randn(16, 40, generator=generator)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        other.step()
        assert ours.grad is None
    moved = (ours - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_all_but_filters_is_trained_by_adam(network, images):
    twin = copy.deepcopy(network)
    ours, theirs = Muon(network.parameters(), **CHOSEN), Adam(twin.parameters(), **CHOSEN)
    for each, optimizer in ((network, ours), (twin, theirs)):
        each(images).square().mean().backward()
        optimizer.step()
    for (name, one), other in zip(network.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other) == (one.ndim == 1), name


def test_no_bit_depends_on_the_number_of_cores(network, images):
    found = []
    for count in (1, 2):
        twin = copy.deepcopy(network)
        with threads(count), threads(1):
            optimizer = Muon(twin.parameters(), **CHOSEN)
            for _ in range(3):
                twin(images).square().mean().backward()
                optimizer.step()
        found.append(list(twin.parameters()))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "public class"])
def test_a_backbone_of_filters_alone(kernel, monkeypatch):
    if not kernel:
        monkeypatch.setattr(adam, "_KERNELS", ("_no_such_kernel",))
    weight = nn.Parameter(torch.eye(3))
    optimizer = Muon([weight], **CHOSEN)
    weight.square().sum().backward()
    optimizer.step()
    assert (weight.diagonal() < 1).all()


def test_what_has_no_gradient_stays(network):
    before = copy.deepcopy(network.state_dict())
    Muon(network.parameters(), **CHOSEN).step()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
