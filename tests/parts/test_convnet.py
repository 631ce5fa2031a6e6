"""The small trunk: its views in evaluation."""

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform

from siamese_mnist.parts.backbones.convnet import (
    _DEVIATION,
    _LEFT,
    _MEAN,
    _RIGHT,
    _UPRIGHT,
    ConvNet,
    _slanted,
    _standardised,
)


def test_views_are_those_of_scipy(small):
    """Standardised, seen through the map, against SciPy's bilinear resampling of the plain images."""
    images = small.test.images[:3].float() / 255
    middle = (np.array(images.shape[2:]) - 1) / 2
    for slant in (*_LEFT, *_UPRIGHT, *_RIGHT):
        x, y = slant
        matrix = np.array([[y[1], y[0]], [x[1], x[0]]])  # rows and columns in place of x and y
        seen = _slanted(_standardised(images), slant) * _DEVIATION + _MEAN
        for image, view in zip(images[:, 0], seen[:, 0], strict=True):
            expected = affine_transform(image.numpy(), matrix, middle - matrix @ middle, order=1)
            np.testing.assert_allclose(view[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-4)


@pytest.mark.parametrize(("options", "views"), [({"slants": True}, 13), ({"shifts": True, "slants": True}, 17)])
def test_features_are_means_of_views_in_evaluation_alone(small, options, views, monkeypatch):
    images = small.test.images[:4].float() / 255
    torch.manual_seed(0)
    net = ConvNet(1, width=4, **options)
    seen = []
    plain = net._features
    monkeypatch.setattr(net, "_features", lambda x: seen.append(plain(x)) or seen[-1])
    with torch.no_grad():
        net.train()(images)
        assert len(seen) == 1
        seen.clear()
        mean = net.eval()(images)
    assert len(seen) == views
    torch.testing.assert_close(mean, sum(seen) / views)


@pytest.mark.parametrize(("options", "views"), [({}, (7, 3, 3)), ({"shifts": True}, (11, 3, 3))])
def test_turned_views_stand_side_by_side(small, options, views, monkeypatch):
    """Upright, to the left, to the right; each the mean of its views, and in training the image in all three places."""
    images = small.test.images[:4].float() / 255
    torch.manual_seed(0)
    net = ConvNet(1, width=4, slants=True, **options)
    net.keep_apart()
    seen = []
    plain = net._features
    monkeypatch.setattr(net, "_features", lambda x: seen.append(plain(x)) or seen[-1])
    with torch.no_grad():
        once = net.train()(images)
        assert len(seen) == 1
        assert torch.equal(once, seen[0].repeat(1, 3))
        seen.clear()
        found = net.eval()(images)
    expected = [sum(some) / len(some) for some in (seen[: views[0]], seen[views[0] : -views[2]], seen[-views[2] :])]
    assert len(seen) == sum(views)
    torch.testing.assert_close(found, torch.cat(expected, 1))


def test_a_fine_stem_sees_the_full_resolution():
    net = ConvNet(1, width=8, fine=True, deep=True)
    first, *_, last = [layer for layer in net.members[0] if isinstance(layer, torch.nn.Conv2d)]
    assert first.stride == (1, 1)
    assert first.kernel_size == (3, 3)
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, last.out_channels)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("fine", [False, True])
def test_a_maximum_before_relu_is_that_behind_it(small, deep, fine):
    """Features and gradients, to the bit."""
    torch.manual_seed(0)
    net = ConvNet(1, width=4, deep=deep, fine=fine)
    (member,) = net.members
    layers = list(member)
    places = [at for at, layer in enumerate(layers) if isinstance(layer, torch.nn.MaxPool2d)]
    assert len(places) == 2 + fine
    for at in places:
        layers[at], layers[at + 1] = layers[at + 1], layers[at]
    images = _standardised(small.train.images[:8].float() / 255)
    results = []
    for order in (member, torch.nn.Sequential(*layers)):
        net.zero_grad()
        features = order(images).mean((2, 3))
        features.square().sum().backward()
        results.append([features, *[each.grad for each in net.parameters()]])
    for ours, plain in zip(*results, strict=True):
        assert torch.equal(ours, plain)
