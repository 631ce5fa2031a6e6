"""One table of a run under stress, and what a threshold fitted anew would recover."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from siamese_mnist.data import LabeledImages, load_dataset, split_dataset
from siamese_mnist.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from siamese_mnist.data.pairs import draw_pairs, largest_count, pairs_digest
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import fit_decision
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.inference.saved import settings_of
from siamese_mnist.inference.verifier import Verifier, load
from siamese_mnist.runs.bundle import is_bundle, read_bundle
from siamese_mnist.runs.experiment import draw_test_pairs
from siamese_mnist.runs.store import RunResult, read_config, read_scores
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.stress.others import other_images
from siamese_mnist.stress.slices import Slice, slices

IMAGES = 1000
PAIRS = 4000
_SEED = 0

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Accuracy under one condition, as the run decides and with a threshold fitted under that condition.

    Attributes:
        kind: "clean", "corruption" or "data set".
        name: of the corruption or the data set.
        severity: of a corruption, from 1; else 0.
        pairs: how many were evaluated, of images that the new threshold has not seen.
        accuracy: share of right answers, in [0, 1].
        interval: its 95 % interval over images.
        recalibrated: the same pairs, with a threshold fitted on pairs of other images under the same condition.
        recalibrated_interval: its 95 % interval.
    """

    kind: str
    name: str
    severity: int
    pairs: int
    accuracy: float
    interval: Interval
    recalibrated: float
    recalibrated_interval: Interval


@dataclass(frozen=True, kw_only=True)
class Stress:
    """What stress showed of a run.

    Attributes:
        run: its folder, or the bundle.
        variant: its variant.
        accuracy: of all its test pairs.
        interval: its 95 % interval.
        swapped_accuracy: with the two images of every test pair exchanged.
        swap_agreement: share of test pairs whose answer stays then.
        slices: of the test pairs, the surest worst first.
        trials: clean, corrupted and other images.
        skipped: data sets that are not at hand or do not fit, with the reason.
    """

    run: str
    variant: str
    accuracy: float
    interval: Interval
    swapped_accuracy: float
    swap_agreement: float
    slices: list[Slice]
    trials: list[Trial]
    skipped: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return dataclasses.asdict(self)


def stress(
    run: RunResult | str | Path,
    data_dir: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Stress:
    """Puts a run under stress.

    Args:
        run: a complete run, its folder or a bundle; of a bundle the test pairs are drawn and scored again.
        data_dir: folder of the data set's files.
        progress: called with what is done, how many conditions are done, and of how many.

    Raises:
        RunError: if the run is damaged.
        BundleError: if the bundle is.
        UsageError: if its data set is not to be had, or is another one than that of the bundle.
    """
    place = run.run_dir if isinstance(run, RunResult) else run
    verifier = load(place)
    bundle = read_bundle(place) if is_bundle(place) else None
    settings = settings_of(read_config(place) if bundle is None else bundle.config)
    whole = load_dataset(settings.dataset, data_dir, **settings.dataset_options)
    dataset = split_dataset(whole, settings.split, settings.fold or 0)
    data = dataset.test
    if bundle is None:
        columns = read_scores(place)
    else:
        columns = _scored_again(verifier, data, settings.protocol, bundle.metrics["test"]["pairs_digest"])
    left, right, same = (columns[name] for name in ("left", "right", "same"))
    answers = verifier.decision.predict(columns["score"])
    swapped = verifier.decision.predict(columns["swapped_score"])
    groups = None if data.groups is None else data.groups.numpy()
    clusters = (left, right) if groups is None else (groups[left], groups[right])
    others, skipped = other_images(verifier, settings.dataset, data_dir)
    return Stress(
        run=str(place),
        variant=settings.variant,
        accuracy=float((answers == same).mean()),
        interval=accuracy_interval(answers == same, *clusters),
        swapped_accuracy=float((swapped == same).mean()),
        swap_agreement=float((swapped == answers).mean()),
        slices=slices(
            answers == same, left, right, labels=data.labels.numpy(), classes=dataset.test_classes, groups=groups
        ),
        trials=list(_trials(verifier, data, others, progress)),
        skipped=skipped,
    )


def _scored_again(
    verifier: Verifier, data: LabeledImages, protocol: TrainingProtocol, digest: str
) -> dict[str, NDArray[Any]]:
    """The test pairs of a run with their scores, for a bundle, which keeps neither."""
    pairs = draw_test_pairs(data.labels, protocol)
    if pairs_digest(pairs) != digest:
        raise UsageError(
            "these test images are not those of the bundle: their pairs differ; name its data by --data-dir"
        )
    left, right = pairs.left.numpy(), pairs.right.numpy()
    return {
        "left": left,
        "right": right,
        "same": pairs.same.numpy(),
        "score": verifier.score_rows(data.images, left, right),
        "swapped_score": verifier.score_rows(data.images, right, left),
    }


def _trials(
    verifier: Verifier,
    data: LabeledImages,
    others: dict[str, LabeledImages],
    progress: Callable[[str, int, int], None],
) -> Iterator[Trial]:
    sample = _sample(data)
    graded = [(name, severity) for name in CORRUPTIONS for severity in range(1, SEVERITIES + 1)]
    total = 1 + len(graded) + len(others)
    progress("conditions", 0, total)
    yield _trial(verifier, sample, sample.images, kind="clean", name="clean", severity=0)
    for number, (name, severity) in enumerate(graded, start=1):
        progress("conditions", number, total)
        images = corrupt(name, sample.images, severity, torch.Generator().manual_seed(_SEED))
        yield _trial(verifier, sample, images, kind="corruption", name=name, severity=severity)
    for number, (name, other) in enumerate(others.items(), start=1 + len(graded)):
        progress("conditions", number, total)
        chosen = _sample(other)
        yield _trial(verifier, chosen, chosen.images, kind="data set", name=name, severity=0)
    progress("conditions", total, total)


def _sample(data: LabeledImages) -> LabeledImages:
    """At most 1,000 of the images, in random order."""
    return data.select(torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(_SEED))[:IMAGES])


def _trial(verifier: Verifier, data: LabeledImages, images: Tensor, *, kind: str, name: str, severity: int) -> Trial:
    """Evaluates pairs of one half of the images; the new threshold is fitted on pairs of the other half."""
    half = len(images) // 2
    fitted = _scored(verifier, images[:half], data.labels[:half])
    scores, same, left, right = _scored(verifier, images[half:], data.labels[half:])
    anew = fit_decision(fitted[0], fitted[1])
    by_decision = [each.predict(scores) == same for each in (verifier.decision, anew)]
    accuracies = [float(each.mean()) for each in by_decision]
    intervals = [accuracy_interval(each, left, right) for each in by_decision]
    return Trial(
        kind=kind,
        name=name,
        severity=severity,
        pairs=len(same),
        accuracy=accuracies[0],
        interval=intervals[0],
        recalibrated=accuracies[1],
        recalibrated_interval=intervals[1],
    )


def _scored(verifier: Verifier, images: Tensor, labels: Tensor) -> tuple[Any, Any, Any, Any]:
    """Scores, truth and rows of balanced pairs of different images."""
    most = largest_count(labels, 0.5, self_pairs=False, mirrored=False)
    if most < 4:
        raise UsageError(f"too few test images for pairs to be drawn: {len(labels)} in one half")
    pairs = draw_pairs(
        labels,
        min(PAIRS, most),
        generator=torch.Generator().manual_seed(_SEED),
        self_pairs=False,
        mirrored=False,
    )
    left, right = pairs.left.numpy(), pairs.right.numpy()
    return verifier.score_rows(images, left, right), pairs.same.numpy(), left, right
