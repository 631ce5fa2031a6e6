"""`siamese-mnist predict`: whether images show the same class, for one pair or for many."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siamese_mnist_cli import options, progress
from siamese_mnist_cli.preparing import chosen_preprocessing, named_override
from siamese_mnist_cli.skipped import located
from siamese_mnist_cli.tables import point_lines, safe, tell

if TYPE_CHECKING:
    from siamese_mnist.inference.judge import Judge
    from siamese_mnist.inference.saved import Saved

Images = Annotated[
    list[Path] | None,
    typer.Argument(help="Two image files, or one folder: every two of its images.", show_default=False),
]


@options.with_operating_point
def predict(
    run: Annotated[str, typer.Argument(help="A run's folder, a bundle, or a variant: its newest run in --runs-dir.")],
    wish: dict[str, float],
    images: Images = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="CSV file with columns left,right: image files, relative to its own folder."),
    ] = None,
    normalise: options.Normalise = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else: one object, or one a line for many pairs.")
    ] = False,
) -> None:
    """Tell whether two images show the same class, and how sure that is.

    Images may be of any format, size and colour, and are prepared as the run's training images were. For many pairs,
    rows are printed as CSV while they are found; pairs that cannot be answered are listed on stderr at the end.
    """
    # One pair is too little work for a thread a core, which would wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from siamese_mnist.errors import UsageError
    from siamese_mnist.inference.prediction import (
        Failure,
        FilePair,
        answer_files,
        count_pairs,
        pairs_of_csv,
        pairs_of_folder,
    )
    from siamese_mnist.inference.saved import Saved

    named = images or []
    source = pairs or (named[0] if len(named) == 1 and named[0].is_dir() else None)
    if pairs is not None and named:
        raise UsageError("images and --pairs exclude each other; give one of them")
    if source is None and len(named) != 2:
        raise UsageError(f"name two images, one folder of images, or a file with --pairs; got {len(named)} images")
    total = count_pairs(source) if source else 1
    place = located(run, runs_dir)
    verifier = _judge(Saved.at(place), one_pair=source is None)
    chosen = chosen_preprocessing(verifier, normalise)
    override = named_override(verifier, chosen)
    point = verifier.operating_point(**wish) if wish else None
    if source is None:
        left, right = map(str, named)
        answer = next(
            answer_files(verifier, [FilePair(row=1, left=left, right=right)], preprocessing=chosen, point=point)
        )
        if isinstance(answer, Failure):
            raise UsageError(answer.reason)
        values = {**answer.as_dict(), "run": str(place), **override}
        if point is not None:
            values["operating_point"] = point.as_dict()
        print(json.dumps(values) if as_json else "\n".join([_text(answer), *point_lines(point)]))
        return
    if point is not None:
        print(*point_lines(point), sep="\n", file=sys.stderr)
    given = pairs_of_folder(source) if source.is_dir() else pairs_of_csv(source)
    answers = answer_files(verifier, given, preprocessing=chosen, point=point)
    failures = _stream(answers, total, override if as_json else None, in_words=point is not None)
    if failures:
        for failure in failures:
            print(f"pair {failure.row}: {safe(failure.reason)}", file=sys.stderr)
        raise UsageError(f"{len(failures)} of {total} pairs have no answer; they are listed above")


def _judge(saved: Saved, *, one_pair: bool) -> Judge:
    """A saved model: for one pair without PyTorch if it can do that, and with PyTorch else."""
    from siamese_mnist.inference.saved import recorded
    from siamese_mnist.runs.scorer import ScorerError

    if one_pair:
        try:
            if judge := recorded(saved):
                return judge
        except ScorerError as error:
            tell(f"scorer.json of {saved.place} cannot be used ({error}); PyTorch scores in its place")
    with progress.starting():
        from siamese_mnist.inference.verifier import load_saved

        return load_saved(saved)


def _stream(answers: Iterable[Any], total: int, more: dict[str, Any] | None, *, in_words: bool) -> list[Any]:
    """Prints answers as they come, as JSON with `more` or, where that is None, as CSV; returns the failures."""
    from siamese_mnist.inference.prediction import BATCH, Answer, Failure

    out = sys.stdout  # a live bar puts another one in its place
    failures: list[Any] = []
    columns = [field.name for field in dataclasses.fields(Answer) if field.name != "warnings"]
    columns = columns if in_words else columns[:-1]
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    warned: list[str] = []
    if more is None:
        writer.writeheader()
    # Rows and a bar in one terminal would overwrite each other.
    shown = nullcontext(lambda title, unit: lambda *update: None) if out.isatty() else progress.shown()  # noqa: ARG005
    with shown as titled:
        report = titled("predict", unit="pairs")
        report("scoring", 0, total)
        for done, answer in enumerate(answers, start=1):
            if isinstance(answer, Failure):
                failures.append(answer)
            elif more is not None:
                print(json.dumps({**answer.as_dict(), **more}), file=out)
            else:
                values = answer.as_dict()
                writer.writerow({**values, "left": safe(answer.left), "right": safe(answer.right)})
            if not isinstance(answer, Failure) and answer.warning:
                warned.append(answer.warning)
            if done % BATCH == 0 or done == total:
                out.flush()
                report("scoring", done, total)
    if warned:
        tell(f"{len(warned)} of {total} pairs have a warning; the first: {warned[0]}")
    return failures


def _text(answer: Any) -> str:
    said = "same" if answer.same else "different"
    shown = answer.answer or said
    swapped = f"{said} as well" if answer.stable else f"{'different' if answer.same else 'same'}: the order decides"
    warning = "".join(f"\nwarning              {safe(each)}" for each in answer.warnings)
    return (
        f"{shown}\n"
        f"probability of same  {answer.probability:.4f}\n"
        f"score                {answer.score:.4f}\n"
        f"threshold            {answer.threshold:.4f}\n"
        f"swapped              {swapped} (score {answer.swapped_score:.4f})"
        f"{warning}"
    )
