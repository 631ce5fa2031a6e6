"""A saved run as a tool."""

import os
import shutil

import numpy as np
import pytest
import torch

import siamese_mnist as sm
from siamese_mnist import UsageError
from siamese_mnist.evaluation import Decision
from siamese_mnist.inference import verifier
from siamese_mnist.inference.saved import locate
from siamese_mnist.inference.verifier import Verifier, load
from siamese_mnist.parts import designs, heads, losses
from siamese_mnist.parts.designs import build_model, to_unit
from siamese_mnist.runs.store import RunError

SIAMESE_HEADS = [part.name for part in heads.HEADS.parts() if issubclass(part.value, heads.SiameseHead)]


def make(head, loss=None, loss_options=None, design="siamese", backbone="convnet"):
    torch.manual_seed(0)
    model = build_model(
        design=design,
        backbone=backbone,
        backbone_options={},
        head=head,
        head_options={},
        loss=loss,
        loss_options=loss_options or {},
        miner=None,
        miner_options={},
        image_size=(28, 28),
        classes=10,
    )
    return Verifier(model, Decision(0.1, 2.0), image_size=(28, 28))


@pytest.fixture(scope="module")
def images(small):
    return small.test.images[:, 0].numpy()


@pytest.fixture(scope="module", params=["baseline", "siamese"])
def loaded(request, finished):
    return load(finished[request.param].run_dir)


def test_score_is_the_runs(loaded, finished, small):
    """The saved scores of the run's own test pairs, from its own images."""
    variant = "siamese" if loaded.model.embeds else "baseline"
    saved = np.load(finished[variant].run_dir + "/test_scores.npz")
    pixels = small.test.images[:, 0].numpy()
    left, right = saved["left"][:200], saved["right"][:200]
    scores = loaded.score(pixels[left], pixels[right])
    assert scores.shape == (200,)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, saved["score"][:200], atol=1e-4)
    np.testing.assert_allclose(loaded.score_rows(pixels, left, right), scores, atol=1e-5)
    np.testing.assert_array_equal(loaded.score(torch.from_numpy(pixels[left]), torch.from_numpy(pixels[right])), scores)


def test_answers_and_probabilities(loaded, images):
    scores = loaded.score(images[:100], images[100:200])
    slope, threshold = loaded.decision.slope, loaded.decision.threshold
    np.testing.assert_array_equal(loaded.predict(images[:100], images[100:200]), scores >= threshold)
    expected = 1 / (1 + np.exp(-slope * (scores.astype(float) - threshold)))
    np.testing.assert_allclose(loaded.predict_proba(images[:100], images[100:200]), expected, rtol=1e-9)


def test_embed(finished, images):
    siamese = load(finished["siamese"].run_dir)
    embeddings = siamese.embed(images[:50])
    assert embeddings.shape[0] == 50
    with torch.no_grad():
        one = siamese.model.head.embed(siamese.model.backbone(to_unit(torch.from_numpy(images[:1])))).numpy()
    np.testing.assert_allclose(embeddings[:1], one, atol=1e-5)
    with pytest.raises(UsageError, match="this design has no embedding of a single image"):
        load(finished["baseline"].run_dir).embed(images)


def check_matrix(tool, a, b):
    matrix = tool.score_matrix(a, b)
    assert matrix.shape == (len(a), len(b))
    assert matrix.dtype == np.float32
    pairs = tool.score(a.repeat(len(b), 0), np.tile(b, (len(a), 1, 1)))
    np.testing.assert_allclose(matrix, pairs.reshape(matrix.shape), atol=1e-5)


def test_matrix_is_the_score_of_every_pair(loaded, images, monkeypatch):
    monkeypatch.setattr(designs.base, "_TILE", 16)
    check_matrix(loaded, images[:40], images[30:63])


@pytest.mark.parametrize("head", SIAMESE_HEADS)
def test_matrix_of_every_head(images, head, monkeypatch):
    monkeypatch.setattr(designs.siamese, "_TILE", 16)
    check_matrix(make(head, "contrastive" if head == "distance" else None), images[:40], images[30:63])


@pytest.mark.parametrize("name", [part.name for part in losses.LOSSES.parts()])
def test_matrix_of_every_loss(name):
    loss = losses.create_loss(name, {}, None, {}, classes=10, embedding_dim=8)
    left, right = torch.randn(2, 30, 8, generator=torch.Generator().manual_seed(0))
    right[:5] = left[:5]
    expected = torch.stack([loss.similarity(row.expand_as(right), right) for row in left])
    torch.testing.assert_close(loss.similarity_matrix(left, right), expected, atol=1e-5, rtol=1e-5)


def test_agreement_is_exact_where_a_class_is_certain():
    """Float32 alone would lose 1 - p; the closed form in Python's own arithmetic is the oracle."""
    head = heads.HEADS["agreement"](4, 3, None, embedding_dim=3)
    with torch.no_grad():
        head.classify[0].weight.copy_(torch.eye(3))
        head.classify[0].bias.zero_()
    logits = torch.tensor([[12.0, 0.0, 0.0]])
    exact = np.exp(np.float64([12, 0, 0])) / np.exp(np.float64([12, 0, 0])).sum()
    agree = (exact**2).sum()
    expected = pytest.approx(np.log(agree / (1 - agree) * 2), abs=1e-5)
    assert head.score(logits, logits).item() == expected
    assert head.score_matrix(logits, logits).item() == expected


def test_agreement_is_exact_where_no_class_is_shared():
    """Odds of less than float32 can hold."""
    head = heads.HEADS["agreement"](4, 2, None, embedding_dim=2)
    with torch.no_grad():
        head.classify[0].weight.copy_(torch.eye(2))
        head.classify[0].bias.zero_()
    left, right = torch.tensor([[120.0, 0.0]]), torch.tensor([[0.0, 120.0], [120.0, 0.0]])
    matrix = head.score_matrix(left, right)
    assert matrix[0, 0].item() == pytest.approx(np.log(2) - 120, abs=1e-4)
    assert matrix[0, 0].item() == pytest.approx(head.score(left, right[:1]).item(), abs=1e-4)


@pytest.mark.parametrize("count", [1, 5])
def test_the_nearest_are_those_of_the_matrix(loaded, images, monkeypatch, count):
    """In blocks, of which the last is smaller than the count."""
    monkeypatch.setattr(verifier, "_TILE", 16)
    monkeypatch.setattr(verifier, "_BLOCK", 29)
    matrix = loaded.score_matrix(images[:40], images[30:63])
    rows, scores = loaded.nearest(images[:40], images[30:63], count=count)
    np.testing.assert_allclose(scores, -np.sort(-matrix)[:, :count], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(matrix, rows, 1), scores, atol=1e-5)
    matrix = loaded.score_matrix(images[:33], images[:33])
    np.fill_diagonal(matrix, -np.inf)
    rows, scores = loaded.nearest(images[:33], count=count)
    np.testing.assert_allclose(scores, -np.sort(-matrix)[:, :count], atol=1e-5)
    assert (rows != np.arange(33)[:, None]).all()
    with pytest.raises(UsageError, match=r"count must be in 1..32, the number of images to choose among, got 33"):
        loaded.nearest(images[:33], count=33)


def test_every_image_is_embedded_once(images):
    tool = make("agreement")
    seen = []
    tool.model.backbone.register_forward_hook(lambda _, __, result: seen.append(len(result)))
    tool.score_matrix(images[:100], images[:70])
    assert sum(seen) == 170
    seen.clear()
    tool.score_matrix(images[:100], images[:100])
    assert sum(seen) == 100
    seen.clear()
    tool.score_rows(images[:50], np.zeros(500, int), np.arange(500) % 50)
    assert sum(seen) == 50


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (np.zeros((2, 28, 28), np.float32), r"left must be uint8 \(N, 28, 28\), got float32 \(2, 28, 28\)"),
        (np.zeros((2, 27, 28), np.uint8), r"got uint8 \(2, 27, 28\)"),
        (np.zeros((28, 28), np.uint8), r"got uint8 \(28, 28\)"),
        (np.zeros((0, 28, 28), np.uint8), "left holds no image"),
        (np.zeros((3, 28, 28), np.uint8), "equally many images, got 3 and 2"),
        ([[1, 2], [3]], "left must be images of one size"),
        (torch.zeros(2, 28, 28), r"got float32 \(2, 28, 28\)"),
    ],
)
def test_wrong_images(left, message):
    with pytest.raises(UsageError, match=message):
        make("agreement").score(left, np.zeros((2, 28, 28), np.uint8))


def test_a_model_left_in_training_mode_answers_the_same_and_learns_nothing(images):
    tool = make("agreement", backbone="report")
    scores = tool.score(images[:20], images[20:40])
    before = {name: tensor.clone() for name, tensor in tool.model.state_dict().items()}
    tool.model.train()
    np.testing.assert_array_equal(tool.score(images[:20], images[20:40]), scores)
    for name, tensor in tool.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("rows", [[0.9, 0], [True, False]])
def test_rows_that_are_no_integers(images, rows):
    with pytest.raises(UsageError, match="must be integers, rows of images, got"):
        make("agreement").score_rows(images, rows, rows)


def test_wrong_rows(images):
    for rows in ([0, 300], [-1, 0], [], [[0]]):
        with pytest.raises(UsageError, match=r"must be \(P,\) rows in 0..299"):
            make("agreement").score_rows(images, rows, rows)


def test_arrays_that_may_not_be_written_or_step_backwards(images):
    tool = make("agreement")
    fixed = images[:4].copy()
    fixed.flags.writeable = False
    np.testing.assert_array_equal(tool.score(fixed, images[4:8]), tool.score(images[:4], images[4:8]))
    np.testing.assert_array_equal(tool.score(images[3::-1], images[:4]), tool.score(images[3::-1].copy(), images[:4]))


def test_locate(runs_dir, finished, tmp_path):
    run_dir = finished["siamese"].run_dir
    assert str(locate("siamese", runs_dir)) == run_dir
    assert str(locate(run_dir, tmp_path)) == run_dir
    with pytest.raises(
        UsageError, match=f"no run of 'siamese' in {tmp_path}; make one with `siamese-mnist run siamese`"
    ):
        locate("siamese", tmp_path)
    with pytest.raises(UsageError, match="'siames' is neither a run, nor a bundle, nor a variant"):
        locate("siames", runs_dir)
    with pytest.raises(UsageError, match="neither a complete run nor a bundle"):
        locate(str(tmp_path), runs_dir)


def test_locate_takes_the_newest(tmp_path, short):
    runs = [sm.run("siamese", runs_dir=tmp_path, **short, seed=seed, pretrain_epochs=0) for seed in (1, 2)]
    for run, seconds in zip(runs, (2_000, 1_000), strict=True):
        os.utime(run.run_dir + "/result.json", (seconds, seconds))
    assert str(locate("siamese", tmp_path)) == runs[0].run_dir


@pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"image_size": [28, 28], "classes": 3}'])
def test_a_run_of_other_hands(finished, tmp_path, content):
    shutil.copytree(finished["siamese"].run_dir, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match=r"config\.json cannot be read .*; train the run again"):
        load(tmp_path)
