"""`siamese-mnist run`: train, evaluate and save one variant."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from siamese_mnist_cli import options, progress

_PARTS, _PHASE_1, _PHASE_2 = "Parts", "Phase 1", "Phase 2"


def _part(role: str) -> Any:
    return typer.Option(help=f"{role.capitalize()} in place of the variant's.", rich_help_panel=_PARTS)


def _arguments(role: str) -> Any:
    return typer.Option(f"--{role}-arg", help=f"Option of the {role}, as name=value.", rich_help_panel=_PARTS)


def _setting(text: str, panel: str = _PHASE_2) -> Any:
    return typer.Option(help=text, show_default="recipe's", rich_help_panel=panel)


def run(
    variant: Annotated[str, typer.Argument(help="Design; `siamese-mnist list variants` names them.")],
    recipe: Annotated[str, typer.Option(help="Training protocol; `siamese-mnist list recipes` names them.")] = "report",
    seed: Annotated[int, typer.Option(help="Seed of initial values and batch order.")] = 0,
    dataset: options.Dataset = "mnist-tenth",
    data_dir: options.DataDir = None,
    download: options.Download = False,
    runs_dir: options.RunsDir = Path("runs"),
    device: Annotated[str, typer.Option(help="PyTorch device.")] = "cpu",
    as_json: options.Json = False,
    backbone: Annotated[str | None, _part("backbone")] = None,
    backbone_arg: Annotated[list[str] | None, _arguments("backbone")] = None,
    head: Annotated[str | None, _part("head")] = None,
    head_arg: Annotated[list[str] | None, _arguments("head")] = None,
    loss: Annotated[str | None, _part("loss")] = None,
    loss_arg: Annotated[list[str] | None, _arguments("loss")] = None,
    miner: Annotated[str | None, _part("miner")] = None,
    miner_arg: Annotated[list[str] | None, _arguments("miner")] = None,
    pretrain_epochs: Annotated[int | None, _setting("Passes over the training images.", _PHASE_1)] = None,
    pretrain_batch_size: Annotated[int | None, _setting("Images per update.", _PHASE_1)] = None,
    pretrain_learning_rate: Annotated[float | None, _setting("Step size.", _PHASE_1)] = None,
    epochs: Annotated[int | None, _setting("Passes over the pairs.")] = None,
    batch_size: Annotated[int | None, _setting("Pairs per update.")] = None,
    learning_rate: Annotated[float | None, _setting("Step size of the head.")] = None,
    supervision: Annotated[str | None, _setting("Train on `pairs` or on `labels`.")] = None,
    backbone_lr: Annotated[float | None, _setting("Step size of the backbone; 0 freezes it.")] = None,
    backbone_every: Annotated[int | None, _setting("Updates of the head per update of the backbone.")] = None,
    schedule: Annotated[str | None, _setting("Course of the step sizes: constant, cosine or triangle.")] = None,
    weight_decay: Annotated[float | None, _setting("Decoupled weight decay.")] = None,
    precision: Annotated[str | None, _setting("float32 or bfloat16.")] = None,
    augment: Annotated[
        list[str] | None,
        _setting("Strength of a distortion, as name=value: rotate, scale, shear, shift, elastic, stroke."),
    ] = None,
    train_pairs: Annotated[int | None, _setting("Pairs drawn from the training images.")] = None,
    test_pairs: Annotated[int | None, _setting("Pairs drawn from the test images.")] = None,
    test_protocol: options.TestProtocol = None,
    pair_seed: Annotated[int | None, _setting("Seed of the pairs.")] = None,
    curve: Annotated[
        bool | None,
        typer.Option(
            "--curve/--no-curve",
            help="Measure a batch of test pairs after every update, as the report did.",
            show_default="recipe's",
            rich_help_panel=_PHASE_2,
        ),
    ] = None,
) -> None:
    """Train a variant in two phases, evaluate it on the test pairs and save the run."""
    from siamese_mnist.runs.experiment import run_settings
    from siamese_mnist.settings.entries import resolve

    changes: dict[str, Any] = {
        "backbone": backbone,
        "head": head,
        "loss": loss,
        "miner": miner,
        "pretrain_epochs": pretrain_epochs,
        "pretrain_batch_size": pretrain_batch_size,
        "pretrain_learning_rate": pretrain_learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "supervision": supervision,
        "backbone_learning_rate": backbone_lr,
        "backbone_every": backbone_every,
        "schedule": schedule,
        "weight_decay": weight_decay,
        "precision": precision,
        "train_pairs": train_pairs,
        "test_pairs": test_pairs,
        "test_protocol": test_protocol,
        "pair_seed": pair_seed,
        "curve": curve,
    }
    base: dict[str, Any] = {"recipe": recipe, "seed": seed, "dataset": dataset}
    texts = {
        "backbone": backbone_arg or (),
        "head": head_arg or (),
        "loss": loss_arg or (),
        "miner": miner_arg or (),
        "augment": augment or (),
    }
    settings = resolve(variant, texts, **base, **changes)
    with progress.shown() as titled:
        result = run_settings(
            settings,
            runs_dir=runs_dir,
            data_dir=data_dir,
            download=download,
            device=device,
            progress=titled(f"{variant}, seed {seed}"),
        )
    if as_json:
        print(json.dumps(result.as_dict()))
    else:
        _print_summary(result)


def _print_summary(result: Any) -> None:
    from siamese_mnist.evaluation.metrics import headline_metrics

    console = Console(highlight=False, soft_wrap=True)
    test = result.test
    pretrained = result.phase1.accuracy
    lines = {
        "pair accuracy": f"{test.accuracy:.4f} on {test.pairs:,} pairs of test images",
        "same": _class_line(test.same),
        "different": _class_line(test.different),
        **{metric.title: metric.text(test[name]) for name, metric in headline_metrics().items() if name != "accuracy"},
        "phase-1 accuracy": "no phase 1" if pretrained is None else f"{pretrained:.4f} on single test images",
        "parameters": f"backbone {result.parameters.backbone:,}, head {result.parameters.head:,}",
        "seconds": f"phase 1 {result.phase1.train_seconds:.1f}, phase 2 {result.phase2.train_seconds:.1f}, "
        f"all {result.total_seconds:.1f}",
        "run": result.run_dir,
    }
    width = max(16, *map(len, lines)) + 2
    for name, text in lines.items():
        console.print(f"{name:<{width}}{text}", markup=False)
    if result.collapsed:
        Console(stderr=True, soft_wrap=True).print(f"warning: {result.collapsed}", markup=False, highlight=False)


def _class_line(figures: Any) -> str:
    return f"precision {figures.precision:.4f}, recall {figures.recall:.4f}, F1 {figures.f1:.4f}"
