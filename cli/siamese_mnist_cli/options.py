"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Dataset = Annotated[str, typer.Option(help="Data set; `siamese-mnist list datasets` names them.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder with the data set's files.", show_default="user cache")]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing data files.")]
RunsDir = Annotated[Path, typer.Option(help="Folder of all runs.")]
Jobs = Annotated[
    int | None,
    typer.Option(help="Runs trained at once.", min=1, show_default="as many as processors and memory allow"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
TestProtocol = Annotated[
    str | None,
    typer.Option(
        help="Test pairs: `random`, or `disjoint`, every test image in one pair only.", show_default="recipe's"
    ),
]
