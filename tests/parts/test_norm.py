"""Batch norm of few channels is `torch.nn.BatchNorm2d`: values, gradients, moving statistics."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from siamese_mnist.parts.backbones.norm import FewChannelsNorm


def learned(norm, x, slope):
    """What two updates' worth of passes leave behind."""
    left = []
    for _ in range(2):
        seen = x.clone().requires_grad_(True)
        out = norm(seen)
        out.backward(slope)
        left += [out.detach(), seen.grad]
    return [*left, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var]


def both(channels, eps, x, slope, momentum=0.01):
    """What ours leaves behind, and PyTorch's in double precision: in single precision it is the less exact one."""
    found = []
    for kind in (FewChannelsNorm, nn.BatchNorm2d):
        if kind is nn.BatchNorm2d:
            x, slope = x.double(), slope.double()
        norm = kind(channels, eps=eps, momentum=momentum).to(x.dtype)
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(-1, 2, channels))
            norm.bias.copy_(torch.linspace(3, 1, channels))
        found.append((learned(norm, x, slope), int(norm.num_batches_tracked)))
    (mine, counted), (theirs, expected) = found
    assert counted == expected
    return [(ours.double(), exact) for ours, exact in zip(mine, theirs, strict=True)]


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(2, 5),
    channels=st.integers(1, 9),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    offset=st.sampled_from([0.0, 100.0]),
    seed=st.integers(0, 2**31),
    momentum=st.sampled_from([0.01, None]),
)
def test_pytorch_is_the_oracle(count, channels, height, width, offset, seed, momentum):
    torch.manual_seed(seed)
    shape = (count, channels, height, width)
    x = (torch.randn(shape, dtype=torch.float64) + offset).contiguous(memory_format=torch.channels_last)
    for mine, theirs in both(channels, 1e-3, x, torch.randn(shape, dtype=torch.float64), momentum):
        assert torch.allclose(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [64, 48])
def test_the_reports_first_block(tenth, count):
    images = tenth.train.images[:count].float().div(255)
    x = torch.cat([images, images.flip(2), images**2], 1).contiguous(memory_format=torch.channels_last)
    torch.manual_seed(0)
    for mine, theirs in both(3, 1e-3, x, torch.randn_like(x)):
        assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-4)


def test_evaluation_and_other_memory_formats_are_pytorchs():
    x = torch.randn(4, 6, 8, 8)
    norm, plain = FewChannelsNorm(6), nn.BatchNorm2d(6)
    assert torch.equal(norm(x), plain(x))
    assert torch.equal(norm.eval()(x), plain.eval()(x))


def test_autocast_is_pytorchs():
    x = torch.randn(4, 6, 8, 8).bfloat16().contiguous(memory_format=torch.channels_last)
    assert torch.equal(FewChannelsNorm(6)(x), nn.BatchNorm2d(6)(x))
