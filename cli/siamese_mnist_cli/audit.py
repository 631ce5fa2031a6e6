"""`siamese-mnist audit`: the report's claims, each tested again over seeds."""

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from siamese_mnist_cli import options, progress
from siamese_mnist_cli.tables import wide_console


def audit(
    seeds: Annotated[int, typer.Option(help="Seeds of every design: 0, 1, ...; at least two.")] = 5,
    runs_dir: options.RunsDir = Path("runs"),
    jobs: options.Jobs = None,
    as_json: options.Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a page in Markdown.")] = False,
) -> None:
    """Test every claim of the report again, each with its figure and interval; all of them are one family.

    Trains six designs with every seed, those that --runs-dir does not have yet: about ten minutes with five seeds.
    """
    from siamese_mnist.audit import findings, gather, page
    from siamese_mnist.errors import UsageError
    from siamese_mnist.runs.jobs import possible_jobs
    from siamese_mnist.system.machine import made_by

    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other; give one")
    jobs = jobs or possible_jobs()
    with progress.shown() as titled:
        evidence = gather(
            seeds,
            runs_dir=runs_dir,
            jobs=jobs,
            progress=lambda each: titled(f"{each.variant}, seed {each.seed}"),
            overall=titled(f"training, {jobs} at once", every=1, unit="runs"),
            phase_one=titled("audit", every=1, unit="seeds"),
        )
        found = findings(evidence)
    if as_json:
        print(json.dumps({"seeds": seeds, "findings": [dataclasses.asdict(each) for each in found]}))
    elif as_markdown:
        print(page(found, evidence, made_by(f"siamese-mnist audit --seeds {seeds} --markdown")), end="")
    else:
        _print_tables(found)


def _print_tables(found: Sequence[Any]) -> None:
    console = wide_console()
    said = [each for each in found if each.in_report]
    _print_table(console, "the report says", said)
    counts = Counter(each.verdict for each in said)
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    _print_table(console, "what the report does not say", [each for each in found if not each.in_report])


def _print_table(console: Any, what: str, found: Sequence[Any]) -> None:
    table = Table("section", what, "verdict", "measured here", show_lines=True)
    for each in found:
        table.add_row(each.section, each.claim, each.verdict, each.measured)
    console.print(table)
