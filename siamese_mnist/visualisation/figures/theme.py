"""The look of all pictures: told apart in grey and by colour-blind readers, on light and on dark ground.

A picture is drawn in the light theme. Its SVG names the three colours that the theme changes as CSS variables, so that
one file serves both themes; the others are of Okabe and Ito's palette and are seen on either ground.
"""

import io
import re
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like, to_rgb, to_rgba
from matplotlib.figure import Figure

WIDTH_INCHES = 4.8  # narrow enough that a telephone shows the text at a readable size

INK, FAINT, GROUND = "#1a1c1e", "#c2c7cd", "#fdfdfe"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--faint)", GROUND: "var(--ground)"}
_DARK = {INK: "#e7e9ec", FAINT: "#50565e", GROUND: "#16181d"}
THEME_CSS = """\
:root { --ink: #1a1c1e; --faint: #c2c7cd; --ground: #fdfdfe; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --faint: #50565e; --ground: #16181d; } }
"""

_FONT = "DejaVu Sans"  # wide: text in the reader's own font takes no more room

STYLE: Any = {
    "axes.edgecolor": INK,
    "axes.facecolor": GROUND,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.facecolor": GROUND,
    "font.family": _FONT,
    "font.size": 9,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.8,
    "path.simplify_threshold": 0.4,
    "legend.facecolor": GROUND,
    "legend.edgecolor": FAINT,
    "legend.fontsize": 8,
    "lines.linewidth": 1.5,
    "savefig.facecolor": GROUND,
    "svg.fonttype": "none",
    "svg.hashsalt": "siamese-mnist",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
themed = rc_context(STYLE)
"""Decorates every function that draws or saves: Matplotlib reads its settings at both times."""

# A hundredth of a point is not seen, and the file is a third smaller.
_COORDINATES = re.compile(r'\b(?:d|x|y)="[^"]*"')
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_INDENTATION = re.compile(r"\n +")
_UPRIGHT = re.compile(r' transform="rotate\(-0 [^"]*"')


class Look(NamedTuple):
    """How one of several things in a picture is told from the others, with colour and without."""

    colour: str
    line: Any
    marker: str


BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"
_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE)
_LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_MARKERS = "osD^vP*"


def look(number: int) -> Look:
    """The look of the thing with this number; 30 have different colours or lines."""
    return Look(
        _COLOURS[number % len(_COLOURS)],
        _LINES[number % len(_LINES)],
        _MARKERS[number % len(_MARKERS)],
    )


def canvas(height_inches: float, rows: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """An empty figure with axes below each other."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    return figure, list(figure.subplots(rows, 1, squeeze=False, **options)[:, 0])


@themed
def to_svg(figure: Figure, prefix: str = "") -> str:
    """A figure as an SVG element whose theme colours are CSS variables.

    Args:
        figure: drawn by a function of `siamese_mnist.visualisation.figures`.
        prefix: put before every id, so that several elements can be in one page.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = _COORDINATES.sub(lambda found: _DECIMALS.sub(r"\1", found[0]).replace("\n", ""), text)
    text = _UPRIGHT.sub("", _INDENTATION.sub("\n", text)).replace(f"font-family: '{_FONT}'; ", "")
    text = text.replace("<svg ", f"<svg font-family=\"'{_FONT}', sans-serif\" ", 1)
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", text)


@themed
def save(figure: Figure, path: Path, *, dark: bool = False) -> None:
    """Writes a figure: `.svg` follows the reader's theme, any other format of Matplotlib is light unless it is `dark`.

    A figure that has been saved dark stays dark.
    """
    if path.suffix == ".svg":
        head, tag, rest = to_svg(figure).partition(">")
        path.write_text(f"{head}{tag}\n<style>{THEME_CSS}</style>{rest}", encoding="utf-8")
        return
    if dark:
        _darken(figure)
    figure.savefig(path, dpi=200, facecolor=figure.get_facecolor())


def _darken(figure: Figure) -> None:
    """Gives all that has a colour of the light theme its dark one."""
    changed = {to_rgb(light): dark for light, dark in _DARK.items()}
    for artist in figure.findobj():
        for name in ("color", "facecolor", "edgecolor"):
            if not (hasattr(artist, f"get_{name}") and hasattr(artist, f"set_{name}")):
                continue
            value = getattr(artist, f"get_{name}")()
            if is_color_like(value) and to_rgba(value)[3] and to_rgb(value) in changed:
                getattr(artist, f"set_{name}")(changed[to_rgb(value)])
