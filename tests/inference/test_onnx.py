"""Exported networks against PyTorch, by onnxruntime."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from siamese_mnist import load
from siamese_mnist.evaluation import Decision
from siamese_mnist.inference import onnx
from siamese_mnist.inference.onnx import ExportError, export_onnx
from siamese_mnist.inference.verifier import Verifier
from siamese_mnist.parts.backbones import convnet
from siamese_mnist.parts.designs import build_model

# The report's stacked classifier and its distance head are trained runs below.
DESIGNS = {
    "stacked symmetric": ("stacked", "convnet", "symmetric-classifier", None),
    "cosine": ("siamese", "convnet", "distance", "supcon"),
    "snr": ("siamese", "report", "distance", "snr-contrastive"),
    "agreement": ("siamese", "convnet", "agreement", None),
    "comparison": ("siamese", "report", "comparison", None),
    "concatenation": ("siamese", "report", "concatenation", None),
    "pseudo-siamese": ("pseudo-siamese", "convnet", "distance", "contrastive"),
    "central-surround": ("central-surround", "report", "distance", "contrastive"),
    "cross-attention": ("cross-attention", "report", "classifier", None),
}


def build(design, backbone, head, loss, **chosen):
    torch.manual_seed(0)
    options = {f"{role}_options": {} for role in ("backbone", "head", "loss", "miner")} | chosen
    parts = {"backbone": backbone, "head": head, "loss": loss, "miner": None}
    model = build_model(design=design, **parts, **options, image_size=(28, 28), classes=10)
    return Verifier(model, Decision(0.3, 1.2), image_size=(28, 28))


def session(path):
    return pytest.importorskip("onnxruntime").InferenceSession(path)


def run(path, **given):
    return session(path).run(None, given)


def check(verifier, folder, images):
    """1,000 pairs, then one: score, probability, and embeddings where there are any."""
    export_onnx(verifier, folder)
    rows = np.random.default_rng(0).integers(0, len(images), (2, 1000))
    for left, right in ((images[rows[0]], images[rows[1]]), (images[:1], images[1:2])):
        score, probability = run(folder / "pair_scorer.onnx", left=left, right=right)
        np.testing.assert_allclose(score, verifier.score(left, right), atol=1e-4)
        np.testing.assert_allclose(probability, verifier.predict_proba(left, right), atol=1e-4)
        if verifier.model.embeds:
            one, other = (run(folder / "embedder.onnx", images=each)[0] for each in (left, right))
            np.testing.assert_allclose(one, verifier.embed(left), atol=1e-4)
            again, sure = run(folder / "embedding_scorer.onnx", left=one, right=other)
            np.testing.assert_allclose(again, score, atol=1e-4)
            np.testing.assert_allclose(sure, probability, atol=1e-4)


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_every_design(design, small, tmp_path, capfd):
    verifier = build(*design)
    check(verifier, tmp_path / "onnx", small.test.images[:, 0].numpy())
    assert capfd.readouterr() == ("", "")


VIEWS = {"backbone_options": {"width": 4, "slants": True}, "head_options": {"views": 3}}


def test_views_of_any_number_of_images(small, tmp_path, monkeypatch):
    for side in ("_UPRIGHT", "_LEFT", "_RIGHT"):  # one view of each is as hard to export as several
        monkeypatch.setattr(convnet, side, getattr(convnet, side)[:1])
    check(build(*DESIGNS["cosine"], **VIEWS), tmp_path / "onnx", small.test.images[:, 0].numpy())


def test_a_network_for_two_images_alone_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(convnet, "_slanted", lambda x, _: x + torch.ones(len(x), 1, 1, 1))
    with pytest.raises(ExportError, match="for any number of images"):
        export_onnx(build(*DESIGNS["cosine"], **VIEWS), tmp_path / "onnx")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_trained_runs(variant, finished, small, tmp_path):
    verifier = load(finished[variant].run_dir)
    check(verifier, tmp_path / "onnx", small.test.images[:, 0].numpy())
    about = json.loads((tmp_path / "onnx" / "export.json").read_text())
    decision = finished[variant].decision
    assert about == {
        "image_size": [28, 28],
        "channels": 1,
        "preprocessing": "mnist",
        "threshold": decision.threshold,
        "slope": decision.slope,
    }
    for path in (tmp_path / "onnx").glob("*.onnx"):
        assert json.loads(session(path).get_modelmeta().custom_metadata_map["siamese_mnist"]) == about


def test_mistakes(tmp_path, monkeypatch):
    verifier = build(*DESIGNS["agreement"])
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ExportError, match="mine exists already"):
        export_onnx(verifier, tmp_path / "mine")
    with pytest.raises(ExportError, match="cannot write"):
        export_onnx(verifier, tmp_path / "mine" / "below")
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name == "onnx" else importlib.util.find_spec(name))
    with pytest.raises(ExportError, match=r"ONNX export needs onnx; pip install 'siamese-mnist\[export\]'"):
        export_onnx(verifier, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_part_without_a_form_leaves_nothing(tmp_path):
    class Odd(torch.nn.Module):
        feature_dim = 128

        def forward(self, x):
            return torch.linalg.eigvals(x[:, 0]).real.repeat(1, 5)[:, :128]

    verifier = build(*DESIGNS["agreement"])
    verifier.model.backbone = Odd()
    with pytest.raises(ExportError, match="this model has no form in ONNX"):
        export_onnx(verifier, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
