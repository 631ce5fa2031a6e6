"""The diagrams of docs/designs.md as SVG files in docs/images/designs, drawn from the designs' own sizes.

python docs/diagrams.py

They are narrow enough for a telephone and follow the reader's light or dark theme.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from torch import Tensor, nn

import siamese_mnist as sm
from siamese_mnist.parts.heads import HEADS, SiameseHead
from siamese_mnist.parts.losses import create_loss

FOLDER = Path(__file__).parent / "images" / "designs"
WIDTH = 380
LEFT, MIDDLE, RIGHT = 82, WIDTH // 2, WIDTH - 82  # centres of the columns
CLASSES = 10
STYLE = """
:root { --ink: #1a1c1e; --soft: #5b626b; --ground: #fdfdfe; --line: #c2c7cd;
  --image: #eef1f4; --backbone: #dcebf7; --head: #fbe7cf; --score: #d9f0e3; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7e9ec; --soft: #aab1ba; --ground: #16181d; --line: #50565e;
  --image: #262a31; --backbone: #173449; --head: #463014; --score: #15402c; } }
text { font: 13px system-ui, sans-serif; fill: var(--ink); text-anchor: middle; }
.soft { font-size: 11.5px; fill: var(--soft); }
.box { stroke: var(--ink); stroke-width: 1.2; }
.arrow { fill: none; stroke: var(--ink); stroke-width: 1.3; marker-end: url(#tip); }
.shared { fill: none; stroke: var(--ink); stroke-width: 1.3; stroke-dasharray: 4 3; }
"""


class Drawing:
    """Boxes, arrows and words from the top to the bottom."""

    def __init__(self, alternative: str) -> None:
        self.alternative = alternative
        self.height = 10
        self._marks: list[str] = []

    def add(self, mark: str, bottom: float) -> None:
        """Adds SVG that reaches down to `bottom`."""
        self._marks.append(mark)
        self.height = max(self.height, int(bottom) + 10)

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        """Words centred at x, their base line at y."""
        self.add(f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(words)}</text>', y + 4)

    def box(self, x: float, y: float, kind: str, *lines: str, width: float = 132) -> None:
        """A box centred at x, its upper edge at y; the first line names it, the others are smaller."""
        height = 12 + 17 * len(lines)
        self.add(
            f'<rect class="box" x="{x - width / 2:g}" y="{y:g}" width="{width:g}" height="{height}" rx="5" '
            f'fill="var(--{kind})"/>',
            y + height,
        )
        for number, line in enumerate(lines):
            self.text(x, y + 19 + 17 * number, line, "soft" if number else "")

    def arrow(self, *points: tuple[float, float]) -> None:
        """A line through points, with a tip at its end."""
        self.add(f'<path class="arrow" d="{_path(points)}"/>', points[-1][1])

    def shared(self, y: float) -> None:
        """A dashed line between the two columns."""
        self.add(f'<path class="shared" d="M{LEFT + 66} {y:g}H{RIGHT - 66}"/>', y)
        self.text(MIDDLE, y - 7, "same weights", "soft")

    def image(self, x: float, name: str, pixels: Tensor) -> None:
        """An image of (28, 28) pixels at the top, with its name."""
        self.add(
            f'<rect class="box" x="{x - 30:g}" y="10" width="60" height="60" rx="5" fill="var(--image)"/>'
            f'<path transform="translate({x - 28:g} 12) scale(2)" fill="var(--ink)" d="{_runs(pixels)}"/>',
            70,
        )
        self.text(x + (56 if x < MIDDLE else -56), 44, name, "soft")

    def svg(self) -> str:
        """The whole picture."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" '
            f'height="{self.height}" role="img"><title>{escape(self.alternative)}</title><style>{STYLE}</style>'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" style="fill: var(--ink)"/></marker></defs>'
            f'<rect width="{WIDTH}" height="{self.height}" rx="8" fill="var(--ground)"/>\n' + "\n".join(self._marks)
        ) + "\n</svg>\n"


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _runs(pixels: Tensor) -> str:
    """The dark half of the pixels as one path, a rectangle for every run in a row."""
    runs = []
    for y, row in enumerate((pixels > 110).tolist()):
        x = 0
        while x < len(row):
            end = x
            while end < len(row) and row[end]:
                end += 1
            if end > x:
                runs.append(f"M{x} {y}h{end - x}v1H{x}z")
            x = max(end, x + 1)
    return "".join(runs)


def _images(drawing: Drawing) -> None:
    images = sm.load_dataset("mnist-tenth").test.images
    drawing.image(LEFT, "image a", images[0, 0])
    drawing.image(RIGHT, "image b", images[17, 0])


def _stacked_top(drawing: Drawing) -> tuple[int, int]:
    """Two images to the features of their pair: the number of features, and where they come out."""
    features = sm.create_backbone("report", in_channels=2).feature_dim
    _images(drawing)
    for x in (LEFT, RIGHT):
        drawing.arrow((x, 70), (x, 84), (MIDDLE + (x - MIDDLE) / 4, 84), (MIDDLE + (x - MIDDLE) / 4, 98))
    drawing.box(MIDDLE, 98, "image", "one input", "2 channels, 28 x 28", width=150)
    drawing.arrow((MIDDLE, 144), (MIDDLE, 162))
    drawing.box(MIDDLE, 162, "backbone", "backbone", f"{features:,} features of the pair", width=190)
    return features, 208


def _siamese_top(drawing: Drawing) -> tuple[int, int]:
    """Two images to the features of each: the number of features, and where they come out."""
    features = sm.create_backbone("report", in_channels=1).feature_dim
    _images(drawing)
    for x in (LEFT, RIGHT):
        drawing.arrow((x, 70), (x, 90))
        drawing.box(x, 90, "backbone", "backbone", f"{features:,} features")
    drawing.shared(113)
    return features, 136


def _joined(drawing: Drawing, top: float, kind: str, *lines: str, width: float = 250) -> float:
    """Both columns into one box: its lower edge."""
    for x in (LEFT, RIGHT):
        drawing.arrow((x, top), (x, top + 20))
    drawing.box(MIDDLE, top + 20, kind, *lines, width=width)
    return top + 32 + 17 * len(lines)


def _score(drawing: Drawing, top: float, *lines: str) -> None:
    drawing.arrow((MIDDLE, top), (MIDDLE, top + 20))
    drawing.box(MIDDLE, top + 20, "score", *lines, width=290)


def _sizes(layers: nn.Module) -> str:
    """The widths of linear layers, such as 1,472-256-64."""
    linear = [each for each in layers.modules() if isinstance(each, nn.Linear)]
    return "-".join(f"{size:,}" for size in (linear[0].in_features, *(each.out_features for each in linear)))


def _siamese_head(name: str, features: int, loss: str | None = None) -> Any:
    metric = create_loss(loss, {}, None, {}, classes=CLASSES, embedding_dim=64) if loss else None
    head = HEADS.make(name, {}, feature_dim=features, classes=CLASSES, loss=metric)
    assert isinstance(head, SiameseHead)
    return head


def stacked() -> Drawing:
    """Early fusion, with the report's head."""
    drawing = Drawing("Stacked design: two images become two channels of one input; one backbone pass a pair")
    features, y = _stacked_top(drawing)
    drawing.arrow((MIDDLE, y), (MIDDLE, y + 20))
    layers = HEADS.make("classifier", {}, feature_dim=features).layers
    drawing.box(MIDDLE, y + 20, "head", "classifier head", _sizes(layers), width=190)
    _score(drawing, y + 66, "score", "logit of same - logit of different")
    return drawing


def symmetric() -> Drawing:
    """Early fusion, both orders."""
    drawing = Drawing("Symmetric classifier: the stacked network sees both orders and the two scores are averaged")
    _images(drawing)
    for x, order, far in ((LEFT, "(a, b)", RIGHT), (RIGHT, "(b, a)", LEFT)):
        drawing.arrow((x, 70), (x, 110))
        drawing.arrow((far, 70), (x + (far - x) / 6, 110))
        drawing.box(x, 110, "image", f"channels {order}")
        drawing.arrow((x, 139), (x, 157))
        drawing.box(x, 157, "backbone", "backbone, head", "score of this order")
    drawing.shared(180)
    y = _joined(drawing, 203, "head", "mean of both scores")
    _score(drawing, y, "score", "the same for (a, b) and (b, a)")
    return drawing


def siamese() -> Drawing:
    """Late fusion."""
    drawing = Drawing("Siamese design: one backbone with shared weights sees each image alone; a head compares")
    _, y = _siamese_top(drawing)
    for x in (LEFT, RIGHT):
        drawing.arrow((x, y), (x, y + 20))
        drawing.box(x, y + 20, "head", "head: embed", "once an image")
    drawing.shared(y + 43)
    y = _joined(drawing, y + 66, "head", "head: compare two embeddings", "once a pair, and cheap")
    _score(drawing, y, "score", "higher = more alike")
    return drawing


def _projected(drawing: Drawing, top: int, sizes: str) -> int:
    for x in (LEFT, RIGHT):
        drawing.arrow((x, top), (x, top + 20))
        drawing.box(x, top + 20, "head", "project", sizes)
    drawing.shared(top + 43)
    return top + 66


def distance() -> Drawing:
    """Head of the variant siamese."""
    drawing = Drawing("Distance head: each image's features are projected; the score is the negative distance")
    features, y = _siamese_top(drawing)
    y = _projected(drawing, y, _sizes(_siamese_head("distance", features, "contrastive").project))
    end = _joined(drawing, y, "head", "distance of the two embeddings", "the one that the loss is made with")
    _score(drawing, end, "score", "-distance, or the similarity itself")
    return drawing


def comparison() -> Drawing:
    """Head of the variant siamese-comparison."""
    drawing = Drawing("Comparison head: a small network reads |a - b| and a * b of two projections")
    features, y = _siamese_top(drawing)
    head = _siamese_head("comparison", features)
    y = _projected(drawing, y, _sizes(head.project))
    end = _joined(drawing, y, "head", "|a - b| and a * b", f"network {_sizes(head.compare)}")
    _score(drawing, end, "score", "log-odds of same")
    return drawing


def concatenation() -> Drawing:
    """Head of the variant siamese-concatenation."""
    drawing = Drawing("Concatenation head: the report's two-class head reads both images' features in a row")
    features, y = _siamese_top(drawing)
    head = _siamese_head("concatenation", features)
    end = _joined(drawing, y, "head", "features of a, then of b", f"classifier {_sizes(head.layers)}")
    _score(drawing, end, "score", "logit of same - logit of different")
    return drawing


def agreement() -> Drawing:
    """Head of the variant siamese-agreement."""
    drawing = Drawing("Agreement head: each image is read as probabilities of ten classes; do both name the same?")
    features, y = _siamese_top(drawing)
    head = _siamese_head("agreement", features)
    y = _projected(drawing, y, _sizes(head.project))
    for x, name in ((LEFT, "p"), (RIGHT, "q")):
        drawing.arrow((x, y), (x, y + 20))
        drawing.box(x, y + 20, "head", "classify", f"{_sizes(head.classify)}, softmax: {name}")
    end = _joined(drawing, y + 66, "head", "sum of p · q over the classes", "chance that both are of one class")
    _score(drawing, end, "score", "log-odds of same where half are genuine")
    return drawing


def pseudo_siamese() -> Drawing:
    """Late fusion with a branch for each side."""
    drawing = Drawing("Pseudo-Siamese design: left and right image have a branch each, with weights of its own")
    features = sm.create_backbone("report", in_channels=1).feature_dim
    _images(drawing)
    for x, side in ((LEFT, "left branch"), (RIGHT, "right branch")):
        drawing.arrow((x, 70), (x, 90))
        drawing.box(x, 90, "backbone", side, f"{features:,} features")
        drawing.arrow((x, 136), (x, 156))
        drawing.box(x, 156, "head", "head: embed", "once a side")
    drawing.text(MIDDLE, 110, "weights of", "soft")
    drawing.text(MIDDLE, 125, "their own", "soft")
    drawing.shared(179)
    y = _joined(drawing, 202, "head", "head: compare two embeddings", "once a pair, and cheap")
    _score(drawing, y, "score", "depends on the order of the images")
    return drawing


def central_surround() -> Drawing:
    """Late fusion of two streams an image."""
    drawing = Drawing("Central-surround design: each image is seen as its middle and as a whole at half resolution")
    streams = sm.DESIGNS["central-surround"].make_backbone(
        lambda channels, size: sm.create_backbone("report", in_channels=channels, image_size=size), 1, (28, 28)
    )
    _images(drawing)
    for x in (LEFT, RIGHT):
        for side, seen, stream in ((-35, "middle", "central"), (35, "whole", "surround")):
            drawing.arrow((x + side / 3, 70), (x + side, 90))
            drawing.box(x + side, 90, "image", seen, "14 x 14", width=64)
            drawing.arrow((x + side, 136), (x + side, 156))
            drawing.box(x + side, 156, "backbone", stream, "backbone", width=64)
            drawing.arrow((x + side, 202), (x + side, 222))
        drawing.box(x, 222, "head", "head: embed", f"{streams.feature_dim:,} features")
    drawing.shared(179)
    drawing.shared(245)
    y = _joined(drawing, 268, "head", "head: compare two embeddings", "once a pair, and cheap")
    _score(drawing, y, "score", "higher = more alike")
    return drawing


def cross_attention() -> Drawing:
    """Places of one image looked up in the other."""
    drawing = Drawing("Cross-attention design: places of each image attend to places of the other")
    design = sm.DESIGNS["cross-attention"]
    places: Any = design.make_backbone(
        lambda channels, _: sm.create_backbone("report", in_channels=channels), 1, (28, 28)
    )
    _images(drawing)
    for x in (LEFT, RIGHT):
        drawing.arrow((x, 70), (x, 90))
        drawing.box(x, 90, "backbone", "backbone", f"{places.count} places x {places.width}")
        drawing.arrow((x, 136), (x, 156))
        other = "b" if x == LEFT else "a"
        drawing.box(x, 156, "head", f"found in {other}", "what each place", "attends to")
    drawing.shared(113)
    for x, far in ((LEFT, RIGHT), (RIGHT, LEFT)):
        drawing.arrow((far + (x - far) / 8, 136), (x - (x - far) / 8, 156))
    size = design.head_features(places)
    y = _joined(drawing, 219, "head", "compare own with found", f"mean over places and both ways: {size}", width=270)
    drawing.arrow((MIDDLE, y), (MIDDLE, y + 20))
    layers = HEADS.make("classifier", {}, feature_dim=size).layers
    drawing.box(MIDDLE, y + 20, "head", "classifier head", _sizes(layers), width=190)
    _score(drawing, y + 66, "score", "logit of same - logit of different")
    return drawing


def supervision() -> Drawing:
    """What one batch holds under either supervision."""
    drawing = Drawing("Pairs: a loss sees the drawn pairs only. Labels: it sees all pairs within a batch of images")
    drawing.text(LEFT, 22, "pairs")
    drawing.text(RIGHT, 22, "labels")
    for row, (one, other) in enumerate(("33", "70", "15", "88", "42", "99")):
        y = 56 + 27 * row
        for x, digit in ((LEFT - 50, one), (LEFT + 50, other)):
            drawing.add(f'<circle class="box" cx="{x}" cy="{y}" r="11" fill="var(--image)"/>', y + 11)
            drawing.text(x, y + 4.5, digit)
        line = 'class="shared"' if one != other else 'stroke="var(--ink)" stroke-width="3"'
        drawing.add(f'<path {line} d="M{LEFT - 36} {y}H{LEFT + 36}"/>', y)
    digits, side = "003377", 23
    for row, one in enumerate(digits):
        start = RIGHT - 3 * side + 8
        drawing.text(start - 11, 56 + side * row + 16, one)
        drawing.text(start + side * row + side / 2, 51, one)
        for column, other in enumerate(digits):
            fill = "ground" if row == column else "backbone" if one == other else "head"
            drawing.add(
                f'<rect x="{start + side * column}" y="{56 + side * row}" width="{side}" height="{side}" '
                f'fill="var(--{fill})" stroke="var(--line)"/>',
                56 + side * (row + 1),
            )
            if one == other and row != column:
                drawing.text(start + side * (column + 0.5), 56 + side * row + 16, "=")
    for y, words in (
        (222, ("solid: genuine", "every cell is a pair")),
        (238, ("dashed: impostor", "= genuine, others impostor")),
    ):
        for x, word in zip((LEFT, RIGHT), words, strict=True):
            drawing.text(x, y, word, "soft")
    return drawing


DIAGRAMS: dict[str, Callable[[], Drawing]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        stacked,
        symmetric,
        siamese,
        pseudo_siamese,
        central_surround,
        cross_attention,
        distance,
        comparison,
        concatenation,
        agreement,
        supervision,
    )
}
"""Diagrams by the name of their file."""


def main() -> None:
    """Writes all diagrams, each by way of a temporary file."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in DIAGRAMS.items():
        with tempfile.NamedTemporaryFile("w", dir=FOLDER, suffix=".part", delete=False) as file:
            file.write(draw().svg())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
