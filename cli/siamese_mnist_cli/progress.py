"""Progress on stderr: bars in a terminal, one plain line per stage elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

Report = Callable[[str, int, int], None]


class Titled(Protocol):
    """Makes the progress function of what a title names."""

    def __call__(self, title: str, *, every: int = 16, unit: str = "updates") -> Report:
        """In a terminal the bar moves every so many units; elsewhere every single one gets a line if `every` is 1."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        rate = f"{task.speed:,.0f}/s" if task.speed >= 1 else f"{1 / task.speed:,.0f} s each"
        return Text(rate, style="progress.data.speed")


@contextmanager
def starting() -> Iterator[None]:
    """Says in a terminal that the program has begun, until what PyTorch is imported for can tell more."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status("starting"):
        yield


@contextmanager
def shown() -> Iterator[Titled]:
    """Gives a function that makes the progress function of a run, by the run's title."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as progress:

        def titled(title: str, *, every: int = 16, unit: str = "updates") -> Report:  # noqa: ARG001
            tasks = {}

            def report(stage: str, done: int, total: int) -> None:
                if done % every and done != total:
                    return
                if stage not in tasks:
                    tasks[stage] = progress.add_task(f"{title}, {stage}", total=total)
                progress.update(tasks[stage], completed=done)

            return report

        yield titled


def _plain(title: str, *, every: int = 16, unit: str = "updates") -> Report:
    starts: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        starts.setdefault(stage, time.perf_counter())
        if done and (done == total or every == 1):
            seconds = time.perf_counter() - starts[stage]
            count = total if done == total else f"{done} of {total}"
            Console(stderr=True, width=200).print(
                f"{title}: {stage}, {count} {unit} in {seconds:.1f} s", highlight=False
            )

    return report
