"""`siamese-mnist run`: train, evaluate and save one variant."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from siamese_mnist_cli import options, progress, tables, tracking
from siamese_mnist_cli.settings import with_settings
from siamese_mnist_cli.tables import safe


@with_settings()
def run(
    entry: options.Entry,
    settings: dict[str, Any],
    data_dir: options.DataDir = None,
    download: options.Download = False,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "cpu",
    track: options.Track = None,
    as_json: options.Json = False,
) -> None:
    """Train a variant in two phases, evaluate it on the test pairs and save the run."""
    from siamese_mnist.settings.settings import Settings

    with progress.starting():
        resolved = Settings.resolve(entry, **settings)
        from siamese_mnist.runs.experiment import run_settings

        trackers = tracking.ready(track, runs_dir)
    with progress.shown() as titled:
        result = run_settings(
            resolved,
            runs_dir=runs_dir,
            data_dir=data_dir,
            download=download,
            device=device,
            progress=titled(f"{entry}, seed {resolved.seed}"),
        )
    tracking.give(trackers, result)
    if as_json:
        print(json.dumps(result.as_dict()))
    else:
        _print_summary(result)
        tables.hint(
            f"siamese-mnist predict {entry} LEFT RIGHT{options.folder(runs_dir)} judges two pictures by this run"
        )


def _print_summary(result: Any) -> None:
    from siamese_mnist.evaluation.metrics import headline_metrics
    from siamese_mnist.runs.experiment import TEST_PAIRS

    console = Console(highlight=False, soft_wrap=True)
    test = result.test
    pretrained = result.phase1.accuracy
    lines = {
        "pair accuracy": f"{test.accuracy:.4f} on {test.pairs:,} pairs of test images",
        "same": _class_line(test.same),
        "different": _class_line(test.different),
        **{metric.title: metric.text(test[name]) for name, metric in headline_metrics().items() if name != "accuracy"},
        **{_one_shot_title(each): _one_shot_text(each) for each in result.one_shot},
        **_identification_lines(result.identification),
        "phase-1 accuracy": "no phase 1" if pretrained is None else f"{pretrained:.4f} on single test images",
        "parameters": f"backbone {result.parameters.backbone:,}, head {result.parameters.head:,}",
        "seconds": f"phase 1 {result.phase1.train_seconds:.1f}, phase 2 {result.phase2.train_seconds:.1f}, "
        f"all {result.total_seconds:.1f}",
        "run": result.run_dir,
    }
    asked = result.config["protocol"]
    tested = asked["test_pairs"] or (TEST_PAIRS if asked["test_protocol"] == "random" else None)
    for kind, wanted, drawn in (
        ("training", asked["train_pairs"], result.train.pairs),
        ("test", tested, test.pairs),
    ):
        if wanted and drawn < wanted:
            lines[f"{kind} pairs"] = f"{drawn:,}, all that there are, where {wanted:,} were asked for"
    width = max(16, *map(len, lines)) + 2
    for name, text in lines.items():
        console.print(f"{name:<{width}}{safe(text)}", markup=False)
    for warning in filter(None, (result.collapsed, _guessing(result))):
        Console(stderr=True, soft_wrap=True).print(f"warning: {warning}", markup=False, highlight=False)


def _guessing(result: Any) -> str | None:
    """A sentence where the interval of the accuracy, that of `compare`, reaches down to a constant answer's."""
    from siamese_mnist.runs.folds import entry_intervals
    from siamese_mnist.runs.scored import scored_run

    scored = scored_run(result)
    found = entry_intervals([[scored]], ["accuracy"])
    share = float(scored.columns["same"].mean())
    if result.collapsed or "accuracy" not in found or found["accuracy"][0] > max(share, 1 - share):
        return None
    low, high = found["accuracy"]
    other = ", or --recipe fast where the design is Siamese," if result.config["recipe"] == "report" else ""
    return (
        f"these answers are not shown to be better than guessing (accuracy {low:.4f} to {high:.4f}); more images or "
        f"more training{other} may help"
    )


def _class_line(figures: Any) -> str:
    return f"precision {figures.precision:.4f}, recall {figures.recall:.4f}, F1 {figures.f1:.4f}"


def _identification_lines(figures: Any) -> dict[str, str]:
    if figures is None:
        return {}
    low, high = figures.rank_1_interval
    fifth = f", among the first 5 {figures.cmc[4]:.4f}" if figures.names > 5 else ""
    lines = {f"{figures.names} names, rank 1": f"{figures.cmc[0]:.4f} ({low:.4f} to {high:.4f}){fifth}"}
    for each in figures.open_set:
        low, high = each.detection_interval
        names = f"{each.names} name{'s' if each.names > 1 else ''} and strangers"
        lines[f"{names}, FPIR {each.limit:g}"] = f"{each.detection:.4f} ({low:.4f} to {high:.4f}) detected and named"
    return lines


def _one_shot_title(figures: Any) -> str:
    writer = {"any": "any writer", "other": "another writer", "same": "the same writer"}[figures.writer]
    family = ", one family" if figures.one_family else ""
    return f"{figures.ways}-way one-shot, {writer}{family}"


def _one_shot_text(figures: Any) -> str:
    low, high = figures.accuracy_interval
    return f"{figures.accuracy:.4f} ({low:.4f} to {high:.4f}) in {figures.episodes} episodes"
