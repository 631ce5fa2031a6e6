"""The picture of the first page: what a few designs reach on the same pairs.

python docs/headline.py

Runs that are missing are trained, five minutes on one core; a file of `siamese-mnist compare ... --json` spares
them. The picture is narrow enough for a telephone and follows the reader's light or dark theme.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import siamese_mnist as sm

PLACE = Path(__file__).parent / "images" / "headline.svg"
ENTRIES = ("baseline", "siamese")
SEEDS = 5
SAID = {
    "baseline": "stacked channels",
    "siamese": "shared weights, distance",
}
WIDTH, ROW, TOP, LEFT, RIGHT = 400, 46, 34, 176, 62
LOW, HIGH = 0.85, 1.0
STYLE = """
:root { --ink: #1a1c1e; --soft: #565c64; --ground: #fdfdfe; --line: #c2c7cd; --mark: #0a58a6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7e9ec; --soft: #a9b0b9; --ground: #16181d; --line: #50565e; --mark: #82bcff; } }
text { font: 13px system-ui, sans-serif; fill: var(--ink); }
.soft { font-size: 11.5px; fill: var(--soft); }
.end { text-anchor: end; } .middle { text-anchor: middle; }
"""


def draw(rows: Sequence[Mapping[str, Any]]) -> str:
    """The picture as SVG.

    Args:
        rows: of `siamese-mnist compare --json`; `accuracy`, and `accuracy_interval` where there is one.
    """
    height = TOP + ROW * len(rows) + 26
    marks = [f'<rect width="{WIDTH}" height="{height}" fill="var(--ground)"/>']
    marks.append('<text x="10" y="20">accuracy on the same test pairs</text>')
    bottom = TOP + ROW * len(rows)
    for tick in (0.85, 0.9, 0.95, 1.0):
        marks.append(f'<line x1="{_x(tick)}" x2="{_x(tick)}" y1="{TOP}" y2="{bottom}" stroke="var(--line)"/>')
        marks.append(f'<text class="soft middle" x="{_x(tick)}" y="{bottom + 16}">{tick:.2f}</text>')
    for number, row in enumerate(rows):
        y = TOP + ROW * number + ROW / 2
        name, value = str(row["variant"]), float(row["accuracy"])
        marks.append(f'<text x="10" y="{y - 2}">{escape(name)}</text>')
        marks.append(f'<text class="soft" x="10" y="{y + 14}">{escape(SAID.get(name, "the student report"))}</text>')
        if row.get("accuracy_interval"):
            low, high = (_x(max(LOW, end)) for end in row["accuracy_interval"])
            marks.append(
                f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" stroke="var(--mark)" stroke-width="3" '
                'stroke-linecap="round"/>'
            )
        marks.append(f'<circle cx="{_x(value)}" cy="{y}" r="6" fill="var(--mark)"/>')
        marks.append(f'<text class="end" x="{WIDTH - 8}" y="{y + 4}">{value:.4f}</text>')
    body = "\n".join(marks)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>Accuracy of {len(rows)} designs, with 95 % intervals</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n"
    )


def _x(value: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - LOW) / (HIGH - LOW), 1)


def main() -> None:
    """Draws the picture from the rows of a file or of runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--rows", type=Path, help="what `siamese-mnist compare --json` printed")
    arguments = parser.parse_args()
    if arguments.rows:
        rows = json.loads(arguments.rows.read_text(encoding="utf-8"))["rows"]
    else:
        rows = [row.as_dict() for row in sm.compare(list(ENTRIES), seeds=SEEDS, runs_dir=arguments.runs_dir)]
    PLACE.write_text(draw(rows), encoding="utf-8")
    for row in rows:
        print(row["variant"], row["accuracy"], row.get("accuracy_interval"))


if __name__ == "__main__":
    main()
