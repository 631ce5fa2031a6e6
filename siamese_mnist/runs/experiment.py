"""From settings to a trained, evaluated, saved run: prepare, train, assess, write."""

import copy
import dataclasses
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from siamese_mnist.data import Dataset, LabeledImages, SplitDataset, hold_back, load_dataset, split_dataset
from siamese_mnist.data.augmentation import distort
from siamese_mnist.data.brightness import Brightness
from siamese_mnist.data.folds import folds_by_label, held_back
from siamese_mnist.data.pairs import (
    Pairs,
    draw_disjoint_pairs,
    draw_pairs,
    largest_count,
    largest_disjoint_count,
    pairs_digest,
)
from siamese_mnist.data.splits import joined
from siamese_mnist.data.streams import Purpose, stream
from siamese_mnist.data.turned import with_extra_classes
from siamese_mnist.data.typical import Typical
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration
from siamese_mnist.parts.designs import Design, build_model, to_unit
from siamese_mnist.parts.heads import pretraining_head
from siamese_mnist.parts.losses import Supervision
from siamese_mnist.runs.assessment import (
    Assessment,
    assess,
    check_both_kinds,
    collapse,
    fit,
    fit_unseen,
    fitting_pairs,
    pooled,
)
from siamese_mnist.runs.identification import identification_figures
from siamese_mnist.runs.member_folds import TOLD, LeftOut, can_fold, fit_members, leave_out
from siamese_mnist.runs.one_shot import one_shot_figures
from siamese_mnist.runs.provenance import count_parameters, history, origins, peak_rss_bytes, run_name, versions
from siamese_mnist.runs.recording import record_scorer
from siamese_mnist.runs.result import FORMAT, FittedDecision, Phase1, Phase2, RunResult
from siamese_mnist.runs.store import check_writable, write_run
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.machine import machine
from siamese_mnist.system.threads import RUN_THREADS, threads
from siamese_mnist.training.begun import pretrain_once
from siamese_mnist.training.curve import Curve
from siamese_mnist.training.observers import HeldOutCurve
from siamese_mnist.training.phases import Progress, class_accuracy, silent, train

_TRIED = 8  # training images on which a scorer is tried before it is kept
_TYPICAL_IMAGES = 2000
_MIRRORED = 500
_FINISHING = 4096  # training images to which a trained model adapts, at most
TEST_PAIRS = 10_000  # of the random protocol, unless the settings say otherwise


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
        variant: an entry: `VARIANT` or `VARIANT:name=value,...`, such as `"siamese:loss=triplet,miner=batch-hard"`.
        runs_dir: folder that the run's own folder is written to.
        data_dir: folder of the data set's files.
        download: fetch missing data.
        device: a PyTorch device, such as "cpu" or "cuda".
        progress: told after every update: stage, updates done, updates in all.
        **changes: settings by name: `recipe="report"`, `loss="contrastive"`, `seed=0`, ...; see `Settings.resolve`.

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
    dataset: Dataset | None = None,
    begun: Path | None = None,
) -> RunResult:
    """Trains, evaluates and saves what `settings` describe; see `run`.

    It computes with `RUN_THREADS`, whatever else the program does, so that `run` and `compare` give the same figures.
    A `dataset` at hand, which has to be that of the settings, is not loaded again. In the folder `begun`, runs that
    begin alike share their phase 1, see `pretrain_once`.

    Raises:
        DivergedError: if the loss stops being finite; nothing is kept of the run then.
        UsageError: see `run`.
    """
    start = time.perf_counter()
    check_writable(Path(runs_dir))
    check_device(device)
    with threads(RUN_THREADS):
        if dataset is None:
            dataset = load_dataset(settings.dataset, data_dir, download, **settings.dataset_options)
        divided = split_dataset(dataset, settings.split, settings.fold or 0)
        work = _prepare(settings, divided, device)
        learned = _cross_fitted(work, _learn(work, progress, begun), divided, progress)
        return _write(work, learned, Path(runs_dir), start)


def learn(settings: Settings, dataset: SplitDataset, *, device: str = "cpu", progress: Progress = silent) -> "Learned":
    """Trains what `settings` describe on a data set at hand and fits its decision; nothing is assessed or written.

    Raises:
        UsageError: see `run`.
    """
    with threads(RUN_THREADS):
        work = _prepare(settings, dataset, device)
        return _cross_fitted(work, _learn(work, progress), dataset, progress)


def untrained(settings: Settings, dataset: Dataset | SplitDataset) -> tuple[Design, nn.Module]:
    """A run's model and class head before phase 1; their initial values come from PyTorch's global stream."""
    classes = len(dataset.classes)
    parts = dataclasses.asdict(settings.parts)
    model = build_model(
        design=settings.design, **parts, image_size=dataset.image_size, channels=dataset.channels, classes=classes
    )
    return model, pretraining_head(model.feature_dim, classes)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """All that training and assessment need."""

    settings: Settings
    dataset: SplitDataset
    device: str
    training: LabeledImages
    test: LabeledImages
    train_pairs: Pairs
    test_pairs: Pairs
    generator: torch.Generator  # order of batches, from the start of phase 1
    left_out: LeftOut | None  # by members of an ensemble; None where all train on all


class Learned(NamedTuple):
    """A trained model with its decision, and what the two phases left behind."""

    model: Design
    class_head: nn.Module
    protocol: TrainingProtocol  # with the supervision that was chosen
    phase1: Phase1
    phase2: Phase2
    curves: tuple[Curve, Curve]
    decision: FittedDecision
    calibration: Calibration  # the scored pairs that it was fitted on
    validation: Tensor | None  # (N, E) embeddings of validation images


def _prepare(settings: Settings, dataset: SplitDataset, device: str) -> _Work:
    protocol = settings.protocol
    if protocol.cross_fitting and dataset.validation is not None:
        raise UsageError(
            f"cross_fitting={protocol.cross_fitting} has no effect: the split {settings.split} keeps validation "
            "images, on which threshold and calibration are fitted; set cross_fitting to 0"
        )
    _check_enough(dataset.train.labels, "training")
    _check_enough(dataset.test.labels, "test")
    if protocol.cross_fitting:
        _check_parts(dataset.train.labels, protocol.cross_fitting)
    own = dataset.validation is None and protocol.validation > 0
    members = _members_that_fold(dataset, settings)
    if members:
        dataset = joined(dataset)
    classes = len(dataset.classes)
    dataset = with_extra_classes(hold_back(dataset, protocol.validation), protocol.extra_classes)
    if own:
        _check_validation(dataset, protocol.validation)
    dataset = _with_own_images(dataset, settings)
    train_pairs, test_pairs = _draw(dataset, settings)
    training, test = (part.to(device) for part in (dataset.train, dataset.test))
    return _Work(
        settings=settings,
        dataset=dataset,
        device=device,
        training=training,
        test=test,
        train_pairs=train_pairs,
        test_pairs=test_pairs,
        generator=stream(settings.seed, Purpose.ORDER),
        left_out=leave_out(members, classes, len(dataset.classes)) if members else None,
    )


def _members_that_fold(dataset: SplitDataset, settings: Settings) -> int:
    """How many members each leave out some classes, see `TrainingProtocol.member_folds`; 0 where none does."""
    if not settings.protocol.member_folds:
        return 0
    with torch.random.fork_rng(devices=[]):
        model, _ = untrained(settings, dataset)
    folds = can_fold(model, dataset, _supervision(model, settings), settings.protocol)
    return model.members if folds else 0


def _learn(work: _Work, progress: Progress, begun: Path | None = None) -> Learned:
    """Both phases and the decision; the test images are measured meanwhile and decide nothing."""
    settings, generator = work.settings, work.generator
    # Initial values and dropout draw from PyTorch's global stream: it is set for the run and put back afterwards.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model, class_head = untrained(settings, work.dataset)
        protocol = dataclasses.replace(settings.protocol, supervision=_supervision(model, settings))
        fitting = fitting_pairs(work.dataset, work.train_pairs, protocol, model.threshold)
        fitting = fitting._replace(data=fitting.data.to(work.device))
        model, class_head = model.to(work.device), class_head.to(work.device)
        if work.left_out:
            model.leave_out(work.left_out.members)

        parts = settings.parts
        first = pretrain_once(
            begun,
            [settings.design, parts.backbone, dict(parts.backbone_options), work.device, machine()],
            model,
            class_head,
            work.training,
            protocol,
            generator=generator,
            progress=progress,
        )
        tested = work.dataset.test_classes
        known = work.dataset.classes[: len(tested)] == tested  # the class head cannot name others
        accuracy = class_accuracy(model, class_head, work.test) if protocol.pretrain_epochs and known else None

        clock = time.perf_counter()
        held_out = _held_out(model, work) if protocol.curve else None
        second = train(
            model,
            work.training,
            work.train_pairs,
            protocol,
            generator=generator,
            progress=progress,
            observers=[held_out] if held_out else [],
        )
        some = torch.randperm(len(work.training.labels), generator=stream(settings.seed, Purpose.FINISH))[:_FINISHING]
        model.finish(work.training.images[some], work.training.labels[some])
        second_seconds = time.perf_counter() - clock
        if work.left_out:
            model.leave_out(None)
    assert protocol.supervision is not None
    crossed = fit_members(model, work.dataset.train, work.left_out, protocol, generator) if work.left_out else None
    fitted = crossed or fit(model, fitting, protocol, generator)
    return Learned(
        model=model,
        class_head=class_head,
        protocol=protocol,
        phase1=Phase1(epochs=protocol.pretrain_epochs, accuracy=accuracy, train_seconds=float(first.seconds.sum())),
        phase2=Phase2(epochs=protocol.epochs, supervision=protocol.supervision, train_seconds=second_seconds),
        curves=(first, second.curve(model.threshold, held_out)),
        decision=FittedDecision(
            **dataclasses.asdict(fitted.decision),
            pairs=len(fitted.calibration.same),
            fitted_on=TOLD if crossed else fitting.told,
        ),
        calibration=fitted.calibration,
        validation=fitted.embeddings,
    )


def _cross_fitted(work: _Work, learned: Learned, dataset: SplitDataset, progress: Progress) -> Learned:
    """The learned model with the decision of pairs that models like it have not seen, if the settings ask for that."""
    folds = work.settings.protocol.cross_fitting
    if not folds:
        return learned
    protocol = dataclasses.replace(work.settings.protocol, cross_fitting=0, curve=False)
    settings = dataclasses.replace(work.settings, protocol=protocol)
    fold_of = folds_by_label(dataset.train.labels, folds)
    parts, left_out = [], []
    for fold in range(folds):
        train, validation = held_back(dataset.train, fold_of == fold)
        inner = _prepare(settings, dataclasses.replace(dataset, train=train, validation=validation), work.device)
        parts.append(_learn(inner, _titled(progress, f"part {fold + 1} of {folds}")).calibration)
        left_out.append(validation)
    calibration = pooled(parts, left_out)
    decision = fit_unseen(calibration.scores, calibration.same, learned.model.threshold)
    return learned._replace(
        decision=FittedDecision(
            **dataclasses.asdict(decision), pairs=len(calibration.same), fitted_on="left-out training images"
        ),
        calibration=calibration,
    )


def _titled(progress: Progress, title: str) -> Progress:
    """Tells the same progress with more about what it is of."""
    return lambda stage, done, total: progress(f"{stage}, {title}", done, total)


def _held_out(model: Design, work: _Work) -> HeldOutCurve:
    """The report's curve, on a random stream of its own."""
    protocol = work.settings.protocol
    return HeldOutCurve(
        model.eval(),
        work.test,
        work.test_pairs,
        size=protocol.batch_size,
        frozen=not protocol.backbone_learning_rate,
        generator=stream(work.settings.seed, Purpose.CURVE),
    )


def _write(work: _Work, trained: Learned, runs_dir: Path, start: float) -> RunResult:
    """Assesses the model and writes the run; `start` is when it began."""
    settings, dataset, pairs, model = work.settings, work.dataset, work.test_pairs, trained.model
    decision = trained.decision
    collapsed = collapse(model, work.training)
    assessment = assess(model, work.test, pairs, decision, len(dataset.test_classes))
    one_shot, identification = [], None
    if dataset.new_classes:
        one_shot = one_shot_figures(assessment.scores_of, work.test, dataset.test_classes)
        identification = identification_figures(assessment.scores_of, work.test)
    result = _result(
        work,
        trained,
        assessment,
        one_shot=[each.as_dict() for each in one_shot],
        identification=None if identification is None else identification.as_dict(),
        collapsed=collapsed,
        decision=decision.as_dict(),
        total_seconds=time.perf_counter() - start,
    )
    config = {
        **settings.as_dict(),
        "image_size": list(dataset.image_size),
        "channels": dataset.channels,
        "preprocessing": dataset.preprocessing,
        "brightness": dataclasses.asdict(Brightness.of(dataset.train.images)),
        "typical": _typical(work, trained).as_dict(),
        "classes": list(dataset.classes),
        "origins": [each._asdict() for each in origins(settings)],
    }
    on_cpu = model if work.device == "cpu" else copy.deepcopy(model).cpu()
    return write_run(
        runs_dir,
        run_name(settings),
        result=result,
        config=config,
        history=history(*trained.curves),
        scores={
            "left": pairs.left.numpy(),
            "right": pairs.right.numpy(),
            "same": pairs.same.numpy(),
            "score": assessment.scores,
            "swapped_score": assessment.swapped,
            **_columns_aside(dataset, pairs),
        },
        calibration=trained.calibration,
        scorer=record_scorer(on_cpu.eval(), config, dataset.train.images[:_TRIED]),
        weights={name: tensor.cpu() for name, tensor in model.state_dict().items()},
    )


def _typical(work: _Work, trained: Learned) -> Typical:
    """What images that the model knows are like, by validation images or, without any, as the training saw its own.

    Where test classes are new and all others are trained on, mirrored training images play the new ones.
    """
    train, kept = work.dataset.train, work.dataset.validation
    if kept is not None:
        seen = kept.images
    elif work.left_out:
        upright = (train.labels < work.left_out.classes).nonzero().squeeze(1)
        seen = train.images[upright[:: max(1, len(upright) // _MIRRORED)]].flip(3)
    else:
        some = train.images[:_TYPICAL_IMAGES]
        strengths = dataclasses.asdict(work.settings.protocol.augmentation)
        distorted = distort(to_unit(some), torch.Generator().manual_seed(work.settings.seed), **strengths)
        seen = distorted.mul(255).round().byte()

    def embed(images: Tensor) -> Tensor:
        if images is seen and trained.validation is not None:
            return trained.validation
        return trained.model.embed(images.to(work.device))

    return Typical.of(train, seen, embed if trained.model.embeds else None)


def _columns_aside(dataset: SplitDataset, pairs: Pairs) -> dict[str, Any]:
    """The groups of both sides of every pair, where the images have groups, and their classes where these are new."""
    test = dataset.test
    known = {"group": test.groups, "class": test.labels if dataset.new_classes else None}
    sides = {"left": pairs.left, "right": pairs.right}
    return {
        f"{side}_{name}": values[rows].numpy()
        for name, values in known.items()
        if values is not None
        for side, rows in sides.items()
    }


def _result(work: _Work, trained: Learned, assessment: Assessment, **measured: Any) -> RunResult:
    settings, model, phase2 = work.settings, trained.model, trained.phase2
    drawn = len(work.train_pairs.same)
    return RunResult.from_dict(
        {
            "format": FORMAT,
            "variant": settings.variant,
            "dataset": settings.dataset,
            "split": {
                "name": settings.split,
                "fold": settings.fold or 0,
                "test_classes": list(work.dataset.test_classes) if work.dataset.new_classes else None,
            },
            "seed": settings.seed,
            "config": settings.as_dict(),
            "versions": versions(origins(settings)),
            "machine": machine(),
            "parameters": {
                "backbone": count_parameters(model.backbone),
                "pretraining_head": count_parameters(trained.class_head),
                "head": count_parameters(model) - count_parameters(model.backbone),
            },
            "train": {"pairs": drawn, "pairs_digest": pairs_digest(work.train_pairs)},
            "phase1": trained.phase1.as_dict(),
            "phase2": phase2.as_dict(),
            "test": assessment.figures,
            "throughput": {
                "train_pairs_per_second": phase2.epochs * drawn / phase2.train_seconds,
                "score_pairs_per_second": assessment.pairs_per_second,
            },
            "peak_rss_bytes": peak_rss_bytes(),
            "run_dir": "",
            **measured,
        }
    )


def check_device(name: str) -> None:
    """Raises UsageError, naming it, if PyTorch cannot compute on a device."""
    try:
        torch.ones(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"device {name!r} cannot be used ({reason}); cpu always can") from error


def _check_enough(labels: Tensor, part: str) -> None:
    """Raises UsageError, saying how many are needed, if images of these labels (N,) give no pairs of both kinds."""
    sizes = labels.unique(return_counts=True)[1].tolist()
    if len(sizes) < 2 or max(sizes) < 2:
        raise UsageError(
            f"too few {part} images: {len(sizes)} {'class' if len(sizes) == 1 else 'classes'} with at most "
            f"{max(sizes, default=0)} of each; at least 2 classes are needed, and 2 images of a class"
        )


def _check_validation(dataset: SplitDataset, share: float) -> None:
    """Raises UsageError, saying how many are needed, if a share of the training images gives no pairs to fit on."""
    kept = dataset.validation
    sizes = [] if kept is None else kept.labels.unique(return_counts=True)[1].tolist()
    if len(sizes) < 2 or max(sizes) < 2:
        needed = next(count for count in itertools.count(2) if round(share * count) >= 2)
        raise UsageError(
            f"validation={share:g} keeps at most {max(sizes, default=0)} images of each of {len(sizes)} classes, and 2 "
            f"of 2 or more are needed; give {needed} or more training images of every class, or set validation to more"
        )


def _check_parts(labels: Tensor, folds: int) -> None:
    """Raises UsageError, saying how many are needed, if a part of images of these labels gives no pairs to fit on."""
    fold_of = folds_by_label(labels, folds)
    sizes = [labels[fold_of == fold].unique(return_counts=True)[1].tolist() for fold in range(folds)]
    if any(len(each) < 2 or max(each) < 2 for each in sizes):
        raise UsageError(
            f"cross_fitting={folds} makes parts of the training images of which one has no two of a class, or no "
            f"two classes; give {2 * folds} or more training images of every class, or set cross_fitting to less"
        )


def _with_own_images(dataset: SplitDataset, settings: Settings) -> SplitDataset:
    """The data set with training images of the run's own, drawn with replacement, if `vary` says so."""
    if "images" not in settings.vary:
        return dataset
    count = len(dataset.train.labels)
    rows = torch.randint(count, (count,), generator=stream(settings.seed, Purpose.OWN_TRAIN_IMAGES))
    return dataclasses.replace(dataset, train=dataset.train.select(rows))


def _draw(dataset: SplitDataset, settings: Settings) -> tuple[Pairs, Pairs]:
    """The training pairs, common to all runs unless `vary` says otherwise, and the common test pairs."""
    protocol = settings.protocol
    fraction = protocol.same_fraction
    own = "pairs" in settings.vary
    train_stream = (
        stream(settings.seed, Purpose.OWN_TRAIN_PAIRS) if own else stream(protocol.pair_seed, Purpose.TRAIN_PAIRS)
    )
    labels = dataset.train.labels
    count = min(protocol.train_pairs, largest_count(labels, fraction))
    train_set = draw_pairs(labels, count, same_fraction=fraction, generator=train_stream)
    return train_set, draw_test_pairs(dataset.test.labels, protocol)


def draw_test_pairs(labels: Tensor, protocol: TrainingProtocol) -> Pairs:
    """The test pairs of images with these labels (N,); the same ones for every run of a protocol.

    Raises:
        UsageError: if they are not of both kinds.
    """
    fraction, test_stream = protocol.same_fraction, stream(protocol.pair_seed, Purpose.TEST_PAIRS)
    if protocol.test_protocol == "disjoint":
        possible = largest_disjoint_count(labels, fraction)
        count = min(protocol.test_pairs or possible, possible)
        test_set = draw_disjoint_pairs(labels, count, same_fraction=fraction, generator=test_stream)
    else:
        count = min(protocol.test_pairs or TEST_PAIRS, largest_count(labels, fraction))
        test_set = draw_pairs(labels, count, same_fraction=fraction, generator=test_stream)
    check_both_kinds(test_set, "test_pairs", count)
    return test_set


def _supervision(model: Design, settings: Settings) -> Supervision:
    offered = model.supervisions
    wanted = settings.protocol.supervision or offered[0]
    if wanted not in offered:
        parts = settings.parts
        what = f"{parts.loss or parts.head}{f' with miner {parts.miner}' if parts.miner else ''}"
        raise UsageError(f"{what!r} cannot train on {wanted}; it trains on {' or '.join(offered)}")
    return wanted
