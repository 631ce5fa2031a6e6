"""Scorers without PyTorch: the same scores for every design and backbone, and nothing kept where they would differ."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import siamese_mnist as sm
from siamese_mnist.parts.designs import build_model, to_unit
from siamese_mnist.runs.operations import OPERATIONS, TooLargeError
from siamese_mnist.runs.recording import record_scorer
from siamese_mnist.runs.scorer import Scorer, ScorerError, made_of
from siamese_mnist.settings.settings import Settings

VARIANTS = [part.name for part in sm.VARIANTS.parts() if part.origin == "built in"]
FAMILIES = {"report": {}, "convnet": {"width": 4}, "torchvision:squeezenet1_1": {}, "torchvision:resnet18": {}}
ENTRIES = [(variant, backbone) for variant in VARIANTS for backbone in ("report", "convnet")]
ENTRIES += [(variant, backbone) for variant in ("baseline", "siamese") for backbone in list(FAMILIES)[2:]]


def untrained(entry, channels=1, **changes):
    settings = Settings.resolve(entry, **changes)
    parts = dataclasses.asdict(settings.parts)
    torch.manual_seed(0)
    model = build_model(design=settings.design, **parts, image_size=(28, 28), classes=10, channels=channels).eval()
    for name, buffer in model.named_buffers():  # as if it had been trained
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    config = {"design": settings.design, "parts": parts, "image_size": [28, 28], "channels": channels}
    return model, {**config, "classes": list("0123456789")}


def arrays(model):
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def check_same(model, config, images):
    scorer = record_scorer(model, config, images[:4])
    assert scorer is not None
    again = Scorer.parse(scorer.as_json())
    again.check(config, arrays(model))
    for one, other in ((5, 6), (7, 7), (9, 20)):
        rows = torch.tensor([one, other])
        expected = model.score_pairs(to_unit(images), rows, rows.flip(0)).numpy()
        np.testing.assert_allclose(again.score(images[rows].numpy(), arrays(model)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("variant", "backbone"), ENTRIES, ids=":".join)
def test_every_design_and_backbone(variant, backbone, small):
    check_same(*untrained(variant, backbone=backbone, backbone_options=FAMILIES[backbone]), small.test.images)


@pytest.mark.parametrize("recipe", ["fast", "strong"])
def test_recipes(recipe, small):
    check_same(*untrained("siamese", recipe=recipe), small.test.images)


def test_colour(small):
    model, config = untrained("siamese", channels=3, recipe="fast")
    check_same(model, config, torch.cat([small.test.images, small.test.images.flip(2), small.test.images.flip(3)], 1))


class Branching(nn.Module):
    """A backbone that takes another way for light images."""

    def __init__(self, feature_dim):
        super().__init__()
        self.feature_dim = feature_dim
        self.layer = nn.Linear(28 * 28, feature_dim)

    def forward(self, x):
        found = self.layer(x.flatten(1))
        return found if x.mean() > 0.1 else -found


class Sorting(Branching):
    """A backbone with an operator that has no form in NumPy."""

    def forward(self, x):
        return self.layer(x.flatten(1)).sort(1).values


@pytest.mark.parametrize("backbone", [Branching, Sorting])
def test_no_scorer_of_what_cannot_be_written_down(backbone, small):
    model, config = untrained("siamese")
    model.backbone = backbone(model.backbone.feature_dim)
    assert record_scorer(model.eval(), config, small.test.images[:4]) is None


def test_a_scorer_of_another_model_is_refused(small):
    model, config = untrained("siamese")
    scorer, other = record_scorer(model, config, small.test.images[:4]), arrays(model)
    with pytest.raises(ScorerError, match="another model"):
        scorer.check({**config, "design": "pseudo-siamese"}, other)
    name = next(iter(scorer.weights))
    with pytest.raises(ScorerError, match="another shape"):
        scorer.check(config, {**other, name: other[name][:1]})
    assert made_of(config) == made_of({**config, "brightness": None})


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"steps": [["exec.default", [], {}]]},
        {"steps": [["neg.default", []]]},
        {"steps": 3},
        {"more": 1},
    ],
)
def test_a_damaged_file_is_refused(change, small):
    model, config = untrained("baseline")
    values = json.loads(record_scorer(model, config, small.test.images[:4]).as_json())
    for content in (json.dumps({**values, **change}).encode(), b"{", b"[]", b"\xff"):
        with pytest.raises(ScorerError):
            Scorer.parse(content)


@pytest.mark.parametrize(
    "steps",
    [
        [["cat.default", [[{"images": 0}] * 60_000], {}]],
        [["expand.default", [{"constant": ["float32", [1]]}, [1 << 40]], {}]],
        [["constant_pad_nd.default", [{"images": 0}, [0, 1 << 40]], {}]],
        [["neg.default", [{"step": [3, 0]}], {}]],
        [["neg.default", [{"weight": "w"}], {}]],
        [["view.default", [{"images": 0}, [7]], {}]],
    ],
)
def test_steps_of_other_hands_end_early(steps):
    scorer = Scorer(made_of="", images=[2, 1, 28, 28], weights={}, steps=steps, output=[0, 0])
    with pytest.raises(ScorerError, match="cannot be made"):
        scorer.score(np.zeros((2, 1, 28, 28), np.uint8), {})


def test_arrays_of_one_shape_only():
    with pytest.raises(TooLargeError):
        OPERATIONS["add.Tensor"](np.zeros((1 << 14, 1)), np.zeros((1, 1 << 14)))
    with pytest.raises(TooLargeError):
        OPERATIONS["mm.default"](np.zeros((1 << 14, 1)), np.zeros((1, 1 << 14)))


@pytest.mark.parametrize("side", [6, 7, 8])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 3, 1), (2, 3, 0)])
def test_pooling_as_pytorch(side, ceil_mode, kernel, stride, padding, generator):
    x = torch.randn(2, 3, side, side + 1, generator=generator)
    arguments = ([kernel], [stride], [padding])
    (found,) = OPERATIONS["max_pool2d_with_indices.default"](x.numpy(), *arguments, ceil_mode=ceil_mode)
    expected = F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode)
    np.testing.assert_array_equal(found, expected.numpy())
    for counted in (False, True):
        mean = OPERATIONS["avg_pool2d.default"](x.numpy(), *arguments, ceil_mode, counted)
        expected = F.avg_pool2d(x, kernel, stride, padding, ceil_mode, counted)
        np.testing.assert_allclose(mean, expected.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), ((1, 2), (2, 1), (2, 1))])
def test_convolution_as_pytorch(groups, stride, padding, dilation, generator):
    x = torch.randn(2, 4, 9, 10, generator=generator)
    weight, bias = torch.randn(8, 4 // groups, 3, 2, generator=generator), torch.randn(8, generator=generator)
    expected = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    sides = [each if isinstance(each, tuple) else (each, each) for each in (stride, padding, dilation)]
    found = OPERATIONS["convolution.default"](x.numpy(), weight.numpy(), bias.numpy(), *sides, False, [0, 0], groups)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)
