"""The files of the page."""

from importlib.resources import files
from typing import Literal

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_MODULES = ("main.js", "pad.js", "decision.js", "enrol.js", "map.js", "morph.js", "puzzle.js", "why.js")
_COMMON = ("index.html", "style.css", *_MODULES)
# One page, two engines: who answers is all that differs.
_ENGINES = {
    "server": {"engine.js": "engine-server.js"},
    "browser": {"engine.js": "engine-browser.js", "normalise.js": "normalise.js"},
}


def page_files(engine: Literal["server", "browser"]) -> dict[str, bytes]:
    """Content of the page's files by name.

    Args:
        engine: "server" asks Python, "browser" runs the network in the browser.
    """
    folder = files("siamese_mnist.demo") / "page"
    names = {name: name for name in _COMMON} | _ENGINES[engine]
    return {name: (folder / source).read_bytes() for name, source in names.items()}
