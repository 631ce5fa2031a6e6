"""The gallery docs/gallery.md: its pictures, each made again by the command that stands beside it.

    python docs/gallery.py

It trains five networks at full length. The picture of the report's page needs Chromium; without it, the old one stays.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from siamese_mnist.system.machine import made_by
from siamese_mnist.visualisation.figures import THEME_CSS

DOCS = Path(__file__).parent
IMAGES = DOCS / "images" / "gallery"
PAGE = DOCS / "gallery.md"


class Card(NamedTuple):
    """A picture with the command that makes it."""

    title: str
    made: str  # what the command writes, in the folder it runs in; or where the picture is in docs already
    command: str
    says: str  # how to read it
    link: str  # page that tells more


PREPARE = [
    "siamese-mnist run baseline --runs-dir pictures",
    "siamese-mnist run siamese --runs-dir pictures",
    "siamese-mnist run siamese-agreement --runs-dir pictures",
    "siamese-mnist run siamese --recipe fast",
    "siamese-mnist run siamese --recipe new-classes --dataset glyphs --split classes+groups --runs-dir letters",
    "python docs/tutorials.py lesson",
    "python docs/diagrams.py",
]
REPORT = "report.png"
FIGURES = "siamese-mnist figures --runs-dir pictures --output figures"
LETTERS = "siamese-mnist figures --runs-dir letters --output letters-figures"
UNSEEN = "letters-figures/siamese-recipe-new-classes-dataset-glyphs-split-classes-groups"
STUDY = "siamese-mnist study siamese siamese:loss=triplet --recipe short --train-pairs 3000 --trials 8 --sampler random"
GROUPS = {
    "How it learns": [
        Card(
            "Before, soon after, and at the end",
            "tutorials/images/lesson-0.png",
            "python docs/tutorials.py lesson",
            "Test images in the plane, as a network learns which are the same.",
            "lesson.md",
        ),
        Card(
            "Three losses",
            "tutorials/images/lesson-2.png",
            "python docs/tutorials.py lesson",
            "The same network and images, told in three ways.",
            "tutorials/lesson.md",
        ),
        Card(
            "Stacked",
            "images/designs/stacked.svg",
            "python docs/diagrams.py",
            "Both images are two channels of one input.",
            "designs.md",
        ),
        Card(
            "Siamese",
            "images/designs/siamese.svg",
            "python docs/diagrams.py",
            "One network, each image alone, two embeddings compared.",
            "designs.md",
        ),
    ],
    "Runs side by side": [
        Card("ROC", "figures/roc.svg", FIGURES, "Nearer to the upper left corner is better.", "pictures.md"),
        Card(
            "Detection error tradeoff",
            "figures/det.svg",
            FIGURES,
            "Both kinds of error, on axes that stretch small rates.",
            "pictures.md",
        ),
        Card(
            "The report's page",
            REPORT,
            "siamese-mnist report --runs-dir pictures",
            "Table, verdicts and pictures in one HTML file that needs no network.",
            "pictures.md",
        ),
    ],
    "One run": [
        Card(
            "Scores",
            "figures/siamese-agreement-scores.svg",
            FIGURES,
            "The less the hills overlap, the better.",
            "pictures.md",
        ),
        Card(
            "Calibration",
            "figures/siamese-agreement-calibration.svg",
            FIGURES,
            "Where 0.8 is stated, 80 % should be the same.",
            "pictures.md",
        ),
        Card(
            "Errors digit by digit",
            "figures/siamese-agreement-digits.svg",
            FIGURES,
            "Which digits are taken for which.",
            "pictures.md",
        ),
        Card(
            "Map of embeddings",
            "figures/siamese-agreement-embeddings.svg",
            FIGURES,
            "Test images where their embeddings vary most.",
            "pictures.md",
        ),
        Card(
            "Hardest pairs",
            "figures/siamese-agreement-hardest.svg",
            FIGURES,
            "The pairs that mislead the run most.",
            "pictures.md",
        ),
        Card(
            "What errors cost",
            "figures/siamese-agreement-costs.svg",
            FIGURES,
            "Cost of its decisions, by the share of same pairs.",
            "pictures.md",
        ),
        Card(
            "Why it was wrong",
            "figures/siamese-agreement-explained.svg",
            FIGURES,
            "Its most confused pairs, with what spoke for its answers.",
            "pictures.md",
        ),
        Card(
            "Learning",
            "figures/siamese-agreement-learning.svg",
            FIGURES,
            "Loss and accuracy at every update.",
            "pictures.md",
        ),
    ],
    "One answer": [
        Card(
            "Why",
            "explanation.svg",
            "siamese-mnist explain siamese left.png other.png --output explanation.svg",
            "What speaks for same and for different in two test images, and a test of it.",
            "using.md",
        ),
    ],
    "Under stress": [
        Card(
            "Accuracy against severity",
            "stress.svg",
            "siamese-mnist stress siamese --output stress.svg",
            "Eight corruptions in three grades.",
            "stress.md",
        ),
    ],
    "Studies": [
        Card(
            "Accuracy against tuning budget",
            "study-0.svg",
            STUDY,
            "What the best of n trials is expected to reach.",
            "studies.md",
        ),
        Card("What was tried", "study-1.svg", STUDY, "Every trial at its setting.", "studies.md"),
    ],
    "New classes": [
        Card(
            "Characters it never saw",
            f"{UNSEEN}-embeddings.svg",
            LETTERS,
            "Twenty unseen characters by unseen writers.",
            "new-classes.md",
        ),
        Card(
            "Characters it takes for each other",
            f"{UNSEEN}-hardest.svg",
            LETTERS,
            "The pairs of new characters that mislead it most.",
            "new-classes.md",
        ),
        Card(
            "One example of each",
            f"{UNSEEN}-episodes.svg",
            LETTERS,
            "A new character, named by the most alike of twenty examples.",
            "new-classes.md",
        ),
        Card(
            "Among the first k",
            f"{UNSEEN}-identification.svg",
            LETTERS,
            "How often the right name is among the k most alike.",
            "identify.md",
        ),
    ],
}


def main() -> None:
    """Runs every command once, in order, and writes pictures and page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_images(folder)
        for command in dict.fromkeys([*PREPARE, *(card.command for card in _cards())]):
            print(f"$ {command}", flush=True)
            _run(command, folder)
        _take_apart(folder)
        IMAGES.mkdir(exist_ok=True)
        for card in _cards():
            if not _is_kept(card) and (card.made != REPORT or shutil.which("chromium")):
                shutil.copy(folder / card.made, DOCS / _place(card))
    PAGE.write_text(page(made_by("python docs/gallery.py")))


def page(made: str) -> str:
    """The page, with the sentence that says how it was made."""
    parts = [
        "# Gallery",
        "What the project draws, each picture with the command that made it. All are made again by one command:",
        "```console\n$ python docs/gallery.py\n```",
        f"{made} Before the pictures, it runs:",
        "\n".join(f"- `{command}`" for command in PREPARE if command.startswith("siamese-mnist")),
    ]
    for title, cards in GROUPS.items():
        parts += [f"## {title}", '<div class="grid cards" markdown>', *map(_shown, cards), "</div>"]
    return "\n\n".join(parts) + "\n"


def _shown(card: Card) -> str:
    return f"""-   **[{card.title}]({card.link})**

    ![{card.title}: {card.says}]({_place(card)})

    {card.says}

    `{card.command}`"""


def _is_kept(card: Card) -> bool:
    """Whether the command itself writes the picture into docs."""
    return card.command.startswith("python docs/")


def _place(card: Card) -> str:
    """Where the picture is, from docs."""
    return card.made if _is_kept(card) else f"images/gallery/{Path(card.made).name}"


def _cards() -> list[Card]:
    return [card for cards in GROUPS.values() for card in cards]


def _run(command: str, folder: Path) -> None:
    program, *words = shlex.split(command)
    if program == "python":
        subprocess.run([sys.executable, *words], cwd=DOCS.parent, check=True)
    else:
        subprocess.run([sys.executable, "-m", "siamese_mnist_cli", *words], cwd=folder, check=True, capture_output=True)


def _write_images(folder: Path) -> None:
    """Two test images of different digits as files."""
    from PIL import Image

    import siamese_mnist as sm

    images = sm.load_dataset("mnist-tenth").test.images[:, 0].numpy()
    for name, row in (("left", 0), ("other", 1)):
        Image.fromarray(255 - images[row]).save(folder / f"{name}.png")


def _take_apart(folder: Path) -> None:
    """The pictures of the study's page as files, and the report's page as a picture."""
    (study,) = folder.glob("studies/*/study.html")
    for number, element in enumerate(re.findall(r"<svg.*?</svg>", study.read_text(), re.DOTALL)):
        head, tag, rest = element.partition(">")
        (folder / f"study-{number}.svg").write_text(f"{head}{tag}\n<style>{THEME_CSS}</style>{rest}")
    if shutil.which("chromium"):
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=900,1100"]
        picture, report = folder / REPORT, folder / "report.html"
        subprocess.run(
            ["chromium", *options, f"--screenshot={picture}", report.as_uri()], check=True, capture_output=True
        )


if __name__ == "__main__":
    main()
