"""From saved runs to their pictures, each with a title, how to read it, and its content in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import from_numpy

from siamese_mnist.data import load_dataset, split_dataset
from siamese_mnist.evaluation import Decision, cllr, equal_error_rate, min_cllr, roc_auc
from siamese_mnist.inference.explanation import Explanation, occlusion
from siamese_mnist.inference.verifier import load
from siamese_mnist.parts.heads.agreement import AgreementHead
from siamese_mnist.runs.one_shot import drawn_kinds
from siamese_mnist.runs.store import RunError, RunResult, read_config, read_history, read_scores
from siamese_mnist.stress import Stress
from siamese_mnist.visualisation import figures

_MAPPED_IMAGES = 300
_EXPLAINED_PAIRS = 6
_SHORT_NAME = 6  # characters
_SHOWN_EPISODES = 4
_READ_IMAGES, _READ_CLASSES = 10, 10


class Picture(NamedTuple):
    """A figure and the words that go with it."""

    name: str  # for a file or an address within a page
    title: str
    caption: str  # how to read it
    alternative: str  # what it shows, for those who do not see it
    figure: figures.Figure


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run with its scored test pairs, their images and the course of its training."""

    name: str  # of its entry, see `entries.entry_names`
    run: RunResult
    left: NDArray[np.int64]  # (P,) row of the test images
    right: NDArray[np.int64]
    same: NDArray[np.bool_]  # (P,)
    scores: NDArray[np.float64]  # (P,) higher = more alike
    images: NDArray[np.uint8]  # (N, C, H, W)
    labels: NDArray[np.int64]  # (N,)
    groups: NDArray[np.int64] | None  # (N,) who wrote them
    classes: tuple[str, ...]
    trained_classes: tuple[str, ...]
    history: Mapping[str, NDArray[np.float64]]  # columns of phase 2, (U,)

    @property
    def decision(self) -> Decision:
        """The run's threshold and calibration."""
        return self.run.decision

    @property
    def drawn_classes(self) -> list[str]:
        """Class names as Matplotlib takes them, to which two dollar signs are a formula."""
        return [_drawn(name) for name in self.classes]


def read_finished(run: RunResult, data_dir: str | Path | None = None, name: str | None = None) -> Finished:
    """Reads what a run left behind, and the test images it was measured on.

    Args:
        run: a complete run.
        data_dir: folder of the data set's files.
        name: what to call the run, its variant by default.

    Raises:
        RunError: if a file of the run is missing or damaged.
        UsageError: if its data set is not to be had.
    """
    columns = read_scores(run.run_dir)
    options = run.config.get("dataset_options") or {}
    dataset = split_dataset(load_dataset(run.dataset, data_dir, **options), run.split.name, run.split.fold)
    images, labels, groups = dataset.test
    left, right = columns["left"].astype(np.int64), columns["right"].astype(np.int64)
    if max(left.max(), right.max()) >= len(labels):
        raise RunError(f"{run.run_dir} is damaged (rows outside the {len(labels)} test images); train the run again")
    return Finished(
        name=name or run.variant,
        run=run,
        left=left,
        right=right,
        same=columns["same"],
        scores=columns["score"].astype(np.float64),
        images=images.numpy(),
        labels=labels.numpy(),
        groups=None if groups is None else groups.numpy(),
        classes=dataset.test_classes,
        trained_classes=tuple(read_config(run.run_dir)["classes"]),
        history=read_history(run.run_dir),
    )


def joint_pictures(finished: Sequence[Finished]) -> Iterator[Picture]:
    """Pictures that show all runs together, entries told apart."""
    scored: dict[str, list[tuple[Any, Any]]] = {}
    for each in finished:
        scored.setdefault(each.name, []).append((each.scores, each.same))
    areas = _listed({name: np.mean([roc_auc(*run) for run in runs]) for name, runs in scored.items()})
    rates = _listed({name: np.mean([equal_error_rate(*run) for run in runs]) for name, runs in scored.items()})
    several = " Bold: the first run of each name; thin: its others." if len(finished) > len(scored) else ""
    yield Picture(
        "roc",
        "ROC",
        "Same pairs accepted (true match rate) over different pairs accepted (false match rate), as the threshold "
        f"falls. Nearer to the upper left corner is better; the diagonal is chance.{several}",
        f"ROC curves; area under the curve: {areas}.",
        figures.roc_curves(scored),
    )
    yield Picture(
        "det",
        "Detection error tradeoff",
        "The two rates of error against each other, on axes that stretch small rates. Nearer to the lower left corner "
        f"is better; markers stand where both rates are equal.{several}",
        f"DET curves; equal error rate: {rates}.",
        figures.det_curves(scored),
    )


def run_pictures(finished: Finished) -> Iterator[Picture]:
    """Pictures of one run.

    Raises:
        RunError: if its figures or its model are damaged.
    """
    for draw in (
        _classes,
        _confusion,
        _learning,
        _scores,
        _calibration,
        _costs,
        _digits,
        _embeddings,
        _episodes,
        _identification,
        _readings,
        _hardest,
        _explained,
    ):
        if (picture := draw(finished)) is not None:
            yield picture


def _classes(finished: Finished) -> Picture:
    by_class = {"same": finished.run.test.same.as_dict(), "different": finished.run.test.different.as_dict()}
    return Picture(
        "classes",
        "Precision, recall and F1",
        "Precision: the share of a class's answers that is right. Recall: the share of its pairs that is found. F1: "
        "their harmonic mean.",
        "; ".join(f"{name}: {_listed(values)}" for name, values in by_class.items()) + ".",
        figures.class_figures(by_class["same"], by_class["different"]),
    )


def _confusion(finished: Finished) -> Picture:
    matrix = np.array(finished.run.test.confusion_matrix)
    return Picture(
        "confusion",
        "Confusion matrix",
        "Rows: what is true; columns: what was answered. Right answers are on the falling diagonal.",
        f"Of the different pairs {matrix[0, 0]} were answered different and {matrix[0, 1]} same; of the same pairs "
        f"{matrix[1, 0]} different and {matrix[1, 1]} same.",
        figures.confusion(matrix),
    )


def _learning(finished: Finished) -> Picture | None:
    updates = len(finished.history["loss"])
    if not updates:
        return None
    last = np.nanmean(finished.history["accuracy"][-100:])
    return Picture(
        "learning",
        "Loss and accuracy at every update",
        "Phase 2: the batch trained on, and one random batch of test pairs after each update. Strong lines are "
        "smoothed over 2 % of the updates, the raw values are behind.",
        f"Curves over {updates} updates; mean training accuracy of the last hundred: {last:.4f}.",
        figures.learning_curves(finished.history),
    )


def _scores(finished: Finished) -> Picture:
    same, threshold = finished.same, finished.decision.threshold
    return Picture(
        "scores",
        "Scores of same and different pairs",
        "The less the two hills overlap, the better; pairs right of the threshold are answered same.",
        f"Mean score of same pairs {finished.scores[same].mean():.3g}, of different pairs "
        f"{finished.scores[~same].mean():.3g}; threshold {threshold:.3g}.",
        figures.score_histograms(finished.scores, same, threshold),
    )


def _calibration(finished: Finished) -> Picture:
    probability = finished.decision.probability(finished.scores)
    return Picture(
        "calibration",
        "Calibration",
        "Where a probability of 0.8 is stated, 80 % of the pairs should be same: points on the diagonal. Below it, the "
        "stated probability is too high. Bars: 95 % intervals that know which pairs share images. The lower panel "
        "counts the pairs.",
        f"Expected calibration error {finished.run.test.expected_calibration_error:.4f}.",
        figures.calibration(probability, finished.same, finished.left, finished.right),
    )


def _costs(finished: Finished) -> Picture:
    ratio = finished.decision.log_likelihood_ratio(finished.scores)
    stated, least = cllr(ratio, finished.same), min_cllr(finished.scores, finished.same)
    return Picture(
        "costs",
        "What errors cost, by the share of same pairs",
        "Cost of the answers that the stated probabilities ask for at each prior, and of the best threshold for it. 1 "
        "is the cost of one answer for all; the gap between the lines is what calibration loses.",
        f"Bayes cost over priors; Cllr {stated:.4f} bits, at the best calibration {least:.4f}.",
        figures.bayes_costs(ratio, finished.same),
    )


def _digits(finished: Finished) -> Picture:
    correct = finished.decision.predict(finished.scores) == finished.same
    left, right = finished.labels[finished.left], finished.labels[finished.right]
    return Picture(
        "digits",
        "Errors digit by digit",
        "Each cell is a pair of classes, in either order; the diagonal holds the same pairs. Darker (on dark ground: "
        "brighter) blue: more errors.",
        _most_confused(correct, left, right, finished.classes),
        figures.digit_errors(correct, left, right, finished.drawn_classes),
    )


def _embeddings(finished: Finished) -> Picture | None:
    verifier = load(finished.run.run_dir)
    if not verifier.model.embeds:
        return None
    shown = slice(_MAPPED_IMAGES)
    embeddings = verifier.embed(finished.images[shown])
    return Picture(
        "embeddings",
        "Map of embeddings",
        "Each character is a test image of that class, where its embedding lies in the plane of largest variance "
        "(principal components). Classes that overlap here may still be apart in the other dimensions.",
        f"Scatter of {len(embeddings)} test images in two of {embeddings.shape[1]} dimensions.",
        figures.embedding_map(embeddings, finished.labels[shown], finished.drawn_classes),
    )


def _episodes(finished: Finished) -> Picture | None:
    """One-shot episodes as they are measured, where the test classes are new."""
    if not finished.run.one_shot:
        return None
    kind, drawn = next(drawn_kinds(finished.labels, finished.groups, finished.classes, _SHOWN_EPISODES))
    verifier, rng = load(finished.run.run_dir), np.random.default_rng(0)
    shown = []
    for number in range(_SHOWN_EPISODES):
        own, order = number % kind.ways, rng.permutation(kind.ways)
        query, rows = finished.images[drawn.queries[number, [own]]], finished.images[drawn.examples[number, order, 0]]
        answer = int(verifier.score_matrix(query, rows).argmax())
        shown.append(figures.Episode(query[0], rows, own=int(np.flatnonzero(order == own)[0]), answer=answer))
    right = sum(each.answer == each.own for each in shown)
    return Picture(
        "episodes",
        "One-shot episodes",
        f"An image is named by the most alike of {kind.ways} examples, one of each class that was never seen"
        f"{', all by another writer' if kind.writer == 'other' else ''}.",
        f"{len(shown)} images, each with {kind.ways} examples; {right} named right.",
        figures.episodes(shown),
    )


def _identification(finished: Finished) -> Picture | None:
    """Cumulative match characteristic and open-set rates, where the test classes are new."""
    found = finished.run.identification
    if found is None:
        return None
    rates = "; ".join(
        f"at a false positive identification rate of {each.limit:g}, {each.detection:.3f} "
        f"({each.detection_interval[0]:.3f} to {each.detection_interval[1]:.3f})"
        for each in found.open_set
    )
    return Picture(
        "identification",
        "Identification",
        f"How often the own name is among the first k of {found.names}, each enrolled with one example (cumulative "
        f"match characteristic). With {found.open_set[0].names} of these names enrolled and the others strangers, the "
        f"share of images of the enrolled that are detected and named: {rates}.",
        f"CMC of {found.names} names; rank 1 {found.cmc[0]:.4f}.",
        figures.match_characteristic(found.cmc),
    )


def _readings(finished: Finished) -> Picture | None:
    """What a model that classifies takes unknown classes for."""
    verifier = load(finished.run.run_dir)
    head = verifier.model.head
    if finished.run.split.test_classes is None or not isinstance(head, AgreementHead):
        return None
    each = max(1, _READ_IMAGES // len(finished.classes))
    rows = np.concatenate([np.flatnonzero(finished.labels == label)[:each] for label in range(len(finished.classes))])
    rows = np.sort(rows[:_READ_IMAGES])
    rows = rows[np.argsort(finished.labels[rows], kind="stable")]
    read = head.log_probabilities(from_numpy(verifier.embed(finished.images[rows])).float()).exp().detach().numpy()
    columns = np.sort(np.argsort(-read.sum(axis=0), kind="stable")[:_READ_CLASSES])
    return Picture(
        "readings",
        "Unknown classes, read as known ones",
        "A model that first classifies can see an unknown character only as a mixture of those that it knows: two "
        "images are the same to it as far as their rows agree.",
        f"Probabilities of {len(columns)} known classes for {len(rows)} images of unknown ones.",
        figures.readings(
            finished.images[rows],
            [_short(finished.drawn_classes[label]) for label in finished.labels[rows]],
            read[:, columns],
            [_short(_drawn(finished.trained_classes[column])) for column in columns],
        ),
    )


def _hardest(finished: Finished) -> Picture:
    names, probability = (
        [_short(name) for name in finished.drawn_classes],
        finished.decision.probability(finished.scores),
    )
    pairs = zip(finished.labels[finished.left], finished.labels[finished.right], probability, strict=True)
    return Picture(
        "hardest",
        "Hardest pairs",
        "The same pairs of lowest and the different pairs of highest score, with the probability of same that was "
        "given to them.",
        "Pairs of images that mislead this run most.",
        figures.hardest_pairs(
            finished.images,
            finished.left,
            finished.right,
            same=finished.same,
            scores=finished.scores,
            captions=[f"{names[one]}, {names[other]}: p {value:.3f}" for one, other, value in pairs],
        ),
    )


def _drawn(name: str) -> str:
    return name.replace("$", r"\$")


def _short(name: str) -> str:
    """A class name that fits below a small image."""
    return name if len(name) <= _SHORT_NAME else f"{name[: _SHORT_NAME - 1]}…"


def _explained(finished: Finished) -> Picture | None:
    """The wrong answers that were surest, explained; None where all answers are right."""
    sureness = np.abs(finished.decision.probability(finished.scores) - 0.5)
    wrong = np.flatnonzero(finished.decision.predict(finished.scores) != finished.same)
    rows = wrong[np.argsort(-sureness[wrong], kind="stable")][:_EXPLAINED_PAIRS]
    if not rows.size:
        return None
    verifier, names = load(finished.run.run_dir), finished.drawn_classes
    pairs = [(finished.images[finished.left[row]], finished.images[finished.right[row]]) for row in rows]
    labels = [(finished.labels[finished.left[row]], finished.labels[finished.right[row]]) for row in rows]
    said = ["same" if each else "different" for each in finished.decision.predict(finished.scores[rows])]
    return Picture(
        "explained",
        "Why it was wrong",
        "The wrong answers that were surest. Blue: what is seen there speaks for same; red: for different. A place's "
        "value is how much the score falls where a patch around it is blanked (occlusion); each pair has its own "
        "scale.",
        f"Occlusion maps of {len(rows)} pairs that were answered wrong.",
        figures.explained_pairs(
            pairs,
            [occlusion(verifier, np.stack(pair)) for pair in pairs],
            [f"{names[one]}, {names[other]}: {text}" for (one, other), text in zip(labels, said, strict=True)],
        ),
    )


def explanation_picture(explanation: Explanation) -> figures.Figure:
    """The picture of one explained answer."""
    first = next(iter(explanation.deletion.values()))
    said = "same" if explanation.same else "different"
    return figures.explanation(
        explanation.left,
        explanation.right,
        explanation.maps,
        shares=first.shares,
        marked={f"{name}, marked places": each.marked for name, each in explanation.deletion.items()},
        random={"random places": first.random, "random inked places": first.random_ink},
        answer=f"{said}, probability of same {explanation.probability:.3f}",
    )


def stress_picture(found: Stress) -> figures.Figure:
    """Accuracy against severity, as the run decides and with a threshold fitted anew."""
    decided, anew = _by_severity(found, "accuracy"), _by_severity(found, "recalibrated")
    return figures.severities(
        {name: {"as the run decides": decided[name], "threshold fitted anew": anew[name]} for name in decided}
    )


def stress_side_by_side(found: Mapping[str, Stress]) -> figures.Figure:
    """Accuracy of several runs against severity, as each decides.

    Args:
        found: by title, one or more of the same data set.
    """
    curves = {title: _by_severity(each, "accuracy") for title, each in found.items()}
    names = dict.fromkeys(name for each in curves.values() for name in each)
    return figures.severities(
        {name: {title: each[name] for title, each in curves.items() if name in each} for name in names}
    )


def _by_severity(found: Stress, field: str) -> dict[str, list[float]]:
    """By corruption, a figure of the clean images and of every severity."""
    clean, *graded = [each for each in found.trials if each.kind != "data set"]
    return {
        name: [getattr(each, field) for each in [clean, *graded] if each is clean or each.name == name]
        for name in dict.fromkeys(each.name for each in graded)
    }


def _most_confused(
    correct: NDArray[np.bool_], left: NDArray[np.int64], right: NDArray[np.int64], names: Sequence[str]
) -> str:
    if correct.all():
        return "No wrong answer."
    index = np.minimum(left, right) * len(names) + np.maximum(left, right)
    worst = int(np.argmax(np.bincount(index[~correct])))
    one, other = divmod(worst, len(names))
    wrong, pairs = np.count_nonzero(~correct[index == worst]), np.count_nonzero(index == worst)
    return f"Most wrong answers: {wrong} of the {pairs} pairs of {names[one]} and {names[other]}."


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
