"""The scikit-learn classifier, held to scikit-learn's own checks."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from siamese_mnist import draw_pairs
from siamese_mnist.inference.estimator import SiameseClassifier

QUICK = {"image_size": None, "backbone": "report", "epochs": 1}

EXCEPTIONS = {
    "check_methods_subset_invariance": "float32 sums depend on the size of the batch in their last digit; the check "
    "allows 1e-7, the scores here differ by about 1e-7",
}


def expected(estimator):  # noqa: ARG001
    return EXCEPTIONS


@parametrize_with_checks(
    [SiameseClassifier(**QUICK), SiameseClassifier("baseline", **QUICK)], expected_failed_checks=expected
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data(small):
    pairs = draw_pairs(small.train.labels, 600, generator=torch.Generator().manual_seed(0))
    images = small.train.images.numpy().reshape(600, -1)
    return np.concatenate([images[pairs.left], images[pairs.right]], 1), pairs.same.numpy()


@pytest.fixture(scope="module")
def fitted(data):
    return SiameseClassifier(epochs=3, random_state=0).fit(*data)


def test_it_learns(fitted, data):
    assert fitted.score(*data) > 0.75
    assert roc_auc_score(data[1], fitted.decision_function(data[0])) > 0.85


def test_answers_agree_with_the_verifier(fitted, data):
    rows = data[0][:50].reshape(50, 2, 28, 28)
    left, right = rows[:, 0].copy(), rows[:, 1].copy()
    tool = fitted.verifier_
    scores = fitted.decision_function(data[0][:50]) + tool.decision.threshold
    np.testing.assert_allclose(scores, tool.score(left, right), atol=1e-6)
    np.testing.assert_allclose(fitted.predict_proba(data[0][:50])[:, 1], tool.predict_proba(left, right))
    np.testing.assert_array_equal(fitted.predict(data[0][:50]), tool.predict(left, right))
    assert fitted.classes_.tolist() == [False, True]


def test_the_same_seed_gives_the_same_scores(data):
    pairs, same = data[0][:100], data[1][:100]
    first = SiameseClassifier(epochs=1, random_state=0).fit(pairs, same)
    torch.rand(1)  # moves the global stream, which must not matter
    again = clone(first).fit(pairs, same)
    np.testing.assert_array_equal(again.decision_function(pairs), first.decision_function(pairs))
    other = clone(first).set_params(random_state=1).fit(pairs, same)
    assert not np.array_equal(other.decision_function(pairs), first.decision_function(pairs))


def test_the_global_stream_stays(data):
    before = torch.random.get_rng_state()
    SiameseClassifier(epochs=1, random_state=0).fit(data[0][:100], data[1][:100])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_pickle(fitted, data):
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.decision_function(data[0]), fitted.decision_function(data[0]))


def test_cross_validation_and_pipeline(data):
    quick = SiameseClassifier(epochs=1, random_state=0)
    assert cross_val_score(quick, *data, cv=2).shape == (2,)
    pipeline = make_pipeline(MinMaxScaler(), quick).fit(*data)
    assert pipeline.predict(data[0][:5]).shape == (5,)


def test_words_as_classes(data):
    words = np.where(data[1], "same", "different")
    model = SiameseClassifier(epochs=1, random_state=0).fit(data[0], words)
    assert set(model.predict(data[0])) <= {"same", "different"}
    assert model.classes_[1] == "same"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": (28, 27)}, "two images of 28 x 27, that is 1512 pixels, got 1568"),
        ({"variant": "siamese-agreement"}, "'agreement' needs class labels, which pairs do not have"),
        ({"loss": "arcface"}, "'arcface' needs class labels"),
        ({"variant": "siames"}, "unknown variant 'siames'; did you mean 'siamese'"),
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"backbone_learning_rate": -1.0}, "backbone_learning_rate must be >= 0"),
    ],
)
def test_mistakes(data, changes, message):
    with pytest.raises(ValueError, match=message):
        SiameseClassifier(**changes).fit(*data)


def test_classes(data):
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        SiameseClassifier().fit(data[0], np.arange(600) % 3)
    with pytest.raises(ValueError, match="one class only"):
        SiameseClassifier().fit(data[0], np.ones(600))
