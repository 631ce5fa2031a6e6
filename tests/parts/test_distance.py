"""The distance head: views of an image, and embeddings that are whitened after training."""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize

from siamese_mnist.data import split_dataset
from siamese_mnist.errors import UsageError
from siamese_mnist.parts.heads.distance import _SHRINKAGE, DistanceHead
from siamese_mnist.parts.losses import create_loss
from siamese_mnist.runs.experiment import learn
from siamese_mnist.settings.settings import Settings
from siamese_mnist.testing import check_head

_FEATURES, _CLASSES, _LENGTH = 48, 10, 6


def made(loss="cosface", **options):
    torch.manual_seed(0)
    trained_with = create_loss(loss, {}, None, {}, classes=_CLASSES, embedding_dim=_LENGTH)
    return DistanceHead(_FEATURES, _CLASSES, trained_with, embedding_dim=_LENGTH, **options)


@pytest.fixture
def features():
    return torch.randn(24, _FEATURES, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("members", [1, 2])
def test_each_view_is_compared_with_the_one_that_is_most_like_it(features, members):
    head = made(views=3, members=members)
    embeddings = head.embed(features).detach()
    assert embeddings.shape == (24, 3 * members * _LENGTH)
    parts = embeddings.view(24, 3, members, _LENGTH).numpy()
    scores = np.array(
        [
            [
                np.mean(
                    [cosine_similarity(parts[:, one, each], parts[:, two, each]) for each in range(members)], axis=0
                )
                for two in range(3)
            ]
            for one in range(3)
        ]
    )
    expected = (scores.max(0).mean(0) + scores.max(1).mean(0)) / 2
    left, right = embeddings[:10], embeddings[10:]
    np.testing.assert_allclose(head.score_matrix(left, right), expected[:10, 10:], atol=1e-6)
    np.testing.assert_allclose(head.matrix_block(*head.matrix_sides(left, right)), expected[:10, 10:], atol=1e-6)
    assert torch.equal(head.score(left, right[:10]), head.score(right[:10], left))
    np.testing.assert_allclose(head.score(left, right[:10]), expected[range(10), range(10, 20)], atol=1e-6)


def test_views_of_one_image_are_embedded_alike_and_the_loss_is_of_the_first(features):
    head, plain = made(views=3), DistanceHead(16, _CLASSES, made().loss, embedding_dim=_LENGTH)
    plain.load_state_dict(head.state_dict())
    first, *others = (plain.embed(view) for view in features.chunk(3, 1))
    assert torch.equal(head.embed(features), torch.cat([first, *others], 1))
    labels = torch.arange(24) % _CLASSES
    torch.testing.assert_close(head.label_loss(head.embed(features), labels), plain.label_loss(first, labels))


def test_pairs_train_on_the_first_view(features):
    head = made("contrastive", views=2)
    left, right = head.embed(features).chunk(2)
    same, anchors = torch.arange(12) % 2 == 0, torch.arange(12)
    first = [each[:, :_LENGTH] for each in (left, right)]
    assert torch.equal(head.pair_loss(left, right, same, anchors), head.loss.of_pairs(*first, same, anchors))


@pytest.mark.parametrize("options", [{"views": 5}, {"views": 0}, {"views": 3, "members": 5}])
def test_features_that_cannot_be_divided_are_refused(options):
    with pytest.raises(UsageError, match=r"must divide the (48|16) features of the backbone, got [05]"):
        made(**options)


@pytest.mark.parametrize("options", [{}, {"members": 2}, {"views": 2, "hidden_dim": 0}])
def test_whitened_embeddings_of_one_class_spread_alike(features, options):
    """Against NumPy's covariance of what is left of embeddings of length 1 when their class's mean is taken away."""
    head = made(whitened=True, **options)
    labels = torch.arange(24) % 4
    parts = head.views * head.members

    def embedded():
        chunks = head.embed(features).detach().double().chunk(parts, 1)
        return [
            np.concatenate([one.numpy() for one in chunks[member :: head.members]]) for member in range(head.members)
        ]

    before = embedded()
    head.finish(features, labels)
    repeated = np.tile(labels.numpy(), head.views)
    for one, other in zip(before, embedded(), strict=True):
        points = one / np.linalg.norm(one, axis=1, keepdims=True)
        within = points - np.stack([points[repeated == each].mean(0) for each in repeated])
        shape = np.cov(within.T, bias=True)
        shape /= np.trace(shape) / _LENGTH
        change = np.linalg.lstsq(one, other, rcond=None)[0].T
        np.testing.assert_allclose(one @ change.T, other, atol=1e-4)
        np.testing.assert_allclose(change, change.T, atol=1e-4)
        evened = change @ (shape + _SHRINKAGE * np.eye(_LENGTH)) @ change.T
        np.testing.assert_allclose(evened, (1 + _SHRINKAGE) * np.eye(_LENGTH), atol=1e-3)


def test_classes_of_one_image_leave_the_projection_as_it_is(features):
    head = made(whitened=True)
    before = head.embed(features)
    head.finish(features, torch.arange(24))
    assert torch.equal(head.embed(features), before)


@pytest.mark.parametrize("options", [{}, {"members": 2}, {"views": 2, "members": 2}])
def test_features_in_place_of_projections(features, options):
    """Against scikit-learn's lengths and NumPy's roots and covariances; the projection serves the training alone."""
    head = made(projected=False, whitened=True, **options)
    plain = made(**options)
    assert torch.equal(head.train().embed(features), plain.train().embed(features))
    labels, parts = torch.arange(24) % 4, head.views * head.members
    repeated = np.tile(labels.numpy(), head.views)
    head.eval().finish(features, labels)

    found = head.embed(features).double().chunk(parts, 1)
    roots = [
        normalize(np.sign(each) * np.sqrt(np.abs(each)))
        for each in features.double().numpy().reshape(24, parts, -1).swapaxes(0, 1)
    ]
    for member in range(head.members):
        points = np.concatenate(roots[member :: head.members])
        made_of = np.concatenate([each.numpy() for each in found[member :: head.members]])
        within = points - np.stack([points[repeated == each].mean(0) for each in repeated])
        shape = np.cov(within.T, bias=True)
        shape /= np.trace(shape) / len(shape)
        evened = (shape + _SHRINKAGE * np.eye(len(shape))) / (1 + _SHRINKAGE)
        centred = points - points.mean(0)
        # The map is the inverse root of `evened`: mapped twice, points are solutions of it.
        np.testing.assert_allclose(made_of @ made_of.T, centred @ np.linalg.solve(evened, centred.T), atol=1e-3)


def test_features_of_zero_have_gradients(features):
    head = made(projected=False).eval()
    some = torch.where(features > 0, features, 0).requires_grad_()
    head.score(*head.embed(some).chunk(2)).sum().backward()
    assert torch.isfinite(some.grad).all()


@pytest.mark.parametrize("options", [{}, {"views": 3}, {"views": 3, "projected": False, "whitened": True}])
def test_the_mean_of_the_members_alone_is_that_of_the_head(features, options):
    head = made(members=2, **options)
    head.finish(features, torch.arange(24) % _CLASSES)
    head.eval()
    views = options.get("views", 1)
    parts = features.view(24, views, 2, -1).unbind(2)
    with torch.no_grad():
        left, right = head.embed(features).chunk(2)
        alone = [head.member(number) for number in range(2)]
        own = [each.embed(part.flatten(1)).chunk(2) for each, part in zip(alone, parts, strict=True)]
        scores = [each.score(*both) for each, both in zip(alone, own, strict=True)]
        if views == 1:  # else the ensemble chooses one view for all its members
            torch.testing.assert_close(head.score(left, right), sum(scores) / 2)
        torch.testing.assert_close(
            torch.stack([one for one, _ in own], 1).view(12, 2, views, -1).transpose(1, 2).flatten(1), left
        )


def test_what_a_member_leaves_out_is_missing_in_its_loss_and_whitening(features):
    """Against the same head without the images of these classes."""
    labels = torch.arange(24) % _CLASSES
    head, plain = made(members=2, whitened=True, projected=False), made(members=2, whitened=True, projected=False)
    head.left_out = torch.arange(_CLASSES) % 3  # the third part is left out by none
    expected = []
    for number in range(2):
        known = labels % 3 != number
        part = plain.embed(features).chunk(2, 1)[number]
        expected.append(plain.loss.of_labels(part[known], labels[known]))
        plain.finish(features[known], labels[known])
        head.finish(features, labels)
        torch.testing.assert_close(head.whitening[number], plain.whitening[number])
        torch.testing.assert_close(head.centres[number], plain.centres[number])
    torch.testing.assert_close(head.label_loss(head.embed(features), labels), sum(expected) / 2)


def test_scores_in_training_pass_over_members_that_know_nothing(features):
    labels = torch.arange(24) % _CLASSES
    head = made(members=2, views=3)
    embeddings = head.embed(features)
    assert head.blanked(embeddings, labels) is embeddings
    head.left_out = torch.arange(_CLASSES) % 2
    blanked = head.blanked(embeddings, labels).view(24, 3, 2, -1)
    whole = embeddings.view(24, 3, 2, -1)
    for row, label in enumerate(labels.tolist()):
        assert not blanked[row, :, label % 2].any()
        assert torch.equal(blanked[row, :, 1 - label % 2], whole[row, :, 1 - label % 2])


def test_a_subclass_that_embeds_otherwise_has_no_members_alone():
    class Doubled(DistanceHead):
        def embed(self, features):
            return 2 * super().embed(features)

    trained_with = create_loss("cosface", {}, None, {}, classes=_CLASSES, embedding_dim=_LENGTH)
    assert Doubled(_FEATURES, _CLASSES, trained_with, embedding_dim=_LENGTH, members=2).member(0) is None


def test_a_run_is_whitened_after_training_on_all_its_classes(small, monkeypatch):
    seen = []
    finish = DistanceHead.finish
    monkeypatch.setattr(DistanceHead, "finish", lambda head, *given: seen.append(given) or finish(head, *given))
    settings = {
        "train_pairs": 40,
        "pretrain_epochs": 0,
        "epochs": 1,
        "curve": False,
        "extra_classes": "rotated",
        "head": "distance",
    }
    plain, whitened = (
        learn(Settings.resolve("siamese", **settings, head_options=options), split_dataset(small))
        for options in ({}, {"whitened": True})
    )
    ((_, labels),) = seen
    assert set(labels.tolist()) == set(range(40))
    assert plain.decision.threshold != whitened.decision.threshold


def test_what_is_left_out_of_the_state_is_found(monkeypatch):
    def embed(head, features):
        return head.__dict__.get("factor", 1) * plain(head, features)

    plain = DistanceHead.embed
    monkeypatch.setattr(DistanceHead, "embed", lambda head, features: torch.tanh(embed(head, features)))
    monkeypatch.setattr(DistanceHead, "finish", lambda head, *_: setattr(head, "factor", 3.0))
    with pytest.raises(AssertionError, match="keep all of it in the state"):
        check_head("distance", loss="cosface", members=2, whitened=True)
