"""A comparison from its entries: what they ask for, trained where it is missing, as rows."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from siamese_mnist.data.splits import make_split
from siamese_mnist.errors import UsageError
from siamese_mnist.runs import comparison
from siamese_mnist.runs.comparison import Row
from siamese_mnist.runs.jobs import attempt_runs, unseen
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


def resolve_entries(entries: Sequence[str], seeds: int, folds: int | None = None, **changes: Any) -> list[Settings]:
    """Settings of every entry with each of its seeds in each fold, those of one entry together.

    Raises:
        UsageError: if an entry or a setting is wrong, or two entries are the same.
    """
    if isinstance(entries, str) or not entries:
        raise UsageError(f"entries must be a list of at least one, such as ['baseline', 'siamese'], got {entries!r}")
    for name, count in (("seeds", seeds), ("folds", 1 if folds is None else folds)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"{name} must be a whole number >= 1, got {count!r}")
    resolved: dict[str, Settings] = {}
    for entry in entries:
        settings = Settings.resolve(entry, **changes, seed=0)
        for other, its_settings in resolved.items():
            if settings == its_settings:
                raise UsageError(f"{other!r} and {entry!r} are the same; name each once")
        resolved[entry] = settings
    if folds is None:
        return [Settings.resolve(entry, **changes, seed=seed) for entry in entries for seed in range(seeds)]
    _check_folds(resolved, folds)
    return [
        Settings.resolve(entry, **{**changes, "fold": fold}, seed=seed)
        for entry in entries
        for fold in range(folds)
        for seed in range(seeds)
    ]


def _check_folds(entries: Mapping[str, Settings], folds: int) -> None:
    for entry, settings in entries.items():
        if settings.fold is not None:
            raise UsageError(f"{entry!r} names fold {settings.fold}, and folds joins several; give one of them")
        there = make_split(settings.split).folds
        if folds > there:
            what = f"{there} folds" if there > 1 else "one fold only"
            raise UsageError(f"split {settings.split!r} has {what}; folds must be <= {there}, got {folds}")
