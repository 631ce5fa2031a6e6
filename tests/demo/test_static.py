"""The page without Python, as files, and the fetching of what runs it."""

import hashlib
import io
import json
import stat
import tarfile
from pathlib import Path

import numpy as np
import pytest

import siamese_mnist as sm
from siamese_mnist.demo import runtime as runtimes
from siamese_mnist.demo.answers import describe
from siamese_mnist.demo.digits import load_digits
from siamese_mnist.demo.page import page_files
from siamese_mnist.demo.runtime import FILES, RuntimeMissingError, fetch_runtime
from siamese_mnist.demo.static import write_static_demo, write_unbuilt
from siamese_mnist.errors import UsageError

CONTENT = {name: name.encode() for name in FILES}


def given(run):
    about = describe(run)
    return sm.load(run), load_digits(about.pop("config")), about


def test_files(unpowered, fast, tenth):
    folder, verifier = unpowered, fast.verifier
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    for name, content in page_files("browser").items():
        assert (folder / name).read_bytes() == content
    for name, content in CONTENT.items():
        assert (folder / "runtime" / name).read_bytes() == content
    data = json.loads((folder / "demo.json").read_text())
    assert data["about"] == fast.about
    assert (data["height"], data["width"]) == (28, 28)
    assert data["threshold"] == verifier.decision.threshold
    count = len(data["train_labels"])
    assert count == data["about"]["nearest"]["count"] == 1000
    images = np.fromfile(folder / "train.bin", np.uint8).reshape(count, 28, 28)
    for split, name, labels in (("train", "train.bin", "train_labels"), ("test", "samples.bin", "sample_labels")):
        data_set = getattr(tenth, split)
        known = {
            image.tobytes(): int(label) for image, label in zip(data_set.images.numpy(), data_set.labels, strict=True)
        }
        shown = np.fromfile(folder / name, np.uint8).reshape(-1, 28, 28)
        assert [known[image.tobytes()] for image in shown] == data[labels]
    directions = np.fromfile(folder / "directions.bin", "<f4").reshape(count, -1)
    embeddings = verifier.embed(images)
    np.testing.assert_allclose(directions, embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), atol=1e-6)


def test_networks(unpowered, fast, tenth):
    onnxruntime = pytest.importorskip("onnxruntime")
    images = tenth.test.images[:20, 0].numpy()
    embedder = onnxruntime.InferenceSession(unpowered / "embedder.onnx")
    scorer = onnxruntime.InferenceSession(unpowered / "embedding_scorer.onnx")
    left, right = (embedder.run(None, {"images": part})[0] for part in (images[:10], images[10:]))
    score, _ = scorer.run(None, {"left": left, "right": right})
    np.testing.assert_allclose(score, fast.verifier.score(images[:10], images[10:]), atol=1e-3)


def test_one_page_two_engines():
    """The server's page and the static one differ in the module that answers, and in nothing that is seen."""
    server, browser = page_files("server"), page_files("browser")
    assert {name for name in server if server[name] != browser[name]} == {"engine.js"}
    assert set(browser) - set(server) == {"normalise.js"}
    for content in (*server.values(), *browser.values()):
        assert b"http" not in content.replace(b"http-equiv", b"")


def test_mistakes(finished, stand_in, tmp_path):
    with pytest.raises(UsageError, match="use a siamese variant"):
        write_static_demo(*given(Path(finished["baseline"].run_dir)), tmp_path / "live", stand_in)
    run = given(Path(finished["siamese"].run_dir))
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="mine exists already"):
        write_static_demo(*run, tmp_path / "mine", stand_in)
    with pytest.raises(UsageError, match="cannot write"):
        write_static_demo(*run, tmp_path / "mine" / "below", stand_in)
    with pytest.raises(UsageError, match="cannot write"):
        write_static_demo(*run, tmp_path / "live", tmp_path / "no-runtime")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_unbuilt(tmp_path):
    write_unbuilt(tmp_path / "live")
    text = (tmp_path / "live" / "index.html").read_text()
    assert "was not built here; use <code>siamese-mnist demo</code>" in text


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program in the place of npm that brings an archive of these files, and counts its calls."""
    programs, archive = tmp_path / "programs", tmp_path / "package.tgz"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def bring(content, status=0):
        with tarfile.open(archive, "w:gz") as members:
            for name, data in content.items():
                member = tarfile.TarInfo(f"package/dist/{name}")
                member.size = len(data)
                members.addfile(member, io.BytesIO(data))
        program = programs / "npm"
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncp {archive} "$4/one.tgz"\nexit {status}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return lambda: (tmp_path / "calls").read_text().splitlines()

    return bring


def test_fetching(npm, tmp_path, monkeypatch):
    calls = npm({**CONTENT, "unwanted.js": b"unwanted"})
    monkeypatch.setattr(runtimes, "FILES", {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()})
    for _ in range(2):
        folder = fetch_runtime(tmp_path / "cache")
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert len(calls()) == 1
    assert calls()[0].startswith(f"pack onnxruntime-web@{runtimes.VERSION} ")
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_what_cannot_be_fetched(npm, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    npm(CONTENT)
    with pytest.raises(RuntimeMissingError, match="checksum differs"):
        fetch_runtime(cache)
    npm({})
    with pytest.raises(RuntimeMissingError, match="checksum differs"):
        fetch_runtime(cache)
    npm(CONTENT, status=7)
    with pytest.raises(RuntimeMissingError, match="exit status 7"):
        fetch_runtime(cache)
    assert list(cache.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeMissingError, match="cannot be kept"):
        fetch_runtime(tmp_path / "file")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeMissingError, match="npm is not installed"):
        fetch_runtime(cache)
