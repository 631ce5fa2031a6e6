"""Blocks without activation, trained by shorter ways, held to convolutions, norms and pooling one after another."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from siamese_mnist.parts.backbones.pooling import highest_corner
from siamese_mnist.parts.backbones.report import ReportCNN, ResidualBlock


def block(channels, filters, **options):
    """A block in which every parameter matters, float64."""
    torch.manual_seed(channels)
    made = ResidualBlock(channels, filters, residual=options.get("residual", True), activation=False).double().train()
    with torch.no_grad():
        for conv, norm in zip(made.convs, made.norms, strict=True):
            norm.weight.uniform_(0.5, 1.5)
            for tensor in (conv.bias, norm.bias):
                tensor.normal_(0, 0.5)
    return made


def plainly(made, x):
    """The block in PyTorch's own layers."""
    y = x
    for conv, norm in zip(made.convs, made.norms, strict=True):
        y = F.batch_norm(
            conv(F.pad(y, (0, 1, 0, 1))), norm.running_mean, norm.running_var, norm.weight, norm.bias, True, 0.01, 1e-3
        )
    return torch.cat([x, y], 1) if made.residual else y


def left_behind(made, compute, x, weights):
    """Output, gradients and statistics of a pass, whose output counts with these weights."""
    made = copy.deepcopy(made)
    x = x.detach().clone().requires_grad_(x.requires_grad)
    out = compute(made, x)
    (out * weights).sum().backward()
    statistics = [tensor for norm in made.norms for tensor in (norm.running_mean, norm.running_var)]
    return [
        out.detach(),
        *([x.grad] if x.requires_grad else []),
        *(each.grad for each in made.parameters()),
        *statistics,
    ]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(
    ("channels", "filters", "size"), [(2, 6, (32, 32)), (8, 16, (6, 9)), (3, 5, (2, 2)), (1, 2, (1, 4))]
)
def test_a_block_is_its_layers(channels, filters, size, residual):
    made = block(channels, filters, residual=residual)
    x = torch.rand(5, channels, *size, dtype=torch.float64).requires_grad_()
    weights = torch.randn(5, made.out_channels, *size, dtype=torch.float64)
    found, expected = (left_behind(made, compute, x, weights) for compute in (ResidualBlock.__call__, plainly))
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("channels", "size"), [(1, (32, 32)), (2, (7, 10)), (1, (2, 3))])
def test_a_pooled_block_on_images_is_its_layers_and_max_pooling(channels, size, residual):
    made = block(channels, 6, residual=residual)
    x = torch.rand(5, channels, *size, dtype=torch.float64)
    x[:, :, : size[0] // 2] = 0  # a blank ground, on which values are equal
    weights = torch.randn(5, made.out_channels, size[0] // 2, size[1] // 2, dtype=torch.float64)
    ways = ResidualBlock.pooled, lambda made, x: F.max_pool2d(plainly(made, x), 2)
    for mine, theirs in zip(*(left_behind(made, way, x, weights) for way in ways), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-7)


def test_single_precision_is_as_exact_as_pytorchs(tenth):
    made = block(1, 6)
    images = F.pad(tenth.train.images[:64].double() / 255, (2, 2, 2, 2))
    weights = torch.randn(64, 7, 16, 16, dtype=torch.float64)
    pool = lambda made, x: F.max_pool2d(plainly(made, x), 2)  # noqa: E731
    exact = left_behind(made, pool, images, weights)
    single = copy.deepcopy(made).float()
    errors = [
        max(
            float((one - two).abs().max())
            for one, two in zip(left_behind(single, way, images.float(), weights.float()), exact, strict=True)
        )
        for way in (ResidualBlock.pooled, pool)
    ]
    assert errors[0] < 2 * errors[1] + 1e-6


@pytest.mark.parametrize("options", [{}, {"residual": False}, {"activation": True}, {"enlarge": 2}])
@pytest.mark.parametrize("training", [True, False])
def test_twins_are_images_stacked_with_themselves(options, training, tenth):
    torch.manual_seed(0)
    backbone = ReportCNN(2, **options).double().train(training)
    images = tenth.train.images[:6].double() / 255
    found, expected = (
        left_behind_twins(copy.deepcopy(backbone), compute)
        for compute in (lambda each: each.twin_features(images), lambda each: each(torch.cat([images, images], 1)))
    )
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


def left_behind_twins(backbone, compute):
    out = compute(backbone)
    out.square().sum().backward()
    statistics = [tensor for tensor in backbone.buffers() if tensor.is_floating_point()]
    return [out.detach(), *(each.grad for each in backbone.parameters()), *statistics]


def test_the_highest_corner_is_max_pooling_with_equal_values():
    x = torch.randint(3, (4, 5, 8, 6), generator=torch.Generator().manual_seed(0)).float().requires_grad_()
    y = x.detach().clone().requires_grad_()
    corners = torch.cat([y[..., down::2, right::2] for down in (0, 1) for right in (0, 1)], 1)
    expected, found = F.max_pool2d(x, 2), highest_corner(corners)
    slope = torch.randn(expected.shape)
    expected.backward(slope)
    found.backward(slope)
    assert torch.equal(found, expected)
    assert torch.equal(y.grad, x.grad)


def test_norms_count_their_batches():
    made = block(1, 6)
    made.pooled(torch.rand(2, 1, 4, 4, dtype=torch.float64))
    made(torch.rand(2, 1, 4, 4, dtype=torch.float64))
    assert [int(norm.num_batches_tracked) for norm in made.norms] == [2, 2, 2]
    assert all(isinstance(norm, nn.BatchNorm2d) for norm in made.norms)
