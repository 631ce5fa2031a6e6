"""What the site has that no page holds: the repository's address, and the live page.

The live page is a small network, trained once, that runs in the reader's browser. The address is that of git's remote
`origin`, if it is one of the web; without it pages have neither a link to edit them nor a line to clone.
"""

import hashlib
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ROOT = Path(__file__).parents[1]
_CACHE = _ROOT / "build" / "demo"
_CLONE = "<!-- clone -->"
_LOG = logging.getLogger("mkdocs.hooks.demo")


def on_config(config: Any, **_: Any) -> None:
    """Links to the repository where its address is known."""
    address = repository()
    if address:
        config["repo_url"], config["edit_uri"] = address, "edit/main/docs/"


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Puts the line that clones the repository where a page has a place for it."""
    address = config["repo_url"]
    line = f"```console\n$ git clone {address} && cd {address.rsplit('/', 1)[-1]}\n```\n" if address else ""
    return markdown.replace(_CLONE, line)


def repository() -> str | None:
    """Address of the repository on the web, without what may be secret in it."""
    try:
        found = subprocess.run(
            ["git", "remote", "get-url", "origin"], cwd=_ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    parts = urlsplit(found.stdout.strip())
    if found.returncode or parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return f"https://{parts.hostname}{parts.path.removesuffix('.git').rstrip('/')}"


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
    files = [path.stat().st_size for path in Path(config["site_dir"]).rglob("*") if path.is_file()]
    _LOG.info("The site: %d files, %.1f MB", len(files), sum(files) / 1e6)


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
