"""Builds the live page of the site: a small network, trained once, that runs in the reader's browser."""

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_CACHE = _ROOT / "build" / "demo"
_LOG = logging.getLogger("mkdocs.hooks.demo")


def on_post_build(config: Any, **_: Any) -> None:
    """Puts the page into `demo/live/` of the site."""
    from siamese_mnist.demo.static import write_unbuilt
    from siamese_mnist.errors import UsageError

    target = Path(config["site_dir"]) / "demo" / "live"
    try:
        shutil.copytree(_built(), target, dirs_exist_ok=True)
    except UsageError as error:
        _LOG.info("The live page is not built: %s", error)
        write_unbuilt(target)


def _built() -> Path:
    """The page of the recipe `fast`, as it was built before from the same run and the same files."""
    from siamese_mnist.demo.answers import describe
    from siamese_mnist.demo.digits import load_digits
    from siamese_mnist.demo.runtime import fetch_runtime
    from siamese_mnist.demo.static import write_static_demo
    from siamese_mnist.inference.verifier import load
    from siamese_mnist.runs.experiment import run_settings
    from siamese_mnist.runs.store import find_run
    from siamese_mnist.settings.settings import Settings

    runtime, runs = fetch_runtime(_CACHE), _CACHE / "runs"
    settings = Settings.resolve(
        "siamese", recipe="fast", validation=0.1
    )  # so that the rates shown are of unseen images
    run = Path((find_run(settings, runs) or run_settings(settings, runs_dir=runs)).run_dir)
    page = _CACHE / f"page-{_digest(run)}"
    if not page.is_dir():
        about = describe(run)
        digits = load_digits(about.pop("config"))
        assert digits is not None
        write_static_demo(load(run), digits, about, page, runtime)
    for earlier in set(_CACHE.glob("page-*")) - {page}:
        shutil.rmtree(earlier, ignore_errors=True)
    return page


def _digest(run: Path) -> str:
    package = _ROOT / "siamese_mnist"
    sources = sorted(path for path in (package / "demo").rglob("*") if path.suffix != ".pyc" and path.is_file())
    digest = hashlib.sha256()
    for path in (run / "model.safetensors", package / "inference" / "onnx.py", *sources):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
