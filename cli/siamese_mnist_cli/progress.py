"""Progress on stderr: bars in a terminal, one plain line per stage elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Report = Callable[[str, int, int], None]

_EVERY = 16


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def shown() -> Iterator[Callable[[str], Report]]:
    """Gives a function that makes the progress function of a run, by the run's title."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as progress:

        def titled(title: str) -> Report:
            tasks = {}

            def report(stage: str, done: int, total: int) -> None:
                if done % _EVERY and done != total:
                    return
                if stage not in tasks:
                    tasks[stage] = progress.add_task(f"{title}, {stage}", total=total)
                progress.update(tasks[stage], completed=done)

            return report

        yield titled


def _plain(title: str) -> Report:
    starts: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        starts.setdefault(stage, time.perf_counter())
        if done == total:
            seconds = time.perf_counter() - starts[stage]
            Console(stderr=True, width=200).print(
                f"{title}: {stage}, {total} updates in {seconds:.1f} s", highlight=False
            )

    return report
