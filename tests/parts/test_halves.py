"""Training on both halves of a batch at once, held to PyTorch's own batch norm on each half."""

import copy

import pytest
import torch
from torch import nn

from siamese_mnist.parts.backbones.convnet import ConvNet
from siamese_mnist.system.threads import threads


@pytest.fixture
def images(small):
    return small.test.images[:9].float() / 255


def made(**options):
    torch.manual_seed(0)
    return ConvNet(1, width=4, halves=True, **options).train()


def plain(net):
    """The same network, whole batches, with running statistics that are those of the last batch."""
    other = copy.deepcopy(net)
    other.halves = False
    for layer in norms(other):
        layer.momentum = 1.0
    return other


def norms(net):
    return [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("count", [4, 5, 9])
def test_features_gradients_and_statistics_are_those_of_both_halves(images, members, count):
    images = images[:count]
    net = made(members=members)
    halves = [plain(net), plain(net)]
    wanted = torch.empty(count, net.feature_dim)
    weights = torch.randn(count, net.feature_dim)
    for start, half in enumerate(halves):
        found = half(images[start::2])
        (found * weights[start::2]).sum().backward()
        wanted[start::2] = found.detach()
    with threads(1):
        features = net(images)
    (features * weights).sum().backward()
    torch.testing.assert_close(features.detach(), wanted)
    for own, one, other in zip(net.parameters(), *(half.parameters() for half in halves), strict=True):
        torch.testing.assert_close(own.grad, one.grad + other.grad, atol=1e-5, rtol=1e-4)
    for own, one, other in zip(norms(net), *map(norms, halves), strict=True):
        torch.testing.assert_close(own.running_mean, 0.1 * (one.running_mean + other.running_mean) / 2)
        torch.testing.assert_close(own.running_var, 0.9 + 0.1 * (one.running_var + other.running_var) / 2)
        assert own.num_batches_tracked == 1


def test_what_cannot_be_computed_at_once_is_the_same(images):
    """Images with gradients of their own, and parts that stay as they are."""
    net, other = made(), made()
    images.requires_grad_()
    net(images).square().sum().backward()
    assert images.grad is not None
    other(images.detach()).square().sum().backward()
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, atol=1e-3, rtol=1e-3)
    frozen = made()
    next(frozen.parameters()).requires_grad_(False)
    torch.testing.assert_close(frozen(images), made()(images))
    with torch.no_grad():
        torch.testing.assert_close(made()(images), made()(images.detach()))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_images_stay_one_batch(images, count):
    net = made()
    other = copy.deepcopy(net)
    other.halves = False
    assert torch.equal(net(images[:count]), other(images[:count]))
    for one, two in zip(norms(net), norms(other), strict=True):
        assert torch.equal(one.running_var, two.running_var)


def test_evaluation_sees_no_halves(images):
    net = made().eval()
    other = copy.deepcopy(net)
    other.halves = False
    assert torch.equal(net(images), other(images))
    assert list(net.state_dict()) == list(other.state_dict())


def test_smallest_images_train():
    net = ConvNet(1, (8, 8), width=4, halves=True).train()
    for count in range(2, 6):
        assert net(torch.rand(count, 1, 8, 8)).isfinite().all()
