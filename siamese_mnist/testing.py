"""Contract checks for parts: `siamese-mnist`'s own tests run them over all registered parts, and so can yours.

    from siamese_mnist.testing import check_head

    def test_my_head():
        check_head("my-head")

A check returns nothing and raises AssertionError with the broken promise.
"""

import base64
import copy
import dataclasses
import functools
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from siamese_mnist.data import SPLITS, Dataset, LabeledImages, load_dataset, split_dataset
from siamese_mnist.data.pairs import Pairs
from siamese_mnist.data.turned import with_extra_classes
from siamese_mnist.data.within import within
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import METRICS, Decision, JudgedPairs
from siamese_mnist.evaluation.judged import Weighing
from siamese_mnist.evaluation.metrics import compute
from siamese_mnist.inference.gallery import Gallery
from siamese_mnist.inference.verifier import Verifier
from siamese_mnist.parts.backbones import BACKBONES, HasMembers, HasPlaces, HasViews, SharesPairs, create_backbone
from siamese_mnist.parts.designs import Design, build_model, to_unit
from siamese_mnist.parts.heads import HEADS, SiameseHead, StackedHead
from siamese_mnist.parts.losses import LOSSES, MINERS, create_loss
from siamese_mnist.registry import Range, Registry, options_of, space_of
from siamese_mnist.runs.experiment import learn, untrained
from siamese_mnist.settings.schedules import SCHEDULES
from siamese_mnist.settings.settings import Settings
from siamese_mnist.tracking import TRACKERS

_CLASSES, _FEATURES, _PER_CLASS = 10, 48, 4
_FEW_PAIRS = 80


def check_backbone(name: str, *, in_channels: int = 1, **options: Any) -> None:
    """Checks that a backbone maps images to `feature_dim` finite features, with finite gradients, the same every time.

    One that `SharesPairs` has to give what it gives for stacked images, one that `HasPlaces` features of each place,
    one that `HasViews` those of all views side by side once they are kept apart, with the same state, and one that
    `HasMembers` those of every network of what is shown to it alone.

    Args:
        name: name in `BACKBONES`.
        in_channels: channels of the input.
        **options: its options.
    """
    _check_space(BACKBONES, name)
    backbone = _seeded(lambda: create_backbone(name, in_channels=in_channels, **options))
    twin = _seeded(lambda: create_backbone(name, in_channels=in_channels, **options))
    images, _ = _images()
    images = images.expand(-1, in_channels, -1, -1)
    features = backbone(images)
    dimension = backbone.feature_dim
    assert isinstance(dimension, int), f"backbone {name}: feature_dim must be an int, is {dimension!r}"
    assert features.shape == (len(images), dimension), f"backbone {name}: features have shape {tuple(features.shape)}"
    _check_gradients(f"backbone {name}", backbone, features.square().mean())
    twin.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        same = torch.equal(backbone.eval()(images), twin.eval()(images))
    assert same, f"backbone {name}: a copy with the same state gives other features; keep all state in it"
    if isinstance(backbone, SharesPairs):
        _check_shared_pairs(
            name, _seeded(lambda: create_backbone(name, in_channels=2 * in_channels, **options)), images
        )
    if isinstance(backbone, HasPlaces):
        places = backbone.places(images)
        shaped = places.ndim == 3 and len(places) == len(images)
        assert shaped, f"backbone {name}: places have shape {tuple(places.shape)}, not (N, K, F)"
        assert torch.isfinite(places).all(), f"backbone {name}: places are not finite"
    if isinstance(backbone, HasViews):
        _check_views(name, backbone, images)
    if isinstance(backbone, HasMembers):
        _check_members(name, backbone, images)


@torch.no_grad()
def _check_members(name: str, backbone: HasMembers, images: Tensor) -> None:
    shown = torch.arange(len(images))[:, None] % (backbone.networks + 1) != torch.arange(backbone.networks)
    whole, apart = (copy.deepcopy(backbone) for _ in range(2))
    assert isinstance(whole, nn.Module)
    assert isinstance(apart, nn.Module)
    found = whole.train().shown_features(images, shown)
    assert found.shape == (len(images), backbone.feature_dim), f"backbone {name}: what is shown has another shape"
    for number, (part, rows) in enumerate(zip(found.chunk(backbone.networks, 1), shown.unbind(1), strict=True)):
        alone = apart.member(number).train()
        assert _close(part[rows], alone(images[rows])), f"backbone {name}: member {number} alone differs"
        assert not part[~rows].any(), f"backbone {name}: member {number} has features of what it is not shown"
    states = zip(whole.state_dict().values(), apart.state_dict().values(), strict=True)
    assert all(_close(*each) for each in states), f"backbone {name}: members alone leave another state behind"


@torch.no_grad()
def _check_views(name: str, backbone: HasViews, images: Tensor) -> None:
    assert isinstance(backbone, nn.Module)
    whole, apart = (copy.deepcopy(backbone).train() for _ in range(2))
    apart.keep_apart()
    expected = backbone.views * backbone.feature_dim
    assert apart.feature_dim == expected, f"backbone {name}: keep_apart makes feature_dim {apart.feature_dim}"
    alike = _close(apart(images), whole(images).repeat(1, backbone.views))
    assert alike, f"backbone {name}: in training, all views have to be the image itself"
    found = apart.eval()(images)
    assert found.shape == (len(images), expected), f"backbone {name}: views apart have shape {tuple(found.shape)}"
    assert torch.isfinite(found).all(), f"backbone {name}: views apart are not finite"
    assert apart.state_dict().keys() == whole.state_dict().keys(), f"backbone {name}: keep_apart changes its state"


@torch.no_grad()
def _check_shared_pairs(name: str, backbone: nn.Module, images: Tensor) -> None:
    assert isinstance(backbone, SharesPairs)
    left = torch.arange(len(images))
    right = left.flip(0)
    apart = backbone.eval()(torch.cat([images[left], images[right]], 1))
    shared = backbone.pair_features(images, left, right)
    assert _close(shared, apart), f"backbone {name}: pair_features are not those of the stacked images"
    for training in (False, True):
        one, other = (copy.deepcopy(backbone).train(training) for _ in range(2))
        apart, twins = one(torch.cat([images, images], 1)), other.twin_features(images)
        assert _close(twins, apart), f"backbone {name}: twin_features are not those of an image stacked with itself"


def _close(found: Tensor, expected: Tensor) -> bool:
    """Whether both are the same up to rounding, for features of any size."""
    room = 1e-3 * float(expected.abs().max())
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=room)


def check_head(name: str, *, loss: str | None = None, **options: Any) -> None:
    """Checks shapes, direction of the shapes' use, finite gradients, and that its state is all it depends on.

    Args:
        name: name in `HEADS`.
        loss: name in `LOSSES`, for heads that need one.
        **options: its options.
    """
    kind = HEADS[name]
    _check_space(HEADS, name)
    features, labels = _features()
    if issubclass(kind, StackedHead):
        head = _seeded(lambda: HEADS.make(name, options, feature_dim=_FEATURES))
        logits = head(features)
        assert logits.shape == (len(features), 2), f"head {name}: logits have shape {tuple(logits.shape)}, not (P, 2)"
        _check_gradients(f"head {name}", head, logits.square().mean())
        _check_dense_layers(name, head, features, head(features))
        return
    trained_with = create_loss(loss, {}, None, {}, classes=_CLASSES, embedding_dim=64) if loss else None
    head = _seeded(lambda: HEADS.make(name, options, feature_dim=_FEATURES, classes=_CLASSES, loss=trained_with))
    assert isinstance(head, SiameseHead), f"head {name}: must derive from SiameseHead"
    embeddings = head.embed(features)
    assert embeddings.ndim == 2, f"head {name}: embeddings must be (N, E), are {tuple(embeddings.shape)}"
    assert len(embeddings) == len(features), f"head {name}: {len(features)} images gave {len(embeddings)} embeddings"
    left, right = embeddings[: len(labels) // 2], embeddings[len(labels) // 2 :]
    scores = head.score(left, right)
    assert scores.shape == (len(left),), f"head {name}: scores have shape {tuple(scores.shape)}, not (P,)"
    assert torch.isfinite(scores).all(), f"head {name}: scores are not finite"
    for supervision in head.supervisions:
        _check_gradients(f"head {name} on {supervision}", head, _loss(head, embeddings, labels, supervision))
        embeddings = head.embed(features)
    twin = copy.deepcopy(head).eval()
    with torch.no_grad():
        again = twin.score(*twin.embed(features).chunk(2))
        first = head.eval().score(*head.embed(features).chunk(2))
    assert torch.equal(again, first), f"head {name}: a copy gives other scores; keep all state in it"
    _check_dense_layers(name, head, features, head.embed(features))
    if "labels" in head.supervisions and head.members > 1 and head.member(0) is not None:
        _check_leaving_out(name, head, features, labels)
    if head.finishes:
        _check_finish(name, head, features, labels)


def _check_leaving_out(name: str, head: SiameseHead, features: Tensor, labels: Tensor) -> None:
    """Checks that a member learns nothing of the classes that it leaves out, and all of the others."""
    features = features.detach().requires_grad_()
    head.left_out = torch.arange(_CLASSES) % head.members
    embeddings = head.train().embed(features)
    gradient = torch.autograd.grad(head.label_loss(embeddings, labels), features)[0]
    learnt = torch.stack([part.abs().sum(1) > 0 for part in gradient.chunk(head.members, 1)], 1)
    shown = head.shown(labels)
    head.left_out = None
    head.eval()
    assert not learnt[~shown].any(), f"head {name}: a member learns of a class that it leaves out"
    assert learnt[shown].any(0).all(), f"head {name}: a member learns nothing of the other classes"


@torch.no_grad()
def _check_finish(name: str, head: SiameseHead, features: Tensor, labels: Tensor) -> None:
    """Checks that what a head does after training leaves embeddings as long as before, and all of it in its state."""
    twin, before = copy.deepcopy(head), head.embed(features)
    head.finish(features, labels)
    after = head.embed(features)
    assert after.shape == before.shape, f"head {name}: finish changes embeddings from {before.shape} to {after.shape}"
    assert torch.isfinite(after).all(), f"head {name}: embeddings are not finite after finish"
    twin.load_state_dict(head.state_dict())
    same = torch.equal(head.score(*after.chunk(2)), twin.score(*twin.embed(features).chunk(2)))
    assert same, f"head {name}: a copy with the same state gives other scores after finish; keep all of it in the state"


def _check_dense_layers(name: str, head: StackedHead | SiameseHead, features: Tensor, expected: Tensor) -> None:
    """Checks that the layers that a head says it consists of are all of it."""
    if layers := head.dense_layers():
        assert len(layers) > 1, f"head {name}: dense_layers must be two or more, or none"
        close = _close(_through(layers, features).detach(), expected.detach())
        assert close, f"head {name}: its dense_layers give something else than it gives; leave them out"


def _through(layers: Sequence[nn.Linear], features: Tensor) -> Tensor:
    """Linear layers with ReLU between them."""
    first, *rest = layers
    outputs: Tensor = first(features)
    for layer in rest:
        outputs = layer(outputs.relu())
    return outputs


def check_loss(name: str, **options: Any) -> None:
    """Checks that a loss is a finite scalar with finite gradients under each supervision it offers, and symmetric.

    So it has to be at both ends of what a study tunes, too.

    Args:
        name: name in `LOSSES`.
        **options: its options.
    """
    _check_loss(name, options)
    space = _check_space(LOSSES, name)
    for ends in zip(*((each.low, each.high) for each in space.values()), strict=True):
        _check_loss(name, {**options, **dict(zip(space, ends, strict=True))})


def _check_loss(name: str, options: Mapping[str, Any]) -> None:
    loss = _seeded(lambda: create_loss(name, options, None, {}, classes=_CLASSES, embedding_dim=_FEATURES))
    assert loss.supervisions, f"loss {name}: it offers no supervision"
    for supervision in loss.supervisions:
        embeddings, labels = _features()
        embeddings.requires_grad_()
        for _ in range(2):  # a second step shows state that keeps the first one's graph
            value = _loss(loss, embeddings, labels, supervision)
            assert value.ndim == 0, f"loss {name} on {supervision}: must be a scalar, has shape {tuple(value.shape)}"
            _check_gradients(f"loss {name} on {supervision}", loss, value)
        assert embeddings.grad is not None, f"loss {name} on {supervision}: no gradient reaches the embeddings"
        assert torch.isfinite(embeddings.grad).all(), f"loss {name} on {supervision}: gradients are not finite"
    left, right = _features()[0].chunk(2)
    with torch.no_grad():
        swapped = torch.equal(loss.similarity(left, right), loss.similarity(right, left))
    assert swapped, f"loss {name}: its similarity depends on the order of the embeddings"


def check_parts(*, design: str = "siamese", backbone: str, head: str, loss: str | None = None, **options: Any) -> None:
    """Checks that a combination of parts takes a training step, and scores the same after its state is reloaded.

    Args:
        design: name in `DESIGNS`.
        backbone: name in `BACKBONES`.
        head: name in `HEADS`.
        loss: name in `LOSSES`, for heads that need one.
        **options: `backbone_options`, `head_options`, `loss_options`.
    """
    parts = _parts(design, backbone, head, loss, **options)
    model = _seeded(lambda: build_model(**parts))
    images, labels = _images()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for supervision in model.supervisions:
        model.train()
        if supervision == "labels":
            order = labels.argsort(stable=True)
            value = model.label_loss(model.class_features(images[order]), labels[order], _PER_CLASS)[0]
        else:
            left, right = images.chunk(2)
            same = labels[: len(left)] == labels[len(left) :]
            value = model.pair_loss(model.pair_features(left, right), same, torch.arange(len(left)) // 4)[0]
        _check_gradients(f"{backbone} / {head} / {loss} on {supervision}", model, value)
        optimizer.step()
    if "pairs" in model.supervisions and model.dense_layers():
        _check_output_loss(f"{design} / {backbone} / {head} / {loss}", model, images, labels)
    model.eval().finish(images.mul(255).byte(), labels)
    rows = torch.arange(len(images))
    twin = build_model(**parts)
    twin.load_state_dict(model.state_dict())
    pair = (rows, rows.flip(0))
    same_scores = torch.equal(model.eval().score_pairs(images, *pair), twin.eval().score_pairs(images, *pair))
    assert same_scores, f"{backbone} / {head} / {loss}: a reloaded model gives other scores"


def _check_output_loss(what: str, model: Design, images: Tensor, labels: Tensor) -> None:
    """Checks that training a design by its dense layers is training it by its loss of pairs."""
    model = copy.deepcopy(model).eval()
    rows = torch.arange(len(images) // 2)
    left, right = rows, rows.flip(0) + len(rows)
    same, anchors = labels[left] == labels[right], rows // 4
    pairs = Pairs(left, right, same)
    bank = model.feature_bank(images, pairs)
    outputs = _through(model.dense_layers(), bank[model.bank_places(pairs, rows, len(bank))]).detach().requires_grad_()
    expected, scores = model.pair_loss(model.bank_rows(bank, pairs, rows), same, anchors)
    loss, found, gradient = model.output_gradient(outputs, same, anchors)
    alike = _close(loss, expected.detach()) and _close(found, scores)
    assert alike, f"{what}: output_loss of the dense layers' outputs is not pair_loss of the features"
    weights = [weight for layer in model.dense_layers() for weight in layer.parameters()]
    again = model.output_loss(outputs, same, anchors)[0]
    slope, *others = torch.autograd.grad(again, [outputs, *weights], allow_unused=True)
    assert _close(gradient, slope), f"{what}: output_gradient is not the gradient of output_loss"
    assert all(each is None for each in others), (
        f"{what}: output_loss uses weights of the dense layers, which learn from their outputs only"
    )


def check_miner(name: str, *, loss: str = "triplet", **options: Any) -> None:
    """Checks that a miner picks rows of the batch, genuine pairs of one class and impostor pairs of two.

    Args:
        name: name in `MINERS`.
        loss: name of a loss that takes a miner.
        **options: its options.
    """
    _check_space(MINERS, name)
    embeddings, labels = _features()
    works_for = create_loss(loss, {}, None, {}, classes=_CLASSES, embedding_dim=_FEATURES)
    picked = MINERS.make(name, options, loss=works_for)(embeddings, labels)
    assert len(picked) in (3, 4), f"miner {name}: gave {len(picked)} tensors, not three or four"
    sizes = [len(rows) for rows in picked]
    pairs = (picked[:2], picked[2:]) if len(picked) == 4 else (picked[:2], picked[::2])
    assert all(len({len(rows) for rows in pair}) == 1 for pair in pairs), f"miner {name}: its rows differ: {sizes}"
    for rows in picked:
        assert rows.dtype == torch.int64, f"miner {name}: rows are {rows.dtype}, not int64"
        within = bool(((rows >= 0) & (rows < len(labels))).all())
        assert within, f"miner {name}: picks rows that are not in the batch"
    (anchors, genuine), (others, impostors) = pairs
    assert bool((labels[anchors] == labels[genuine]).all()), f"miner {name}: a genuine pair is of two classes"
    assert bool((anchors != genuine).all()), f"miner {name}: an image is paired with itself"
    assert bool((labels[others] != labels[impostors]).all()), f"miner {name}: an impostor pair is of one class"


def _check_space(registry: Registry[Any], name: str) -> dict[str, Range]:
    """Checks that what a study tunes of a part are its options, their defaults within the ranges."""
    factory = registry[name.partition(":")[0]]
    defaults, space = options_of(factory), space_of(factory)
    for option, values in space.items():
        what = f"{registry.kind} {name}: {option} is to be tuned in {values}"
        assert option in defaults, f"{what}, but is no option"
        assert isinstance(defaults[option], int | float), f"{what}, but is {defaults[option]!r} by default"
        assert values.low <= defaults[option] <= values.high, f"{what}, which leaves out its default {defaults[option]}"
    return space


def check_metric(name: str) -> None:
    """Checks a metric's limits and direction, that order does not count, and that its weighted form agrees with it.

    Args:
        name: name in `METRICS`.
    """
    rng = np.random.default_rng(0)
    same = rng.random(300) < 0.5
    scores, swapped = ((rng.normal(size=300) + 1.5 * same).round(1) for _ in range(2))
    decision = Decision(threshold=0.75, slope=1.5)
    pairs = JudgedPairs(scores=scores, same=same, decision=decision, swapped_scores=swapped)
    figure = _figure(name, pairs)
    shuffled = _figure(name, pairs.rows(rng.permutation(300)))
    assert math.isclose(figure, shuffled, rel_tol=1e-6, abs_tol=1e-9), f"metric {name}: the order of pairs counts"
    apart = np.where(same, 20.0, -20.0) + rng.normal(size=300)
    best = _figure(name, JudgedPairs(scores=apart, same=same, decision=decision, swapped_scores=apart))
    better = METRICS[name].higher_is_better
    assert best >= figure if better else best <= figure, (
        f"metric {name}: says that {'more' if better else 'less'} is better, but is {best:.4g} where genuine and "
        f"impostor scores lie far apart, and {figure:.4g} where they overlap"
    )
    if form := METRICS[name].weighted:
        counts = rng.integers(1, 4, size=300)
        highest = np.argsort(-scores, kind="stable")
        (weighted,) = form(Weighing(pairs.rows(highest)).weigh(counts[highest][None].astype(float)))
        repeated = _figure(name, pairs.rows(np.repeat(np.arange(300), counts)))
        close = math.isclose(weighted, repeated, rel_tol=1e-6, abs_tol=1e-9)
        assert close, f"metric {name}: its weighted form gives {weighted}, repeated pairs give {repeated}"


def _figure(name: str, pairs: JudgedPairs) -> float:
    try:
        value = compute(name, pairs)
    except UsageError as error:
        raise AssertionError(str(error)) from error
    assert value is not None, f"metric {name}: has no figure of {len(pairs.same)} ordinary pairs"
    return value


def check_schedule(name: str) -> None:
    """Checks that a schedule's factor is a finite number >= 0 from the first to the last update.

    Args:
        name: name in `SCHEDULES`.
    """
    schedule = SCHEDULES[name]
    for step in range(1001):
        factor = schedule(step / 1000)
        valid = isinstance(factor, int | float) and math.isfinite(factor) and factor >= 0
        assert valid, f"schedule {name}: its factor after {step / 1000:.1%} of the updates is {factor!r}"


def check_design(name: str, *, head: str, loss: str | None = None) -> None:
    """Checks that every shortcut of a design gives the scores of its plain pass, and that it trains and reloads.

    Args:
        name: name in `DESIGNS`.
        head: name of a head that it takes.
        loss: name in `LOSSES`, for heads that need one.
    """
    check_parts(design=name, backbone="report", head=head, loss=loss)
    parts = _parts(name, "convnet", head, loss, backbone_options={"width": 4})
    model = _seeded(lambda: build_model(**parts)).eval()
    images, labels = _images()
    rows = torch.arange(len(images) // 2)
    left, right = rows, rows + len(rows)
    pairs = Pairs(left, right, labels[left] == labels[right])
    with torch.no_grad():
        plain = model(images[left], images[right])
        bank = model.bank_rows(model.feature_bank(images, pairs), pairs, rows)
        found = {
            "score_pairs": model.score_pairs(images, left, right),
            "the diagonal of score_matrix": model.score_matrix(*(images.mul(255).round().byte()).chunk(2)).diagonal(),
        }
        kind = HEADS[head]
        if not (issubclass(kind, StackedHead) and kind.averaged):  # features are of one order
            found["score_features of the feature bank"] = model.score_features(bank)
        if model.embeds:
            found["score_embeddings"] = model.score_embeddings(
                model.embed_batch(images[left]), model.embed_batch(images[right])
            )
    for what, scores in found.items():
        close = torch.allclose(scores, plain, rtol=1e-3, atol=1e-3)
        assert close, f"design {name}: {what} differs from the plain pass by {(scores - plain).abs().max():.2g}"
    _check_gallery(name, Verifier(model, Decision(threshold=0.0, slope=1.0), image_size=(28, 28)))
    _check_explanation(name, Verifier(model, Decision(threshold=0.0, slope=1.0), image_size=(28, 28)))


def _check_explanation(name: str, verifier: Verifier) -> None:
    """Checks that maps are finite, of the images' shape, and exchanged with the images where scores are not changed."""
    one, other = _images()[0].mul(255).round().byte()[:2]
    there, back = verifier.explain(one, other), verifier.explain(other, one)
    for method, maps in there.maps.items():
        for each in maps:
            assert each.shape == verifier.image_size, f"design {name}: {method} maps have shape {each.shape}"
            assert np.isfinite(each).all(), f"design {name}: {method} maps are not finite"
        if there.score == back.score:
            exchanged = zip(maps, reversed(back.maps[method]), strict=True)
            alike = all(np.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in exchanged)
            assert alike, f"design {name}: scores do not see the order of the images, but {method} maps do"


def _check_gallery(name: str, verifier: Verifier) -> None:
    """Checks that a gallery scores its examples as `score_matrix` does, in the order of their scores."""
    images, labels = _images()
    probes, kept = images.mul(255).round().byte()[:6], images.mul(255).round().byte()[6:30]
    gallery = Gallery(verifier)
    for row, label in enumerate(labels[6:30].tolist()):
        gallery.enrol(str(label), kept[row : row + 1])
    expected = np.sort(verifier.score_matrix(probes, kept), axis=1)[:, ::-1]
    found = [[near.score for near in each.nearest] for each in gallery.identify(probes, nearest=len(kept))]
    close = np.allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert close, f"design {name}: a gallery's scores differ from score_matrix by {np.abs(found - expected).max():.2g}"


def check_settings(settings: Settings | str) -> None:
    """Checks that a setting trains a few updates, stays finite, and scores the same after its state is reloaded.

    Args:
        settings: any, or an entry such as "siamese:loss=my-loss"; data set, pairs and passes are cut down.
    """
    dataset, settings = split_dataset(_few()), _cut(_resolved(settings))
    learned = learn(settings, dataset)
    state = learned.model.state_dict()
    for name, values in state.items():
        assert bool(torch.isfinite(values).all()), f"{settings}: {name} is not finite"
    trained_on = with_extra_classes(dataset, settings.protocol.extra_classes)
    twin, _ = _seeded(lambda: untrained(settings, trained_on))
    twin.load_state_dict(state)
    images, rows = to_unit(dataset.test.images), torch.arange(len(dataset.test.labels))
    scores = learned.model.score_pairs(images, rows, rows.flip(0))
    assert bool(torch.isfinite(scores).all()), f"{settings}: scores are not finite"
    assert torch.equal(twin.eval().score_pairs(images, rows, rows.flip(0)), scores), f"{settings}: a copy differs"


def check_blind(settings: Settings | str) -> None:
    """Checks that test images decide nothing: with noise in their place, weights and decision are bit-identical.

    Args:
        settings: any, or an entry such as "siamese:loss=my-loss"; cut down as in `check_settings`.
    """
    settings = _resolved(settings)
    watched = dataclasses.replace(settings, protocol=dataclasses.replace(settings.protocol, curve=True))
    dataset, settings = split_dataset(_few()), _cut(watched)
    noise = torch.randint(256, dataset.test.images.shape, generator=torch.Generator().manual_seed(0)).byte()
    other = dataclasses.replace(dataset, test=dataset.test._replace(images=noise))
    seen, unseen = learn(settings, dataset), learn(settings, other)
    for (name, one), two in zip(seen.model.state_dict().items(), unseen.model.state_dict().values(), strict=True):
        assert torch.equal(one, two), f"test images reach {name}: something is computed on them in training state"
    assert seen.decision == unseen.decision, "test images reach the threshold or the calibration"


def check_tracker(name: str) -> None:
    """Checks that a tracker takes runs one after another, one that fails too, and leaves a run's folder as it is.

    Args:
        name: name in `TRACKERS`.
    """
    with tempfile.TemporaryDirectory() as folder:
        run_dir, content = Path(folder) / "run", b"loss\n0.5\n"
        run_dir.mkdir()
        (run_dir / "history.csv").write_bytes(content)
        tracker = TRACKERS[name](Path(folder) / name)
        assert [each.name for each in Path(folder).iterdir()] == ["run"], f"tracker {name}: writes before a run starts"
        tracker.start("failed", {"loss": None})
        tracker.end(failed=True)
        for run in ("first", "second"):
            tracker.start(run, {"loss": "triplet", "seed": 0, "learning_rate": 0.1, "curve": True, "miner": None})
            for update in (1, 2):
                tracker.point(update, {"loss": 1 / update, "accuracy": 0.5})
            tracker.figures({"accuracy": 0.9, "same/recall": 0.8, "true_match_rate/0.01": 0.7})
            tracker.picture("scores", _PNG)
            tracker.artifact(run_dir)
            tracker.end()
        kept = {each.name: each.read_bytes() for each in run_dir.iterdir()}
        assert kept == {"history.csv": content}, f"tracker {name}: changes the folder of a run"


_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


def _resolved(settings: Settings | str) -> Settings:
    return Settings.resolve(settings) if isinstance(settings, str) else settings


def _cut(settings: Settings) -> Settings:
    """The same for two updates a phase, on few images."""
    protocol = dataclasses.replace(
        settings.protocol,
        train_pairs=_FEW_PAIRS,
        test_pairs=_FEW_PAIRS // 4,
        test_protocol="random",
        batch_size=_FEW_PAIRS // 2,
        epochs=1,
        pretrain_epochs=min(1, settings.protocol.pretrain_epochs),
    )
    return dataclasses.replace(settings, protocol=protocol)


@functools.cache
def _few() -> Dataset:
    """80 training and 40 test images, all classes alike often."""
    train, test, classes = load_dataset("mnist-tenth")
    return Dataset(_balanced(train, 8), _balanced(test, 4), classes)


def _balanced(data: LabeledImages, count: int) -> LabeledImages:
    rows = torch.cat([(data.labels == label).nonzero().squeeze(1)[:count] for label in range(_CLASSES)])
    return LabeledImages(data.images[rows], data.labels[rows])


def _parts(design: str, backbone: str, head: str, loss: str | None, **options: Any) -> dict[str, Any]:
    return {
        "design": design,
        "backbone": backbone,
        "head": head,
        "loss": loss,
        "miner": None,
        **{f"{role}_options": options.get(f"{role}_options", {}) for role in ("backbone", "head", "loss", "miner")},
        "image_size": (28, 28),
        "classes": _CLASSES,
    }


def _loss(part: Any, embeddings: Tensor, labels: Tensor, supervision: str) -> Any:
    of_labels, of_pairs = (
        (part.label_loss, part.pair_loss) if isinstance(part, SiameseHead) else (part.of_labels, part.of_pairs)
    )
    if supervision == "labels":
        return of_labels(embeddings, labels)
    left, right = embeddings.chunk(2)
    return of_pairs(left, right, labels[: len(left)] == labels[len(left) :], torch.arange(len(left)) // 4)


def _check_gradients(what: str, module: nn.Module, value: Tensor) -> None:
    assert torch.isfinite(value), f"{what}: the loss is {value.item()}"
    module.zero_grad()
    if value.requires_grad:
        value.backward()
    for name, parameter in module.named_parameters():
        finite = parameter.grad is None or bool(torch.isfinite(parameter.grad).all())
        assert finite, f"{what}: the gradient of {name} is not finite"


def _seeded(make: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _images() -> tuple[Tensor, Tensor]:
    """A balanced batch of training images, class by class in the first and in the second half: (N, 1, 28, 28), (N,)."""
    images, labels, _ = load_dataset("mnist-tenth").train
    rows = torch.stack([(labels == label).nonzero().squeeze(1)[:_PER_CLASS] for label in range(_CLASSES)])
    # The second half's classes are moved on for every other image, so that half of the pairs are genuine.
    left, right = rows[:, : _PER_CLASS // 2], rows[:, _PER_CLASS // 2 :].clone()
    right[:, 1::2] = right[:, 1::2].roll(1, 0)
    chosen = torch.cat([left.flatten(), right.flatten()])
    return to_unit(images[chosen]), labels[chosen]


def _features() -> tuple[Tensor, Tensor]:
    labels = _images()[1]
    generator = torch.Generator().manual_seed(0)
    return torch.randn(len(labels), _FEATURES, generator=generator), labels


def check_dataset(name: str, root: str | Path | None = None, **options: Any) -> None:
    """Checks that a data set loads in the shapes of `LabeledImages`, the same twice, with two or more classes.

    Args:
        name: name in `DATASETS`.
        root: folder with its files.
        **options: its options.
    """
    first, second = (load_dataset(name, root, **options) for _ in range(2))
    assert len(set(first.classes)) == len(first.classes) >= 2, f"data set {name}: classes are {first.classes}"
    for part, again in ((first.train, second.train), (first.test, second.test)):
        assert part.images.is_contiguous(), f"data set {name}: images are not contiguous"
        assert part.labels.dtype == torch.int64, f"data set {name}: labels are {part.labels.dtype}, not int64"
        for one, other in zip(part, again, strict=True):
            same = one is other if one is None or other is None else torch.equal(one, other)
            assert same, f"data set {name}: loaded twice it differs"


def check_split(name: str, **options: Any) -> None:
    """Checks that a split's parts have no image in common, labels from 0, and are the same every time.

    Nor does a study see test images, whose trials divide the training images alike. It divides the built-in data set
    `glyphs`, whose images are all different and have writers.

    Args:
        name: name in `SPLITS`.
        **options: its options.
    """
    dataset = load_dataset("glyphs")
    for fold in range(min(2, {**options_of(SPLITS[name]), **options}.get("folds", 1))):
        split, again = (split_dataset(dataset, name, fold, **options) for _ in range(2))
        what = f"split {name}, fold {fold}"
        parts = {"training": split.train, "validation": split.validation, "test": split.test}
        images: set[bytes] = set()
        for kind, part in parts.items():
            if part is None:
                assert kind == "validation", f"{what}: there are no {kind} images"
                continue
            validating = split.validation_classes or split.classes
            names = {"training": split.classes, "validation": validating, "test": split.test_classes}[kind]
            assert len(part.images) == len(part.labels) > 0, f"{what}: {kind} images and labels differ in number"
            assert len(part.labels.unique()) >= 2, f"{what}: {kind} images are of one class; pairs need two"
            assert int(part.labels.max()) < len(names), f"{what}: a {kind} label has no class name"
            found = {image.numpy().tobytes() for image in part.images}
            assert not images & found, f"{what}: {kind} images are in another part too"
            images |= found
        assert torch.equal(split.test.images, again.test.images), f"{what}: its test images change"
        assert torch.equal(split.train.images, again.train.images), f"{what}: its training images change"
    if name != "within":
        tested = {image.numpy().tobytes() for image in split_dataset(dataset, name).test.images}
        trial = split_dataset(dataset, within(name, 0))
        for part in filter(None, (trial.train, trial.validation, trial.test)):
            seen = tested & {image.numpy().tobytes() for image in part.images}
            assert not seen, f"split {name}: its `within` shows {len(seen)} test images to a study"
