"""The report's claims, in its order, each with what becomes of it."""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from siamese_mnist.audit.course import fall, noise, quarter
from siamese_mnist.audit.evidence import Evidence
from siamese_mnist.audit.finding import (
    Finding,
    Judge,
    Measured,
    equality,
    exact,
    figure,
    over_seeds,
    tendency,
    untestable,
)
from siamese_mnist.audit.overlap import ink_overlap
from siamese_mnist.audit.printed import printed_sampler
from siamese_mnist.evaluation.verdicts import SIGNIFICANCE
from siamese_mnist.parts.heads import HEADS, pretraining_head
from siamese_mnist.runs.provenance import count_parameters
from siamese_mnist.runs.store import RunResult, read_history

Claims = Iterator[Finding | Judge]


def findings(evidence: Evidence) -> list[Finding]:
    """Judges every claim, in the order of the report.

    All tested claims are one family (Bonferroni): their intervals hold at once in at least 95 % of audits, and the
    chance that any of them is judged wrongly to one side is at most 5 %.
    """
    parts: tuple[Callable[[Evidence], Claims], ...] = (_model, _data, _result, _curve, _phase_one, _discussion)
    claims = [claim for part in parts for claim in part(evidence)]
    tested = sum(not isinstance(claim, Finding) for claim in claims)
    confidence = 1 - SIGNIFICANCE / tested
    return [claim if isinstance(claim, Finding) else claim(confidence) for claim in claims]


def _model(evidence: Evidence) -> Claims:
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


def _data(evidence: Evidence) -> Claims:
    train, test = (split.labels.tolist() for split in (evidence.dataset.train, evidence.dataset.test))
    drawn = [printed_sampler(test, min(10_000, len(test) ** 2 // 50), seed) for seed in range(5)]
    yield equality(
        "3.1",
        "Half of the pairs show the same digit.",
        "share of *same* that the printed loop draws from the test images, less one half (it turns its coin also when "
        "it drops a pair that it had; pairs here are exactly half and half)",
        [each.same_fraction - 0.5 for each in drawn],
        margin=0.001,
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


def _result(evidence: Evidence) -> Claims:
    each, section = evidence.each, "3.2.1"
    others = (
        f"{name} {fmean(each(lambda run, name=name: (run.test.same[name] + run.test.different[name]) / 2)):.3f}"  # type: ignore[misc]
        for name in ("precision", "recall", "f1")
    )
    yield figure(
        section,
        "Accuracy is 0.89, and so are precision, recall and F1.",
        0.89,
        each(lambda run: run.test.accuracy),
        f"; with half of the pairs genuine they are one fact: {', '.join(others)}; with pixels in 0..255 the mean "
        f"accuracy is {fmean(each(lambda run: run.test.accuracy, 'bytes')):.3f}",
    )
    yield figure("4", "The recall of *same* has reached 0.91.", 0.91, each(_recall_of_same))
    yield equality(
        section,
        "F1 is equal for both answers.",
        "F1 of *same* less F1 of *different*",
        each(lambda run: run.test.same.f1 - run.test.different.f1),
        margin=0.01,
    )
    precision = each(lambda run: run.test.different.precision - run.test.same.precision)
    yield tendency(
        section,
        "*Same* has the higher recall and the lower precision.",
        "recall of *same* less that of *different*",
        over_seeds(each(lambda run: run.test.same.recall - run.test.different.recall)),
        f"; precision of *different* less that of *same*: {fmean(precision):+.4f}; the report concludes that the model "
        "tends to answer *different*, but both would mean that it tends to answer *same*",
    )
    yield tendency(
        section,
        "Phase 2 makes use of what phase 1 has learned.",
        "accuracy with phase 1 less without it",
        evidence.gain("report", over="no phase 1"),
    )
    yield untestable(
        "3.2", "A confusion matrix shows the impact of the data.", "it is announced, but the report has none"
    )


def _curve(evidence: Evidence) -> Claims:
    section = "3.2.2"
    last = [float(quarter(curve["validation_accuracy"], 3).mean()) for curve in evidence.curves]
    yield tendency(
        section,
        "Accuracy is unable to stabilise above 0.85.",
        "0.85 less the accuracy of the batches of test pairs in the last quarter",
        over_seeds([0.85 - each for each in last]),
        f"; that accuracy is {fmean(last):.3f}, and the final accuracy of the report itself is 0.89",
    )
    yield tendency(
        section,
        "The loss falls more slowly in the later stages.",
        "fall of the training loss over the first half less over the second half",
        over_seeds([fall(curve["loss"], 0, 2) - fall(curve["loss"], 2, 4) for curve in evidence.curves]),
    )
    spread = fmean(noise(curve["validation_accuracy"], 3) for curve in evidence.curves)
    chance = fmean(math.sqrt(rate * (1 - rate) / 64) for rate in last)
    for column, note in (
        ("loss", ""),
        ("accuracy", f"; it is {spread:.3f} there, and chance alone gives {chance:.3f} with 64 pairs"),
    ):
        growth = [
            fmean(noise(curve[name], 3) - noise(curve[name], 1) for name in (column, f"validation_{column}"))
            for curve in evidence.curves
        ]
        yield tendency(
            section,
            f"The fluctuations of the {column} grow in the later stages.",
            "standard deviation between batches in the last quarter less in the second",
            over_seeds(growth),
            note,
        )


def _phase_one(evidence: Evidence) -> Claims:
    estimated = [each.estimated for each in evidence.phase_one]
    moving = [each.moving for each in evidence.phase_one]
    yield figure("4", "Phase 1 reaches about 0.93 on ten classes.", 0.93, evidence.each(_after_phase_1))
    yield _association(evidence)
    yield figure(
        "4",
        "Phase 1, batch norm's statistics taken anew from all training images, against the report's 0.93.",
        0.93,
        estimated,
        in_report=False,
    )
    yield tendency(
        "4",
        "Phase 1 is weak and erratic because batch norm's statistics lag behind.",
        "accuracy with statistics of all training images less with the moving ones that training left",
        over_seeds([fresh - lagging for fresh, lagging in zip(estimated, moving, strict=True)]),
        f"; {fmean(estimated):.3f} against {fmean(moving):.3f}, seeds {_span(estimated)} against {_span(moving)}",
        in_report=False,
    )


def _association(evidence: Evidence) -> Finding | Judge:
    """Whether seeds with a better phase 1 find more of the same pairs."""
    from scipy.stats import pearsonr

    claim = "The accuracy of phase 1 limits the recall of *same*."
    columns = [evidence.each(pick) for pick in (_after_phase_1, _recall_of_same)]
    if len(columns[0]) < 4:
        return untestable("4", claim, "a correlation over seeds needs at least four of them")
    found = pearsonr(*columns)

    def measure(confidence: float) -> Measured:
        return Measured(float(found.statistic), *map(float, found.confidence_interval(confidence)))

    return tendency("4", claim, "correlation of the two over seeds", measure)


def _discussion(evidence: Evidence) -> Claims:
    for section, claim, what, measure in (
        (
            "3.2",
            "More residual blocks help: two against one.",
            "accuracy with two less with one",
            evidence.gain("report", over="one block"),
        ),
        (
            "3.2",
            "More residual blocks help: three against two.",
            "accuracy with three less with two",
            evidence.gain("three blocks"),
        ),
        (
            "4",
            "The extractor should be trained in phase 2 too, with a step size and an update frequency of its own.",
            "accuracy with the backbone trained (step size 1e-4, the head's is 1e-3, at every second update) less with "
            "it frozen",
            evidence.gain("trained backbone"),
        ),
    ):
        yield tendency(section, claim, what, measure)
    overfitting = zip(evidence.each(_overfitting, "three blocks"), evidence.each(_overfitting), strict=True)
    yield tendency(
        "4",
        "A deeper model is prone to overfitting.",
        "training less test accuracy, with three blocks less with two",
        over_seeds([deep - plain for deep, plain in overfitting]),
    )
    yield _overlap(evidence)
    seconds = evidence.each(lambda run: run.phase1.train_seconds + run.phase2.train_seconds)
    yield exact(
        "3.1", "A single CPU is enough for all experiments.", True, f"{fmean(seconds):.0f} s of training on one core"
    )
    yield untestable(
        "3.2.1", "The bars of Figure 3 and the curves of Figure 4.", "the report came without its pictures"
    )


def _overlap(evidence: Evidence) -> Judge:
    """Whether the ink of two images of one digit overlaps more than that of two digits."""
    test = evidence.dataset.test
    found = ink_overlap(test, 0.95)

    def measure(confidence: float) -> Measured:
        return Measured(found.same - found.different, *ink_overlap(test, confidence)[2:])

    return tendency(
        "4",
        "Images of the same number overlap highly.",
        "ink in common over ink of either (threshold 127), of same less of different pairs",
        measure,
        f"; {found.same:.3f} against {found.different:.3f}, which is not high",
    )


def _after_phase_1(run: RunResult) -> float:
    assert run.phase1.accuracy is not None, "the report has a phase 1"
    return run.phase1.accuracy


def _recall_of_same(run: RunResult) -> float:
    return run.test.same.recall


def _overfitting(run: RunResult) -> float:
    return float(quarter(read_history(run.run_dir)["accuracy"], 3).mean()) - float(run.test.accuracy)


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f}"
