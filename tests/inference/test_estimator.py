"""The scikit-learn classifier, held to scikit-learn's own checks."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from siamese_mnist import draw_pairs, load
from siamese_mnist.inference.disjoint import ImageDisjointKFold
from siamese_mnist.inference.estimator import SiameseClassifier
from siamese_mnist.settings.grammar import SETTINGS

QUICK = {"image_size": None, "backbone": "report", "epochs": 1}

EXCEPTIONS = {
    "check_methods_subset_invariance": "float32 sums depend on the size of the batch in their last digit; the check "
    "allows 1e-7, the scores here differ by about 1e-7",
}


def expected(_):
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


NOT_OF_PAIRS = {  # what pairs at hand leave nothing to set of: their number and images, class labels, phase 1
    *("seed", "vary", "dataset", "dataset_options", "split", "fold", "curve", "supervision", "extra_classes"),
    *("train_pairs", "test_pairs", "test_protocol", "same_fraction", "pair_seed", "validation"),
    *("cross_fitting", "member_folds"),
    *("pretrain_epochs", "pretrain_batch_size", "pretrain_learning_rate"),
}


def test_every_setting_of_a_training_is_a_parameter():
    names = {field.name for field in SETTINGS.values()}
    given = set(SiameseClassifier().get_params())
    assert given == names - NOT_OF_PAIRS | {"variant", "image_size", "channels", "device", "random_state"}
    changed = {"augmentation": {"rotate": 10.0}, "schedule": "triangle", "loss": "triplet", "device": "cpu"}
    assert SiameseClassifier().set_params(**changed).get_params().items() >= changed.items()


def test_a_search_varies_parts_augmentation_and_device(data):
    grid = {
        "backbone": ["convnet", "report"],
        "augmentation": [None, {"shift": 2.0}],
        "device": ["cpu", "no-such-device"],
    }
    rows = slice(60)
    search = GridSearchCV(
        SiameseClassifier(epochs=1, random_state=0),
        grid,
        cv=ImageDisjointKFold(2),
        refit=False,
        error_score=-1.0,
    )
    with pytest.warns(FitFailedWarning, match="device 'no-such-device' cannot be used"):
        search.fit(data[0][rows], data[1][rows])
    found = search.cv_results_
    failed = found["param_device"] == "no-such-device"
    assert (found["mean_test_score"][failed] == -1).all()
    assert (found["mean_test_score"][~failed] > 0).all()


def test_settings_reach_the_training(data):
    rows = slice(100)
    plain = SiameseClassifier(epochs=1, random_state=0).fit(data[0][rows], data[1][rows])
    for changes in (
        {"augmentation": {"rotate": 20.0}},
        {"schedule": "triangle"},
        {"loss_options": {"neg_margin": 0.2}},
        {"recipe": "fast", "head": "distance", "loss": "contrastive"},
    ):
        other = clone(plain).set_params(**changes).fit(data[0][rows], data[1][rows])
        assert not np.array_equal(other.decision_function(data[0][rows]), plain.decision_function(data[0][rows]))


def test_rows_sorted_by_answer_are_calibrated(monkeypatch, data):
    monkeypatch.setattr("siamese_mnist.inference.estimator.CALIBRATION_PAIRS", 200)
    order = np.argsort(data[1], kind="stable")
    fitted = SiameseClassifier(epochs=1, random_state=0).fit(data[0][order], data[1][order])
    assert fitted.verifier_.operating_point(max_fmr=0.1).impostor_pairs < 200


def test_a_trained_run_as_a_classifier(finished, data, small):
    verifier = load(finished["siamese"].run_dir)
    model = SiameseClassifier.from_verifier(verifier)
    images = small.train.images
    pairs = draw_pairs(small.train.labels, 600, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(model.predict(data[0]), verifier.predict(images[pairs.left], images[pairs.right]))
    assert CalibratedClassifierCV(FrozenEstimator(model)).fit(*data).predict_proba(data[0][:3]).shape == (3, 2)
    with pytest.raises(ValueError, match="expecting 1568 features"):
        model.predict(data[0][:, 1:])
    with pytest.raises(NotFittedError):
        clone(model).predict(data[0])


def test_colour():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 80, (40, 3, 8, 10))
    hue = np.arange(40) % 3
    images[np.arange(40), hue] += 150
    left, right = generator.integers(0, 40, (2, 300))
    table = np.concatenate([images[left].reshape(300, -1), images[right].reshape(300, -1)], axis=1)
    same = hue[left] == hue[right]
    model = SiameseClassifier(image_size=(8, 10), channels=3, random_state=0).fit(table, same)
    assert model.score(table, same) > 0.95  # grey tells nothing
    with pytest.raises(ValueError, match="two images of 8 x 10, that is 160 pixels, got 480"):
        clone(model).set_params(channels=1).fit(table, same)
    with pytest.raises(ValueError, match="channels must be 1 or 3, got 2"):
        clone(model).set_params(channels=2).fit(table, same)
