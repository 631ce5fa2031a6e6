"""The report's CNN against the same network built in Keras, layer by layer and through training."""

import copy
import math

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from keras import layers
from scipy import stats

from siamese_mnist import HEADS, LabeledImages, UsageError, create_backbone
from siamese_mnist.parts.designs.stacked import Stacked
from siamese_mnist.parts.heads import pretraining_head
from siamese_mnist.runs.experiment import count_parameters
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.training.phases import pretrain

OPTIONS = [
    {},
    {"blocks": 1},
    {"blocks": 3},
    {"residual": False},
    {"activation": True},
    {"enlarge": 2},
    {"blocks": 1, "residual": False, "activation": True},
]
with_options = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "defaults")


@pytest.fixture(autouse=True, scope="module")
def exact_keras():
    """Keras computes in float64, except for its batch norm, whose variances keep the rounding of float32."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")


def keras_layers(x, *, blocks=2, residual=True, activation=False, enlarge=1):
    """Features of input `x`, in the words of the report's listing (Appendix A) and its section 4."""
    if enlarge > 1:
        x = layers.UpSampling2D(enlarge, interpolation="bilinear")(x)
    x = layers.ZeroPadding2D(2)(x)
    for filters in (6, 16, 32)[:blocks]:
        y = x
        for _ in range(3):
            y = layers.BatchNormalization()(layers.Conv2D(filters, 2, padding="same")(y))
            if activation:
                y = layers.ReLU()(y)
        x = layers.MaxPooling2D(2)(layers.Concatenate()([x, y]) if residual else y)
    return layers.Flatten()(x)


def keras_backbone(**options):
    x = keras.Input((28, 28, 2))
    return keras.Model(x, keras_layers(x, **options))


def keras_classifier():
    x = keras.Input((28, 28, 2))
    y = layers.Dense(64, activation="relu")(keras_layers(x))
    model = keras.Model(x, layers.Dense(10)(y))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def tensors(backbone, *dense):
    """Our tensors in Keras's order, each with whether Keras has its axes the other way round."""
    for block in backbone.blocks:
        for conv, norm in zip(block.convs, block.norms, strict=True):
            yield from (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    for layer in dense:
        yield from (layer.weight, layer.bias)


def from_keras(model):
    """A Keras model's weights: (height, width, in, out) to (out, in, height, width), and (in, out) to (out, in)."""
    for variable in model.weights:
        tensor = variable.value.detach()
        yield tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor


def to_keras(tensor):
    tensor = tensor.detach()
    return (tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T if tensor.ndim == 2 else tensor).numpy()


def dense_layers(head):
    return [layer for layer in head if isinstance(layer, torch.nn.Linear)]


def create(**options):
    """A backbone for pairs with fixed weights, in which every bias and statistic matters, as after training."""
    torch.manual_seed(0)
    backbone = create_backbone("report", in_channels=2, **options).eval()
    with torch.no_grad():
        for block in backbone.blocks:
            for conv, norm in zip(block.convs, block.norms, strict=True):
                for tensor in (norm.weight, norm.running_var):
                    tensor.uniform_(0.5, 1.5)
                for tensor in (conv.bias, norm.bias, norm.running_mean):
                    tensor.normal_(0, 0.3)
    return backbone


@pytest.fixture(scope="module")
def pairs(tenth):
    """Eight stacked pairs of images (8, 2, 28, 28) in [0, 1], float64."""
    return tenth.train.images[:16].view(8, 2, 28, 28).double() / 255


def test_parameter_counts():
    backbone = create_backbone("report", in_channels=2)
    assert backbone.feature_dim == 1536
    assert count_parameters(backbone) == 3226
    assert count_parameters(pretraining_head(1536, 10)) == 99_018
    assert count_parameters(HEADS.make("classifier", {}, feature_dim=1536)) == 401_762
    assert count_parameters(backbone) == keras_backbone().count_params()


@with_options
def test_inference_and_training_mode(options, pairs):
    ours, theirs = create(**options).double(), keras_backbone(**options)
    theirs.set_weights([to_keras(tensor) for tensor in tensors(ours)])
    x = pairs.permute(0, 2, 3, 1)
    assert theirs.output_shape == (None, ours.feature_dim)
    for training, tolerance in ((False, 1e-5), (True, 1e-4)):
        ours.train(training)
        expected = theirs(x, training=training).detach()
        torch.testing.assert_close(ours(pairs).detach(), expected, rtol=tolerance, atol=tolerance)
    for tensor, expected in zip(tensors(ours), from_keras(theirs), strict=True):
        torch.testing.assert_close(tensor.detach(), expected, rtol=1e-4, atol=1e-5)


def test_bytes_as_pixels(pairs):
    """`pixel_max` 255 is the network on raw bytes."""
    ours, theirs = create(pixel_max=255).double(), keras_backbone()
    theirs.set_weights([to_keras(tensor) for tensor in tensors(ours)])
    expected = theirs(255 * pairs.permute(0, 2, 3, 1), training=False).detach()
    scale = float(expected.abs().max())
    assert scale > 100
    torch.testing.assert_close(ours(pairs).detach(), expected, rtol=1e-5, atol=1e-6 * scale)


@pytest.fixture(scope="module")
def batch(tenth):
    """Sixteen images, as all of a training set.

    Without noise, pooling has to choose among the equal values of a blank ground, and Keras chooses differently.
    """
    noise = torch.randint(100, (16, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return LabeledImages(tenth.train.images[:16] // 2 + noise, tenth.train.labels[:16])


def in_both(batch):
    """A Keras classifier, a model and class head with its weights, and the batch as Keras's input."""
    keras.utils.set_random_seed(0)
    theirs = keras_classifier()
    model = Stacked(create_backbone("report", in_channels=2), HEADS.make("classifier", {}, feature_dim=1536))
    head = pretraining_head(1536, 10)
    with torch.no_grad():
        for tensor, value in zip(tensors(model.backbone, *dense_layers(head)), from_keras(theirs), strict=True):
            tensor.copy_(value)
    return theirs, model, head, (batch.images / 255).permute(0, 2, 3, 1).expand(-1, -1, -1, 2)


def phase_1(model, head, batch, updates):
    protocol = TrainingProtocol(pretrain_epochs=updates, pretrain_batch_size=len(batch.labels))
    generator = torch.Generator().manual_seed(0)
    return pretrain(model, head, batch, protocol, generator=generator, progress=lambda *_: None)


def gradients(model, head, batch):
    """The loss's gradient by every one of `tensors`, None for statistics; the model stays as it is."""
    model, head = copy.deepcopy((model, head))
    x = (batch.images / 255).expand(-1, 2, -1, -1)
    F.cross_entropy(head(model.backbone.train()(x)), batch.labels).backward()
    return [tensor.grad for tensor in tensors(model.backbone, *dense_layers(head))]


def test_one_update_as_in_keras(batch):
    """Gradients, Adam's step and batch-norm statistics; gradients near zero are rounding noise and left out."""
    theirs, model, head, x = in_both(batch)
    slopes = gradients(model, head, batch)
    curve = phase_1(model, head, batch, updates=1)
    assert curve.loss.tolist() == pytest.approx([float(theirs.train_on_batch(x, batch.labels))], abs=1e-5)
    ours = list(tensors(model.backbone, *dense_layers(head)))
    assert len(ours) == 40
    for tensor, slope, expected in zip(ours, slopes, from_keras(theirs), strict=True):
        sound = torch.ones_like(tensor, dtype=torch.bool) if slope is None else slope.abs() > 1e-4
        torch.testing.assert_close(tensor.detach()[sound].double(), expected[sound], rtol=0, atol=5e-5)


def test_epsilon_of_adam(batch):
    """Adam's first step is lr g / (|g| + epsilon), with Keras's epsilon 1e-7."""
    _, model, head, _ = in_both(batch)
    slope = gradients(model, head, batch)[36]
    before = head[0].weight.detach().clone()
    phase_1(model, head, batch, updates=1)
    step = before - head[0].weight.detach()
    torch.testing.assert_close(step, 1e-3 * slope / (slope.abs() + 1e-7), rtol=0, atol=5e-5)
    assert ((slope != 0) & (slope.abs() < 1e-6)).any(), "some gradient has to be small enough to tell"


def test_several_updates_as_in_keras(batch):
    theirs, model, head, x = in_both(batch)
    curve = phase_1(model, head, batch, updates=4)
    losses = []
    for _ in range(4):
        losses.append(float(theirs.train_on_batch(x, batch.labels)))
        theirs.reset_metrics()
    assert curve.loss.tolist() == pytest.approx(losses, rel=5e-3)
    assert losses[-1] < 0.7 * losses[0]
    ours, expected = list(tensors(model.backbone)), list(from_keras(theirs))
    for number in (*range(4, 36, 6), *range(5, 36, 6)):
        torch.testing.assert_close(ours[number].double(), expected[number], rtol=1e-3, atol=2e-4)


def test_initial_values():
    """Glorot's uniform distribution and zero biases, which are Keras's defaults."""
    torch.manual_seed(0)
    backbone = create_backbone("report", in_channels=2)
    head = pretraining_head(1536, 10)
    classifier = HEADS.make("classifier", {}, feature_dim=1536)
    found = [conv for block in backbone.blocks for conv in block.convs]
    found += [each for each in (*head.modules(), *classifier.modules()) if isinstance(each, torch.nn.Linear)]
    assert len(found) == 11
    for layer in found:
        outputs, inputs, *kernel = layer.weight.shape
        bound = math.sqrt(6 / (math.prod(kernel) * (inputs + outputs)))
        weights = layer.weight.detach().flatten().numpy()
        assert stats.kstest(weights, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
        assert np.abs(weights).max() <= bound
        assert not layer.bias.any()
    for norm in (norm for block in backbone.blocks for norm in block.norms):
        assert norm.weight.eq(1).all()
        assert not norm.bias.any()


@with_options
def test_pair_features(options, tenth):
    """Sharing the first block's work between pairs gives what one pass per pair gives."""
    backbone = create(**options)
    images = tenth.train.images[:7] / 255
    left, right = torch.cartesian_prod(torch.arange(7), torch.arange(7)).unbind(1)
    shared = backbone.pair_features(images, left, right, chunk=10)
    expected = backbone(torch.cat([images[left], images[right]], 1)).detach()
    torch.testing.assert_close(shared, expected, rtol=1e-5, atol=1e-5)
    assert not shared.requires_grad


def test_pair_features_of_bytes(tenth):
    backbone = create(pixel_max=255)
    images = tenth.train.images[:5] / 255
    left, right = torch.tensor([0, 1, 4]), torch.tensor([3, 1, 2])
    expected = backbone(torch.cat([images[left], images[right]], 1)).detach()
    scale = float(expected.abs().max())
    torch.testing.assert_close(backbone.pair_features(images, left, right), expected, rtol=1e-5, atol=1e-5 * scale)


def test_pair_features_change_nothing(pairs):
    backbone = create()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    backbone.pair_features(pairs[:, :1].float(), torch.tensor([0]), torch.tensor([1]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


@pytest.mark.parametrize("name", ["blocks.0.convs.1.weight", "blocks.1.norms.2.running_mean"])
def test_pair_features_follow_the_weights(name, tenth):
    backbone = create()
    images, rows = tenth.train.images[:5] / 255, (torch.tensor([0, 1]), torch.tensor([3, 2]))
    backbone.pair_features(images, *rows)
    backbone.state_dict()[name].data.add_(0.3)
    expected = backbone(torch.cat([images[each] for each in rows], 1)).detach()
    torch.testing.assert_close(backbone.pair_features(images, *rows), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(28, 28), (20, 31), (4, 4)])
def test_image_sizes(size):
    backbone = create_backbone("report", in_channels=1, image_size=size)
    assert backbone(torch.rand(2, 1, *size)).shape == (2, backbone.feature_dim)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, r"blocks must lie in 1\.\.4, got 0"),
        ({"blocks": 5}, r"blocks must lie in 1\.\.4, got 5"),
        ({"enlarge": 0}, r"enlarge must lie in 1\.\.8, got 0"),
        ({"pixel_max": 0}, "pixel_max must be > 0, got 0"),
        ({"pixel_max": float("nan")}, "pixel_max must be > 0, got nan"),
        ({"block": 2}, r"backbone 'report' has no option 'block'; did you mean 'blocks'\?"),
        ({"image_size": (3, 28), "blocks": 4}, "images of 3 x 28 are too small for 4 blocks"),
    ],
)
def test_bad_option(options, message):
    with pytest.raises(UsageError, match=message):
        create_backbone("report", in_channels=2, **options)


def test_unknown_backbone():
    with pytest.raises(UsageError, match=r"unknown backbone 'reprot'; did you mean 'report'"):
        create_backbone("reprot")
