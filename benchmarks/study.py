"""What the studies in this folder share: runs in parallel processes, found again when they exist, and tables."""

import argparse
import math
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from scipy.stats import t as student

from siamese_mnist.runs.comparison import Row
from siamese_mnist.runs.experiment import run_settings
from siamese_mnist.runs.store import RunResult, find_run
from siamese_mnist.settings.settings import Settings


def arguments(description: str, *, seeds: int, **others: int) -> argparse.Namespace:
    """Parses the options of a study: --seeds, --jobs, --runs-dir, --data-dir, --output, and other numbers by name."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=seeds, help="seeds of every setting: 0, 1, ...")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes side by side, one thread each")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--data-dir", type=Path, help="folder with all of MNIST, where a study can use it")
    parser.add_argument("--output", type=Path, help="Markdown file to write; printed otherwise")
    for name, number in others.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=number)
    return parser.parse_args()


def run_all(
    settings: Sequence[Settings], *, runs_dir: Path, jobs: int, data_dir: Path | None = None
) -> list[RunResult]:
    """One run for each of `settings`, in order; those that exist already are not trained again."""
    tasks = (delayed(_ensure)(each, runs_dir, data_dir) for each in settings)
    results = Parallel(n_jobs=jobs, return_as="generator")(tasks)
    done = []
    for settings_, result in zip(settings, results, strict=True):
        done.append(result)
        print(
            f"{len(done)}/{len(settings)} {settings_.variant} {result.test.accuracy:.4f} {result.run_dir}",
            file=sys.stderr,
        )
    return done


def _ensure(settings: Settings, runs_dir: Path, data_dir: Path | None) -> RunResult:
    import torch

    torch.set_num_threads(1)
    return find_run(settings, runs_dir) or run_settings(settings, runs_dir=runs_dir, data_dir=data_dir)


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean over seeds and its 95 % t interval."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan, math.nan
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def publish(text: str, output: Path | None) -> None:
    """Prints a page, or writes it to `output` by way of a temporary file."""
    if output is None:
        print(text)
        return
    temporary = output.with_suffix(".part")
    temporary.write_text(text)
    temporary.rename(output)


def by_group(results: Sequence[RunResult], size: int, pick: Callable[[RunResult], Any]) -> list[list[Any]]:
    """Values of consecutive groups of `size` results."""
    return [[pick(each) for each in results[start : start + size]] for start in range(0, len(results), size)]


def judged_cells(row: Row) -> list[str]:
    """Entry, accuracy, difference from the first entry, verdict and equal error rate of a comparison's row."""
    accuracy, errors, first = row.figure("accuracy"), row.figure("equal_error_rate"), row.versus_first
    return [
        f"`{row.entry}`",
        _figure(accuracy.mean, accuracy.interval),
        _figure(first.mean, first.interval, "+") if first else "-",
        row["verdict"] or "-",
        _figure(errors.mean, errors.interval),
    ]


def _figure(mean: float | None, interval: tuple[float, float] | None, sign: str = "") -> str:
    if mean is None:
        return "-"
    return f"{mean:{sign}.4f}" + (f" ({interval[0]:{sign}.3f} to {interval[1]:{sign}.3f})" if interval else "")
