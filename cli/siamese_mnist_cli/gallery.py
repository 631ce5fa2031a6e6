"""`siamese-mnist enrol` and `siamese-mnist identify`: names with examples, and whose an image is."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence, Sized
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from siamese_mnist_cli import options, progress
from siamese_mnist_cli.preparing import chosen_preprocessing, named_override
from siamese_mnist_cli.skipped import located
from siamese_mnist_cli.tables import safe, tell, wide_console

if TYPE_CHECKING:
    from siamese_mnist.inference.gallery import Expected, Gallery
    from siamese_mnist.inference.pictures import Picture, PictureAnswer

GalleryPath = Annotated[Path, typer.Argument(help="The gallery's file.", show_default=False)]
Images = Annotated[list[Path] | None, typer.Argument(help="Image files, or folders of them.", show_default=False)]
Run = Annotated[
    str | None,
    typer.Option(
        help="A run's folder, a bundle, or a variant: its newest run in --runs-dir.",
        show_default="the one that the gallery was made with",
    ),
]


def enrol(
    gallery: GalleryPath,
    name: Annotated[str | None, typer.Argument(help="Whose the images are.", show_default=False)] = None,
    images: Images = None,
    run: Run = None,
    folder: Annotated[Path | None, typer.Option(help="Enrol many: a folder with NAME/*.png or NAME.png.")] = None,
    merge: Annotated[Path | None, typer.Option(help="Add all of another gallery of the same model.")] = None,
    remove: Annotated[str | None, typer.Option(help="Remove a name with all its examples.")] = None,
    normalise: options.Normalise = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Keep examples of names, to tell later whose an image is; without a name, list what the gallery has.

    The gallery is made when its first example is enrolled: name the run or bundle that shall compare, with --run. All
    images of a command are enrolled, or none.
    """
    from siamese_mnist.errors import UsageError

    wanted = [each for each in (name, folder, merge, remove) if each is not None]
    if len(wanted) > 1:
        raise UsageError("a name with images, --folder, --merge and --remove exclude each other; give one of them")
    if name is not None and not images:
        raise UsageError(f"no images of {name!r} are named; give one or more")
    place = None if run is None else located(run, runs_dir)
    from siamese_mnist.inference.galleryfile import changing, listed_examples, open_gallery, save_gallery
    from siamese_mnist.inference.pictures import Picture, files_of, named_in

    pictures = [Picture(str(name), file) for file in files_of(images or ())] if folder is None else named_in(folder)
    if wanted:
        with changing(gallery):
            kept = _opened(gallery, place, normalise, new=bool(pictures))
            _enrol(kept, pictures)
            if merge is not None:
                kept.merge(open_gallery(merge, kept.verifier))
            if remove is not None:
                kept.remove(remove)
            save_gallery(kept, gallery)
    _print_names(gallery, listed_examples(gallery), as_json)


def identify(
    gallery: GalleryPath,
    images: Images = None,
    run: Run = None,
    max_fpir: Annotated[
        float | None,
        typer.Option(
            help="False positive identification rate: share of strangers that may be given a name.", show_default="0.1"
        ),
    ] = None,
    max_fmr: Annotated[
        float | None,
        typer.Option(
            help="In its place a false match rate: share of different pairs that may be accepted, an image and one "
            "example each.",
            show_default=False,
        ),
    ] = None,
    cost_false_match: Annotated[
        float | None,
        typer.Option(
            help="In place of both, the cost of a wrong name or of a stranger's; with the other cost, 1 if not given.",
            show_default=False,
        ),
    ] = None,
    cost_false_non_match: Annotated[
        float | None, typer.Option(help="Cost of a right name that is not given.", show_default=False)
    ] = None,
    prior: Annotated[
        float, typer.Option(help="Share of images that are of somebody in the gallery; probabilities are for it.")
    ] = 0.5,
    nearest: Annotated[int, typer.Option(help="Examples to name.", min=1)] = 3,
    normalise: options.Normalise = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else: one object, or one a line for many images.")
    ] = False,
) -> None:
    """Tell whose an image is, or that it is of nobody in the gallery.

    Images may be of any format, size and colour. For many, rows are printed as CSV while they are found; images that
    cannot be read are listed on stderr at the end.
    """
    from siamese_mnist.errors import UsageError
    from siamese_mnist.evaluation.costs import effective_prior

    if not images:
        raise UsageError("no image is named; give image files or folders of them")
    costs = {
        name: cost
        for name, cost in (("cost_false_match", cost_false_match), ("cost_false_non_match", cost_false_non_match))
        if cost is not None
    }
    if (max_fpir is not None) + (max_fmr is not None) + bool(costs) > 1:
        raise UsageError("--max-fpir, --max-fmr and costs each decide the threshold; give one of them")
    effective_prior(prior, **costs)
    place = None if run is None else located(run, runs_dir)
    if not os.path.lexists(gallery):
        raise UsageError(f"there is no gallery {gallery}; `siamese-mnist enrol` makes one")
    from siamese_mnist.inference.gallery import MAX_FPIR
    from siamese_mnist.inference.pictures import PictureAnswer, files_of, identify_files

    files = files_of(images)
    opened = _opened(gallery, place, normalise)
    if costs:
        expected = opened.expect_costs(**costs, prior=prior)
    elif max_fmr is None:
        max_fpir = MAX_FPIR if max_fpir is None else max_fpir
        expected = opened.expect(max_fpir)
    else:
        expected = opened.expect_at(opened.verifier.operating_point(max_fmr=max_fmr).threshold)
    answers = identify_files(opened, files, expected, nearest=nearest, prior=prior)
    more = {**_expected_dict(expected, max_fpir), "prior": prior, "gallery": str(gallery), "run": opened.run}
    if len(files) == 1 and not images[0].is_dir():
        answer = next(answers)
        if not isinstance(answer, PictureAnswer):
            raise UsageError(answer)
        print(json.dumps({**answer.as_dict(), **more}) if as_json else _text(answer, expected))
        return
    failures = _stream(answers, len(files), expected, more if as_json else None)
    if failures:
        for reason in failures:
            print(safe(reason), file=sys.stderr)
        raise UsageError(f"{len(failures)} of {len(files)} images have no answer; they are listed above")


def _opened(path: Path, place: Path | None, normalise: bool | None, *, new: bool = False) -> Gallery:
    """A gallery with its model; an empty one where `new` is allowed and there is none yet."""
    from siamese_mnist.errors import UsageError
    from siamese_mnist.inference.gallery import Gallery
    from siamese_mnist.inference.galleryfile import open_gallery
    from siamese_mnist.inference.verifier import load

    verifier = None if place is None else load(place)
    if new and not path.exists():
        if verifier is None or place is None:
            raise UsageError(f"there is no gallery {path} yet; name the run that it shall compare with, by --run")
        gallery = Gallery(verifier, run=str(place.resolve()))
    else:
        gallery = open_gallery(path, verifier)
    if normalise is not None:
        gallery.preprocessing = chosen_preprocessing(gallery.verifier, normalise)
    named_override(gallery.verifier, gallery.preprocessing)
    return gallery


def _enrol(gallery: Gallery, pictures: Sequence[Picture]) -> None:
    """Adds pictures, or none: those that cannot be read are listed, and the gallery's file stays as it is."""
    from siamese_mnist.errors import UsageError
    from siamese_mnist.inference.pictures import enrol_files

    failures: list[str] = []
    with progress.shown() if len(pictures) > 1 else nullcontext(_silent) as titled:
        report = titled("enrol", unit="images")
        for reasons in enrol_files(gallery, pictures):
            failures += reasons
            report("reading", len(gallery) + len(failures), len(pictures))
    if failures:
        for reason in failures if len(pictures) > 1 else ():
            print(safe(reason), file=sys.stderr)
        reason = f"{len(failures)} of {len(pictures)} images cannot be used; they are listed above"
        raise UsageError(f"{failures[0] if len(pictures) == 1 else reason}; nothing is enrolled")


def _silent(title: str, *, every: int = 16, unit: str = "updates") -> progress.Report:  # noqa: ARG001
    return lambda stage, done, total: None  # noqa: ARG005


def _print_names(path: Path, examples: Sequence[tuple[str, str]], as_json: bool) -> None:
    counts = Counter(name for name, _ in examples)
    if as_json:
        sources: dict[str, list[str]] = {name: [] for name in counts}
        for name, source in examples:
            sources[name].append(source)
        print(json.dumps({"gallery": str(path), "names": sources}))
        return
    table = Table("name", "examples")
    for name, count in counts.items():
        table.add_row(safe(name), str(count))
    console = wide_console()
    console.print(table)
    console.print(f"{_count(counts, 'name')}, {_count(examples, 'example')} in {path}", markup=False)


def _count(things: Sized, noun: str) -> str:
    return f"{len(things):,} {noun}{'' if len(things) == 1 else 's'}"


def _stream(
    answers: Iterable[PictureAnswer | str], total: int, expected: Expected, more: dict[str, Any] | None
) -> list[str]:
    """Prints answers as they come, as JSON with `more` or, where that is None, as CSV; returns the failures."""
    out = sys.stdout  # a live bar puts another one in its place
    writer = csv.writer(out, lineterminator="\n")
    if more is None:
        writer.writerow(("image", "name", "probability", "score", "threshold", "nearest", "source"))
    failures, warned = [], []
    # Rows and a bar in one terminal would overwrite each other.
    with nullcontext(_silent) if out.isatty() else progress.shown() as titled:
        report = titled("identify", unit="images")
        for done, answer in enumerate(answers, start=1):
            if isinstance(answer, str):
                failures.append(answer)
            elif more is not None:
                print(json.dumps({**answer.as_dict(), **more}), file=out)
            else:
                writer.writerow(_row(answer, expected))
            if not isinstance(answer, str) and answer.warning:
                warned.append(f"{answer.image} is {answer.warning}")
            if done % 256 == 0 or done == total:
                out.flush()
                report("searching", done, total)
    if more is None and expected.of == "probability":
        tell(f"a name is given from a probability of {expected.threshold:.4f} on")
    if more is None:
        tell(f"of strangers, {_expectation(expected)}")
    if warned:
        tell(f"{len(warned)} of {total} images have a warning; the first: {warned[0]}")
    return failures


def _row(answer: PictureAnswer, expected: Expected) -> tuple[str | float, ...]:
    found = answer.found
    near = found.nearest[0]
    name = "unknown" if found.name is None else safe(found.name)
    shown = safe(answer.image), name, found.probability, found.score, expected.threshold
    return *shown, safe(near.name), safe(near.source)


def _text(answer: PictureAnswer, expected: Expected) -> str:
    found = answer.found
    near = found.nearest[0]
    lines = {
        f"probability of {safe(near.name)}": f"{found.probability:.4f}",
        "score": f"{found.score:.4f}",
        "threshold": f"{expected.threshold:.4f}" + ("" if expected.of == "score" else f" of the {expected.of}"),
        "nearest": "; ".join(f"{safe(each.name)} ({safe(each.source)}, {each.score:.4f})" for each in found.nearest),
        "strangers": _expectation(expected),
    }
    if answer.warning:
        lines["warning"] = f"it is {safe(answer.warning)}"
    width = max(map(len, lines))
    said = "unknown" if found.name is None else safe(found.name)
    return "\n".join([said, *(f"{title:<{width}}  {text}" for title, text in lines.items())])


def _expectation(expected: Expected) -> str:
    """How many strangers are given a name, in words."""
    if expected.rate is None:
        return f"how many are given a name is not known ({expected.basis})"
    rate, low, high = (f"{100 * (share or 0):.1f} %" for share in expected[1:4])
    return f"about {rate} are given a name ({low} to {high}; {expected.basis})"


def _expected_dict(expected: Expected, max_fpir: float | None) -> dict[str, Any]:
    found = {"rate": expected.rate, "low": expected.low, "high": expected.high, "basis": expected.basis}
    threshold = {"threshold": expected.threshold, "threshold_of": expected.of}
    return {**threshold, "false_positive_identification": {"limit": max_fpir, **found}}
