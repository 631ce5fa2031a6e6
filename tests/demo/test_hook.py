"""The live page in the build of the documentation."""

import importlib.util
import logging
from pathlib import Path

import pytest

from siamese_mnist.demo import runtime, static
from siamese_mnist.runs import store
from siamese_mnist.runs.store import read_run

HOOKS = Path(__file__).parents[2] / "docs" / "hooks.py"


@pytest.fixture
def hooks(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("hooks", HOOKS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "_CACHE", tmp_path / "cache")
    return module


def test_without_npm_the_build_goes_on(hooks, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.INFO):
        hooks.on_post_build({"site_dir": str(tmp_path / "site")})
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("INFO", "The live page is not built: npm is not installed"),
        ("INFO", "The site: 1 files, 0.0 MB"),
    ]
    assert "was not built here" in (tmp_path / "site" / "demo" / "live" / "index.html").read_text()


def test_the_page_is_made_once(hooks, fast_run, tmp_path, monkeypatch):
    written = []

    def write(verifier, digits, about, folder, runtime):
        assert verifier.image_size == digits.train.images.shape[2:]
        assert about["variant"] == "siamese"
        assert runtime == tmp_path
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("live")
        written.append(folder)
        return folder

    monkeypatch.setattr(static, "write_static_demo", write)
    monkeypatch.setattr(runtime, "fetch_runtime", lambda _: tmp_path)
    monkeypatch.setattr(store, "find_run", lambda *_: read_run(fast_run))
    for name in ("first", "second"):
        hooks.on_post_build({"site_dir": str(tmp_path / name)})
        assert (tmp_path / name / "demo" / "live" / "index.html").read_text() == "live"
    assert len(written) == 1
