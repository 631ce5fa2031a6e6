"""A comparison from its entries: what they ask for, trained where it is missing, as rows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from siamese_mnist.runs import comparison
from siamese_mnist.runs.comparison import Row
from siamese_mnist.runs.jobs import attempt_runs, unseen
from siamese_mnist.settings.entries import resolve_entries
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.phases import Progress


def compare(
    entries: Sequence[str],
    *,
    seeds: int = 3,
    folds: int | None = None,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    jobs: int | None = None,
    engine: str = "local",
    address: str | None = None,
    progress: Callable[[Settings], Progress] = unseen,
    **changes: Any,
) -> list[Row]:
    """Compares entries on the same pairs; what is on disk is not trained again.

    Args:
        entries: `VARIANT` or `VARIANT:name=value,...`, the reference first.
        seeds: seeds of each: 0, 1, ...; one says nothing of the designs.
        folds: folds of the split that are joined: 0, 1, ...; None is the one that the settings name.
        runs_dir: folder of all runs.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        device: a PyTorch device, such as "cpu" or "cuda".
        jobs: runs trained at once; None is as many as processors and memory allow, or the cluster's workers.
        engine: where runs are trained: "local", "dask" or "ray".
        address: of the cluster, such as "tcp://10.0.0.1:8786"; None takes the one that this program is connected to, or
            that the engine's own configuration names, or starts one on this machine.
        progress: makes the progress function of a run that is trained in this process.
        **changes: settings that all entries share, see `Settings.resolve`.

    Returns:
        The report's published row, and one for each entry, in their order.

    Raises:
        UsageError: if an entry or a setting is wrong, or two entries are the same.
    """
    settings = resolve_entries(entries, seeds, folds, **changes)
    outcomes = attempt_runs(
        settings,
        runs_dir=runs_dir,
        data_dir=data_dir,
        download=download,
        device=device,
        progress=progress,
        jobs=jobs,
        engine=engine,
        address=address,
    )
    return comparison.compare(list(outcomes))
