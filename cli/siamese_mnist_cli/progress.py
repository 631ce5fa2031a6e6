"""Progress on stderr: bars in a terminal, one plain line per stage elsewhere."""

import sys
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
from rich.table import Column
from rich.text import Text

_NARROWEST, _WIDE = 12, 70  # of a title, and of a terminal that has room for the time that has passed

Report = Callable[[str, int, int], None]


class Titled(Protocol):
    """Makes the progress function of what a title names."""

    def __call__(self, title: str, *, every: int = 16, unit: str = "updates", passing: bool = False) -> Report:
        """In a terminal the bar moves every so many units; elsewhere every single one gets a line if `every` is 1.

        A passing one has one bar for all its stages, which goes when it has ended, and no line elsewhere.
        """


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        rate = f"{task.speed:,.0f}/s" if task.speed >= 1 else f"{1 / task.speed:,.0f} s each"
        return Text(rate, style="progress.data.speed")


@contextmanager
def starting(plan: str = "") -> Iterator[None]:
    """Says in a terminal that the program has begun, until what PyTorch is imported for can tell more.

    Args:
        plan: what is to be done, which a pipe is told where PyTorch has to be imported first.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        if plan and "torch" not in sys.modules:
            print(plan, file=sys.stderr, flush=True)
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
    title = Column(no_wrap=True, overflow="ellipsis", max_width=max(_NARROWEST, 2 * console.width // 5))
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", table_column=title),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        *([TimeElapsedColumn()] if console.width >= _WIDE else []),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as progress:

        def titled(title: str, *, every: int = 16, unit: str = "updates", passing: bool = False) -> Report:  # noqa: ARG001
            if passing:
                return _passing(progress, title)
            tasks = {}

            def report(stage: str, done: int, total: int) -> None:
                if done % every and done != total:
                    return
                if stage not in tasks:
                    tasks[stage] = progress.add_task(f"{title}, {stage}", total=total)
                progress.update(tasks[stage], completed=done)

            return report

        yield titled


def _passing(progress: Progress, title: str) -> Report:
    task, shown = progress.add_task(title, visible=False), ""

    def report(stage: str, done: int, total: int) -> None:
        nonlocal shown
        if stage != shown:
            progress.reset(task, total=total, description=f"{title}, {stage}")
            shown = stage
        progress.update(task, completed=done, visible=done < total)

    return report


def _plain(title: str, *, every: int = 16, unit: str = "updates", passing: bool = False) -> Report:
    starts: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        starts.setdefault(stage, time.perf_counter())
        if not passing and done and (done == total or every == 1):
            seconds = time.perf_counter() - starts[stage]
            count = total if done == total else f"{done} of {total}"
            Console(stderr=True, width=200).print(
                f"{title}: {stage}, {count} {unit} in {seconds:.1f} s", highlight=False
            )

    return report
