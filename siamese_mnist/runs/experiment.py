"""From settings to a trained, evaluated, saved run."""

import dataclasses
import hashlib
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from siamese_mnist.data import Dataset, LabeledImages, load_dataset
from siamese_mnist.data.pairs import Pairs, draw_disjoint_pairs, draw_pairs, largest_disjoint_count, pairs_digest
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Decision, digit_pair_accuracy, evaluate, fit_decision
from siamese_mnist.parts.designs import Model, Siamese, build_model, supervisions, to_unit
from siamese_mnist.parts.heads import pretraining_head
from siamese_mnist.parts.losses import Supervision
from siamese_mnist.runs.store import RunResult, check_writable, list_runs, write_run
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.threads import threads
from siamese_mnist.training.phases import Curve, Progress, class_accuracy, pretrain, silent, train

CALIBRATION_PAIRS = 10_000
TEST_PAIRS = 10_000  # of the random protocol, unless the settings say otherwise
_COLLAPSED_SPREAD = 1e-3
_SHOWN_CLASSES = 62  # letters and digits
_TRAIN_PAIRS, _TEST_PAIRS, _ORDER = range(3)  # purposes of random streams


def run(
    variant: str = "siamese",
    *,
    runs_dir: str | Path = "runs",
    data_dir: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
    **changes: Any,
) -> RunResult:
    """Trains a variant in two phases, evaluates it on the test pairs and saves the run.

    Args:
        variant: name in `VARIANTS`.
        runs_dir: folder that the run's own folder is written to.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        device: a PyTorch device, such as "cpu" or "cuda".
        progress: told after every update: stage, updates done, updates in all.
        **changes: any field of `Parts` or `TrainingProtocol`: `recipe="report"`, `loss="contrastive"`, `seed=0`, ...

    Returns:
        The figures and costs, and `run_dir`, where they are kept with the weights.

    Raises:
        UsageError: if a name or a value is wrong, data is missing, or the run cannot be written.
    """
    return run_settings(
        Settings.resolve(variant, **changes),
        runs_dir=runs_dir,
        data_dir=data_dir,
        download=download,
        device=device,
        progress=progress,
    )


def run_settings(
    settings: Settings,
    *,
    runs_dir: str | Path,
    data_dir: str | Path | None = None,
    download: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> RunResult:
    """Trains, evaluates and saves what `settings` describe; see `run`.

    Training in bfloat16 computes on one thread: its operations are so small that two threads wait for each other most
    of the time where another program wants the cores too.
    """
    with threads(1 if settings.protocol.precision == "bfloat16" else torch.get_num_threads()):
        return _run(settings, runs_dir, data_dir, download, device, progress)


def _run(
    settings: Settings,
    runs_dir: str | Path,
    data_dir: str | Path | None,
    download: bool,
    device: str,
    progress: Progress,
) -> RunResult:
    start = time.perf_counter()
    check_writable(Path(runs_dir))
    _check_device(device)
    dataset = load_dataset(settings.dataset, data_dir, download)
    protocol = settings.protocol
    train_set, test_set = _draw(dataset, protocol)
    generator = order_stream(settings.seed)
    # Initial values and dropout draw from PyTorch's global stream: it is set for the run and put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model, class_head = untrained(settings, dataset)
        protocol = dataclasses.replace(protocol, supervision=_supervision(model, settings))
        model, class_head = model.to(device), class_head.to(device)
        training, test = (part.to(device) for part in dataset[:2])

        clock = time.perf_counter()
        first = pretrain(model, class_head, training, protocol, generator=generator, progress=progress)
        phase1 = {
            "epochs": protocol.pretrain_epochs,
            "accuracy": class_accuracy(model, class_head, test) if protocol.pretrain_epochs else None,
            "train_seconds": time.perf_counter() - clock,
        }
        clock = time.perf_counter()
        validation = (test, test_set) if protocol.curve else None
        second = train(model, training, train_set, validation, protocol, generator=generator, progress=progress)
        train_seconds = time.perf_counter() - clock
        phase2 = {
            "epochs": protocol.epochs,
            "supervision": protocol.supervision,
            "train_seconds": train_seconds,
        }

    # A head that decides by itself leaves one number to fit.
    count = CALIBRATION_PAIRS if model.threshold is None else CALIBRATION_PAIRS // 5
    fitting = Pairs(*(column[:count] for column in train_set))
    shown = _distorted(training, protocol, generator)
    decision = fit_decision(_scores(model, shown, fitting), fitting.same.numpy(), threshold=model.threshold)
    collapsed = _collapse(model, training)
    clock = time.perf_counter()
    scores = _scores(model, test, test_set)
    score_seconds = time.perf_counter() - clock
    swapped = _scores(model, test, Pairs(test_set.right, test_set.left, test_set.same))
    result = {
        "variant": settings.variant,
        "dataset": settings.dataset,
        "seed": settings.seed,
        "config": settings.as_dict(),
        "versions": versions(),
        "parameters": {
            "backbone": count_parameters(model.backbone),
            "pretraining_head": count_parameters(class_head),
            "head": count_parameters(model.head),
        },
        "train": {"pairs": len(train_set.same), "pairs_digest": pairs_digest(train_set)},
        "phase1": phase1,
        "phase2": phase2,
        "collapsed": collapsed,
        "decision": {"threshold": decision.threshold, "slope": decision.slope, "pairs": len(fitting.same)},
        "test": {
            "pairs_digest": pairs_digest(test_set),
            **evaluate(scores, test_set.same.numpy(), decision, swapped_scores=swapped),
            "digit_pairs": _by_classes(scores, dataset, test_set, decision),
        },
        "throughput": {
            "train_pairs_per_second": protocol.epochs * len(train_set.same) / train_seconds,
            "score_pairs_per_second": len(test_set.same) / score_seconds,
        },
        "total_seconds": time.perf_counter() - start,
        "peak_rss_bytes": _peak_rss_bytes(),
    }
    return write_run(
        Path(runs_dir),
        run_name(settings),
        result=result,
        config={
            **settings.as_dict(),
            "image_size": list(dataset.image_size),
            "channels": dataset.channels,
            "classes": list(dataset.classes),
        },
        history=_history(first, second),
        scores={
            "left": test_set.left.numpy(),
            "right": test_set.right.numpy(),
            "same": test_set.same.numpy(),
            "score": scores,
            "swapped_score": swapped,
        },
        weights={name: tensor.cpu() for name, tensor in model.state_dict().items()},
    )


def untrained(settings: Settings, dataset: Dataset) -> tuple[Model, nn.Module]:
    """A run's model and class head before phase 1; their initial values come from PyTorch's global stream."""
    classes = len(dataset.classes)
    parts = dataclasses.asdict(settings.parts)
    model = build_model(
        design=settings.design, **parts, image_size=dataset.image_size, channels=dataset.channels, classes=classes
    )
    return model, pretraining_head(model.feature_dim, classes)


def find_run(settings: Settings, runs_dir: str | Path) -> RunResult | None:
    """The newest complete run of exactly these settings by this version, if there is one."""
    wanted = json.loads(json.dumps(settings.as_dict()))
    found = [
        each
        for each in list_runs(runs_dir)
        if each.get("config") == wanted and each.get("versions", {}).get("siamese_mnist") == version("siamese-mnist")
    ]
    return found[-1] if found else None


def run_name(settings: Settings) -> str:
    """Folder name that tells variant, recipe and seed, and differs for different settings."""
    digest = hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{settings.variant}-{settings.recipe}-s{settings.seed}-{digest}"


def _check_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"device {name!r} cannot be used ({reason}); cpu always can") from error


def count_parameters(module: nn.Module) -> int:
    """Numbers in a module as Keras counts them: weights and the moving statistics of batch norm."""
    return sum(tensor.numel() for tensor in module.state_dict().values() if tensor.is_floating_point())


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("siamese-mnist", "torch", "pytorch-metric-learning", "scikit-learn", "numpy")
    return {"python": platform.python_version(), **{name.replace("-", "_"): version(name) for name in packages}}


def order_stream(seed: int) -> torch.Generator:
    """The random stream of a run's batches, from the start of phase 1."""
    return _stream(seed, _ORDER)


def _stream(seed: int, purpose: int) -> torch.Generator:
    """A random stream of its own for every seed and purpose."""
    state = np.random.SeedSequence((seed, purpose)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def _draw(dataset: Dataset, protocol: TrainingProtocol) -> tuple[Pairs, Pairs]:
    """The common training and test pairs."""
    fraction = protocol.same_fraction
    train_stream, test_stream = (_stream(protocol.pair_seed, purpose) for purpose in (_TRAIN_PAIRS, _TEST_PAIRS))
    train_set = draw_pairs(dataset.train.labels, protocol.train_pairs, same_fraction=fraction, generator=train_stream)
    labels = dataset.test.labels
    if protocol.test_protocol == "disjoint":
        count = protocol.test_pairs or largest_disjoint_count(labels, fraction)
        return train_set, draw_disjoint_pairs(labels, count, same_fraction=fraction, generator=test_stream)
    count = protocol.test_pairs or TEST_PAIRS
    return train_set, draw_pairs(labels, count, same_fraction=fraction, generator=test_stream)


def _supervision(model: Model, settings: Settings) -> Supervision:
    offered = supervisions(model)
    wanted = settings.protocol.supervision or offered[0]
    if wanted not in offered:
        parts = settings.parts
        what = f"{parts.loss or parts.head}{f' with miner {parts.miner}' if parts.miner else ''}"
        raise UsageError(f"{what!r} cannot train on {wanted}; it trains on {' or '.join(offered)}")
    return wanted


def _scores(model: Model, data: LabeledImages, pairs: Pairs) -> np.ndarray:
    return model.score_pairs(to_unit(data.images), pairs.left, pairs.right).cpu().numpy()


def _by_classes(scores: np.ndarray, dataset: Dataset, pairs: Pairs, decision: Decision) -> dict[str, Any] | None:
    """Accuracy and number of the test pairs of every two classes, or None for more classes than a table can show."""
    if len(dataset.classes) > _SHOWN_CLASSES:
        return None
    left, right = (dataset.test.labels[rows].numpy() for rows in pairs[:2])
    correct = decision.predict(scores) == pairs.same.numpy()
    accuracy, counts = digit_pair_accuracy(correct, left, right, len(dataset.classes))
    return {
        "accuracy": [[None if np.isnan(each) else each for each in row] for row in accuracy.tolist()],
        "pairs": counts.tolist(),
    }


def _distorted(data: LabeledImages, protocol: TrainingProtocol, generator: torch.Generator) -> LabeledImages:
    """Training images as the training saw them: on plain ones, a model trained on distorted ones looks too sure."""
    images = protocol.augmentation(to_unit(data.images), generator)
    return data._replace(images=images.mul(255).round().byte())


def _collapse(model: Model, data: LabeledImages) -> str | None:
    """A sentence if all images have nearly the same embedding, which no loss recovers from; else None."""
    if not isinstance(model, Siamese):
        return None
    embeddings = model.embed(to_unit(data.images[:1000]))
    spread = float(embeddings.std(0).norm() / embeddings.norm(dim=1).mean().clamp(min=1e-12))
    if spread > _COLLAPSED_SPREAD:
        return None
    return (
        f"the embeddings have collapsed: their spread is {spread:.1e} of their length; "
        "try another loss, a smaller learning rate, or a trained backbone"
    )


def _history(first: Curve, second: Curve) -> Iterator[Sequence[Any]]:
    yield "phase", "update", "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"
    for phase, curve in ((1, first), (2, second)):
        columns = [column.tolist() for column in curve]
        count = len(columns[0])
        columns = [column or [""] * count for column in columns]
        for update, row in enumerate(zip(*columns, strict=True), start=1):
            yield phase, update, *row


def _peak_rss_bytes() -> int | None:
    """Largest resident memory of this process so far, or None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
