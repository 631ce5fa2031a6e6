"""The report's claims, in its order, each with what becomes of it."""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from siamese_mnist.audit.evidence import Evidence
from siamese_mnist.audit.finding import Finding, direction, exact, figure, judged, untestable
from siamese_mnist.audit.printed import printed_sampler
from siamese_mnist.evaluation.intervals import seed_interval
from siamese_mnist.parts.heads import HEADS, pretraining_head
from siamese_mnist.runs.provenance import count_parameters
from siamese_mnist.runs.store import RunResult, read_history

_SMOOTHED = 0.02  # share of the updates
_OVERLAP_PAIRS = 10_000


def findings(evidence: Evidence) -> list[Finding]:
    """Judges every claim, in the order of the report."""
    parts: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (_model, _data, _result, _curve, _discussion)
    return [each for part in parts for each in part(evidence)]


def _model(evidence: Evidence) -> Iterator[Finding]:
    run, deep = evidence.runs["report"][0], evidence.runs["three blocks"][0]
    features, classes = 1536, len(evidence.dataset.classes)
    head = HEADS["classifier"](features)
    for what, said, found in (
        ("The feature extractor", 3226, run.parameters.backbone),
        ("The 10-class head", 99_018, count_parameters(pretraining_head(features, classes))),
        ("The 2-class head", 401_762, count_parameters(head)),
    ):
        yield exact(
            "Table 1", f"{what} has {said:,} parameters.", found == said, f"{found:,}, moving statistics counted"
        )
    yield exact(
        "3.1",
        "Three residual blocks are stacked.",
        deep.parameters.backbone == 3226,
        f"three have {deep.parameters.backbone:,} parameters, two have {run.parameters.backbone:,} as in Table 1",
    )


def _data(evidence: Evidence) -> Iterator[Finding]:
    train, test = (split.labels.tolist() for split in (evidence.dataset.train, evidence.dataset.test))
    drawn = [printed_sampler(test, min(10_000, len(test) ** 2 // 50), seed) for seed in range(5)]
    shares = [each.same_fraction for each in drawn]
    low, high = seed_interval(shares)
    yield Finding(
        section="3.1",
        claim="Half of the pairs show the same digit.",
        verdict="reproduced" if low <= 0.5 <= high else "not reproduced",
        measured=f"the printed loop gives {fmean(shares):.4f} [{low:.4f}, {high:.4f}] on the test images: it turns its "
        "coin also when it drops a pair that it had; pairs here are exactly half and half",
        published=0.5,
        value=fmean(shares),
        interval=(low, high),
    )
    yield exact(
        "App. B",
        f"Rows 0 to {len(train):,} are drawn from a slice of {len(train):,} images.",
        False,
        f"row {len(train):,} is not there: the printed program stops at it"
        f"{', as in every one of 5 trials' if all(each.reads_past_the_end for each in drawn) else ''}",
    )
    yield untestable(
        "3.1",
        "[0, 1] stands for different numbers.",
        "the program of Appendix B writes [0, 1] for the same number; here class 1 is the same, everywhere",
    )
    yield untestable(
        "2", "Phase 1 trains on the original MNIST data set.", "of its 60,000 images only the first 6,000 are built in"
    )


def _result(evidence: Evidence) -> Iterator[Finding]:
    each = evidence.each
    section = "3.2.1"
    yield figure(
        section,
        "Accuracy is 0.89.",
        0.89,
        each(lambda run: run.test.accuracy),
        f"; with pixels in 0..255 the mean is {fmean(each(lambda run: run.test.accuracy, 'bytes')):.3f}",
    )
    for name, word in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1")):
        values = each(lambda run, name=name: (run.test.same[name] + run.test.different[name]) / 2)  # type: ignore[misc]
        yield figure(section, f"{word}, averaged over both answers, is 0.89.", 0.89, values)
    yield figure("4", "The recall of *same* has reached 0.91.", 0.91, each(lambda run: run.test.same.recall))
    gaps = each(lambda run: run.test.same.f1 - run.test.different.f1)
    low, high = seed_interval(gaps)
    yield Finding(
        section=section,
        claim="F1 is equal for both answers.",
        verdict="reproduced" if max(abs(low), abs(high)) < 0.01 else "not reproduced",
        measured=f"F1 of *same* less F1 of *different*: {fmean(gaps):+.4f} [{low:+.4f}, {high:+.4f}]; "
        "reproduced means within 0.01",
        value=fmean(gaps),
        interval=(low, high),
    )
    yield direction(
        section,
        "The precision of *same* is lower than that of *different*.",
        "precision of *different* less that of *same*",
        each(lambda run: run.test.different.precision - run.test.same.precision),
    )
    yield direction(
        section,
        "The recall of *same* is higher than that of *different*.",
        "recall of *same* less that of *different*",
        each(lambda run: run.test.same.recall - run.test.different.recall),
    )
    yield direction(
        section,
        "The model tends to answer *different*.",
        "share of answers *different* less one half",
        each(_share_different),
        "; lower precision and higher recall of *same*, the two claims above, would be the opposite tendency",
    )
    row = evidence.rows["no phase 1"]
    low, high = row["difference_interval"]
    yield judged(
        section,
        "Phase 2 makes use of what phase 1 has learned.",
        "accuracy with phase 1 less without it",
        -row["difference"],
        (-high, -low),
    )
    yield untestable(
        "3.2", "A confusion matrix shows the impact of the data.", "it is announced, but the report has none"
    )


def _share_different(run: RunResult) -> float:
    matrix = np.array(run.test.confusion_matrix)
    return float(matrix[:, 0].sum() / matrix.sum()) - 0.5


def _curve(evidence: Evidence) -> Iterator[Finding]:
    section = "3.2.2"
    last = [_quarter(curve["validation_accuracy"], 3).mean() for curve in evidence.curves]
    reached = f"accuracy of the batches of test pairs in the last quarter: {fmean(last):.3f}"
    yield judged(
        section,
        "Accuracy is unable to stabilise above 0.85.",
        "0.85 less the accuracy of the batches of test pairs in the last quarter",
        0.85 - fmean(last),
        _turned(0.85, seed_interval(last)),
        f"; {reached}, and the final accuracy of the report itself is 0.89",
    )
    yield direction(
        section,
        "The loss falls more slowly in the later stages.",
        "fall of the training loss over the first half less over the second half",
        [_fall(curve["loss"], 0, 2) - _fall(curve["loss"], 2, 4) for curve in evidence.curves],
    )
    for column, what in (("loss", "loss"), ("accuracy", "accuracy")):
        growth = [
            fmean(_noise(curve[name], 3) - _noise(curve[name], 1) for name in (column, f"validation_{column}"))
            for curve in evidence.curves
        ]
        spread = fmean(_noise(curve["validation_accuracy"], 3) for curve in evidence.curves)
        chance = fmean(math.sqrt(rate * (1 - rate) / 64) for rate in last)
        yield direction(
            section,
            f"The fluctuations of the {what} grow in the later stages.",
            "standard deviation between batches in the last quarter less in the second",
            growth,
            f"; it is {spread:.3f} there, and chance alone gives {chance:.3f} with 64 pairs"
            if what == "accuracy"
            else "",
        )


def _discussion(evidence: Evidence) -> Iterator[Finding]:
    first = evidence.each(_after_phase_1)
    yield figure("4", "Phase 1 reaches about 0.93 on ten classes.", 0.93, first)
    yield figure(
        "4",
        "Phase 1 reaches about 0.93, batch norm's statistics taken anew from all training images.",
        0.93,
        [each.estimated for each in evidence.phase_one],
    )
    gain = [each.estimated - each.moving for each in evidence.phase_one]
    yield direction(
        "4",
        "A suspicion: phase 1 is weak and erratic because batch norm's statistics lag behind.",
        "accuracy with statistics of all training images less with the moving ones that training left",
        gain,
        f"; {fmean(each.estimated for each in evidence.phase_one):.3f} against "
        f"{fmean(each.moving for each in evidence.phase_one):.3f}, seeds "
        f"{_span([each.estimated for each in evidence.phase_one])} against "
        f"{_span([each.moving for each in evidence.phase_one])}",
    )
    yield _association(evidence)
    for claim, key, what, sign in (
        ("More residual blocks help: two against one.", "one block", "accuracy with two less with one", -1),
        ("More residual blocks help: three against two.", "three blocks", "accuracy with three less with two", 1),
        (
            "The extractor should be trained in phase 2 too, with a step size of its own.",
            "trained backbone",
            "accuracy with the backbone trained (step size 1e-3) less with it frozen",
            1,
        ),
    ):
        row = evidence.rows[key]
        low, high = sorted(sign * each for each in row["difference_interval"])
        section = "3.2" if "blocks" in claim else "4"
        yield judged(section, claim, what, sign * row["difference"], (low, high))
    yield direction(
        "4",
        "A deeper model is prone to overfitting.",
        "training less test accuracy, with three blocks less with two",
        [
            deep - plain
            for deep, plain in zip(
                evidence.each(_overfitting, "three blocks"), evidence.each(_overfitting), strict=True
            )
        ],
    )
    yield _overlap(evidence)
    seconds = evidence.each(lambda run: run.phase1.train_seconds + run.phase2.train_seconds)
    yield exact(
        "3.1", "A single CPU is enough for all experiments.", True, f"{fmean(seconds):.0f} s of training on one core"
    )
    yield untestable(
        "3.2.1", "The bars of Figure 3 and the curves of Figure 4.", "the report came without its pictures"
    )


def _association(evidence: Evidence) -> Finding:
    """Whether seeds with a better phase 1 find more of the same pairs."""
    from scipy.stats import pearsonr

    claim = "The accuracy of phase 1 limits the recall of *same*."
    columns = [evidence.each(pick) for pick in (_after_phase_1, _recall_of_same)]
    if len(columns[0]) < 4:
        return untestable("4", claim, "a correlation over seeds needs at least four of them")
    found = pearsonr(*columns)
    low, high = found.confidence_interval(0.95)
    return judged("4", claim, "correlation of the two over seeds", float(found.statistic), (float(low), float(high)))


def _overlap(evidence: Evidence) -> Finding:
    """Whether the ink of two images of one digit overlaps more than that of two digits; over images by bootstrap."""
    images, labels, _ = evidence.dataset.test
    ink = (images > 127).flatten(1).float()
    shared = ink @ ink.T
    area = ink.sum(1)
    overlap = shared / (area[:, None] + area[None] - shared).clamp(min=1)
    same = labels[:, None] == labels[None]
    apart = ~torch.eye(len(labels), dtype=torch.bool)
    by_image = [
        (overlap * mask).sum(1) / mask.sum(1).clamp(min=1) for mask in ((same & apart).float(), (~same).float())
    ]
    gap = (by_image[0] - by_image[1]).double().numpy()
    half = 1.96 * float(gap.std(ddof=1)) / math.sqrt(len(gap))
    return judged(
        "4",
        "Images of the same number overlap highly.",
        "ink in common over ink of either (threshold 127), of same less of different pairs",
        float(gap.mean()),
        (float(gap.mean()) - half, float(gap.mean()) + half),
        f"; {by_image[0].mean():.3f} against {by_image[1].mean():.3f}, which is not high",
    )


def _after_phase_1(run: RunResult) -> float:
    assert run.phase1.accuracy is not None, "the report has a phase 1"
    return run.phase1.accuracy


def _recall_of_same(run: RunResult) -> float:
    return run.test.same.recall


def _overfitting(run: RunResult) -> float:
    return float(_quarter(read_history(run.run_dir)["accuracy"], 3).mean()) - float(run.test.accuracy)


def _quarter(values: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    return np.array_split(values, 4)[number]


def _fall(values: NDArray[np.float64], start: int, stop: int) -> float:
    """Fall of the smoothed course from its quarter `start` to quarter `stop`."""
    width = max(1, round(len(values) * _SMOOTHED))
    smooth = np.convolve(values, np.ones(width) / width, "valid")
    places = [min(len(smooth) - 1, round(len(smooth) * each / 4)) for each in (start, stop)]
    return float(smooth[places[0]] - smooth[places[1]])


def _noise(values: NDArray[np.float64], quarter: int) -> float:
    """Standard deviation around a straight line within a quarter of the updates."""
    part = _quarter(values, quarter)
    updates = np.arange(len(part))
    return float(np.std(part - np.polyval(np.polyfit(updates, part, 1), updates), ddof=2))


def _turned(end: float, interval: tuple[float, float]) -> tuple[float, float]:
    return end - interval[1], end - interval[0]


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"
