"""Corruptions in grades."""

import pytest
import torch

from siamese_mnist.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_same_shape_same_draw_and_growing(small, name, channels):
    images = small.test.images[:40].expand(-1, channels, -1, -1).contiguous()
    before = images.clone()
    distances = []
    for severity in range(1, SEVERITIES + 1):
        one, again = (corrupt(name, images, severity, torch.Generator().manual_seed(3)) for _ in range(2))
        assert one.dtype == torch.uint8
        assert one.shape == images.shape
        assert torch.equal(one, again)
        distances.append(float((one.float() - images.float()).square().mean()))
    assert 0 < distances[0] < distances[1] < distances[2]
    assert torch.equal(images, before)


def test_shift_moves_what_is_seen():
    image = torch.zeros(1, 1, 40, 60, dtype=torch.uint8)
    image[0, 0, 20, 30] = 255
    moved = corrupt("shift", image, 2, torch.Generator().manual_seed(0)).float()[0, 0]
    row, column = (int(each) for each in divmod(int(moved.argmax()), 60))
    assert (row, column) != (20, 30)


def test_rotation_keeps_the_distance_to_the_centre():
    image = torch.zeros(8, 1, 41, 61, dtype=torch.uint8)
    image[:, 0, 20, 45:47] = 255
    turned = corrupt("rotation", image, 3, torch.Generator().manual_seed(0)).float()[:, 0]
    for each in turned:
        row, column = divmod(int(each.argmax()), 61)
        assert ((row - 20) ** 2 + (column - 30) ** 2) ** 0.5 == pytest.approx(15.5, abs=1.2)
        assert abs(row - 20) == pytest.approx(11, abs=1.2)  # 45 degrees


def test_unknown(small):
    with pytest.raises(ValueError, match="known: noise"):
        corrupt("fog", small.test.images, 1, torch.Generator())
