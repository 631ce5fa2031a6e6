"""`siamese-mnist run`: train, evaluate and save one variant."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from siamese_mnist_cli import options, progress


def run(
    variant: Annotated[str, typer.Argument(help="Design; `siamese-mnist list variants` names them.")],
    dataset: options.Dataset = "mnist-tenth",
    data_dir: options.DataDir = None,
    download: options.Download = False,
    backbone: Annotated[str | None, typer.Option(help="Backbone in place of the variant's.")] = None,
    head: Annotated[str | None, typer.Option(help="Head in place of the variant's.")] = None,
    loss: Annotated[str | None, typer.Option(help="Metric loss in place of the variant's.")] = None,
    recipe: Annotated[str, typer.Option(help="Training protocol.")] = "report",
    seed: Annotated[int, typer.Option(help="Seed of initial values and batch order.")] = 0,
    pretrain_epochs: Annotated[int | None, typer.Option(help="Epochs of phase 1.", show_default="recipe's")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of phase 2.", show_default="recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pairs per update.", show_default="recipe's")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Step size of phase 2.", show_default="recipe's")] = None,
    curve: Annotated[
        bool | None,
        typer.Option("--curve/--no-curve", help="Measure a batch of test pairs after every update, as the report."),
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    device: Annotated[str, typer.Option(help="PyTorch device.")] = "cpu",
    as_json: options.Json = False,
) -> None:
    """Train a variant in two phases, evaluate it on the test pairs and save the run."""
    from siamese_mnist.experiment import run as train

    with progress.shown() as titled:
        result = train(
            variant,
            dataset=dataset,
            data_dir=data_dir,
            download=download,
            backbone=backbone,
            head=head,
            loss=loss,
            recipe=recipe,
            seed=seed,
            pretrain_epochs=pretrain_epochs,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            curve=curve,
            runs_dir=runs_dir,
            device=device,
            progress=titled(f"{variant}, seed {seed}"),
        )
    if as_json:
        print(json.dumps(result))
    else:
        _print_summary(result)


def _print_summary(result: Any) -> None:
    console = Console(highlight=False, soft_wrap=True)
    test = result.test
    pretrained = result.phase1.accuracy
    lines = {
        "pair accuracy": f"{test.accuracy:.4f} on {test.pairs:,} pairs of test images",
        "same": _class_line(test.same),
        "different": _class_line(test.different),
        "ROC-AUC": f"{test.roc_auc:.4f}",
        "equal error rate": f"{test.equal_error_rate:.4f}",
        "swap agreement": f"{test.swap_agreement:.4f}",
        "phase-1 accuracy": "no phase 1" if pretrained is None else f"{pretrained:.4f} on single test images",
        "parameters": f"backbone {result.parameters.backbone:,}, head {result.parameters.head:,}",
        "seconds": f"phase 1 {result.phase1.train_seconds:.1f}, phase 2 {result.phase2.train_seconds:.1f}, "
        f"all {result.total_seconds:.1f}",
        "run": result.run_dir,
    }
    for name, text in lines.items():
        console.print(f"{name:<18}{text}", markup=False)


def _class_line(figures: Any) -> str:
    return f"precision {figures.precision:.3f}, recall {figures.recall:.3f}, F1 {figures.f1:.3f}"
