"""Pictures: what the artists hold against values computed another way."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from scipy.ndimage import uniform_filter1d
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from siamese_mnist.evaluation import cost_curve
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.visualisation import figures
from siamese_mnist.visualisation.figures.curves import smoothed
from siamese_mnist.visualisation.figures.theme import GROUND, look

PAIRS, IMAGES, CLASSES = 400, 50, 10
NAMES = [str(digit) for digit in range(CLASSES)]


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def pairs(rng):
    """Pairs of random images whose scores tell something, with ties."""
    labels = rng.integers(0, CLASSES, IMAGES)
    left, right = rng.integers(0, IMAGES, (2, PAIRS))
    right[: PAIRS // 2] = left[: PAIRS // 2]
    same = labels[left] == labels[right]
    scores = np.round(rng.normal(size=PAIRS) + 1.5 * same, 1)
    return {"left": left, "right": right, "same": same, "scores": scores, "labels": labels}


def lines(figure, axes=0):
    return {line.get_label(): line for line in figure.axes[axes].lines}


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(owner):
    (found,) = owner.legends if hasattr(owner, "legends") else [owner.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def test_class_figures():
    same = {"precision": 0.9, "recall": 0.8, "f1": 0.847}
    different = {"precision": 0.7, "recall": 0.6, "f1": 0.5}
    figure = figures.class_figures(same, different)
    first, second = figure.axes[0].containers
    assert [bar.get_height() for bar in first] == [0.9, 0.8, 0.847]
    assert [bar.get_height() for bar in second] == [0.7, 0.6, 0.5]
    assert legend(figure) == ["same", "different"]
    assert first[0].get_hatch() != second[0].get_hatch(), "told apart without colour"
    assert texts(figure.axes[0]) == ["0.900", "0.800", "0.847", "0.700", "0.600", "0.500"]


def test_learning_curves(rng):
    history = {name: rng.random(1000) for name in ("loss", "accuracy", "validation_loss", "validation_accuracy")}
    figure = figures.learning_curves(history)
    for axes, quantity in enumerate(("loss", "accuracy")):
        shown = lines(figure, axes)
        np.testing.assert_array_equal(shown["_training, raw"].get_ydata(), history[quantity])
        np.testing.assert_array_equal(shown["_validation, raw"].get_ydata(), history[f"validation_{quantity}"])
        line = shown["training batch"]
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 1001, 5))
        np.testing.assert_allclose(line.get_ydata(), smoothed(history[quantity])[::5])
        assert line.get_linestyle() != shown["validation batch"].get_linestyle()
    assert legend(figure) == ["training batch", "validation batch"]


def test_learning_curves_without_validation(rng):
    missing = np.full(50, np.nan)
    history = {"loss": np.r_[np.inf, rng.random(49)], "accuracy": rng.random(50)}
    figure = figures.learning_curves(history | {"validation_loss": missing, "validation_accuracy": missing})
    assert legend(figure) == ["training batch"]
    figures.to_svg(figure)


def test_smoothing(rng):
    values = rng.random(1000)
    inner = slice(10, -10)
    np.testing.assert_allclose(smoothed(values)[inner], uniform_filter1d(values, 21)[inner])
    assert smoothed(values)[0] == pytest.approx(values[:11].mean())
    holes = values.copy()
    holes[500] = np.nan
    assert smoothed(holes)[500] == pytest.approx(np.nanmean(holes[490:511]))
    np.testing.assert_array_equal(smoothed([1.0, 2.0]), [1.0, 2.0])


def test_confusion(pairs):
    matrix = confusion_matrix(pairs["same"], pairs["scores"] >= 1)
    axes = figures.confusion(matrix).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_array(), matrix / matrix.sum(axis=1, keepdims=True))
    assert [int(text.split("\n")[0]) for text in texts(axes)] == matrix.ravel().tolist()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["different", "same"]
    assert axes.yaxis_inverted(), "the first row is on top"


def test_digit_errors(pairs):
    correct = (pairs["scores"] >= 1) == pairs["same"]
    left, right = pairs["labels"][pairs["left"]], pairs["labels"][pairs["right"]]
    axes = figures.digit_errors(correct, left, right, NAMES).axes[0]
    shown = axes.collections[0].get_array()
    assert np.isnan(shown.filled(np.nan)).any(), "some pairs of classes do not occur"
    for one in range(CLASSES):
        for other in range(CLASSES):
            chosen = ((left == one) & (right == other)) | ((left == other) & (right == one))
            text = texts(axes)[one * CLASSES + other]
            if chosen.any():
                assert shown[one, other] == pytest.approx(1 - correct[chosen].mean())
                assert text == f"{100 * (1 - correct[chosen].mean()):.1f}"
            else:
                assert shown.mask[one, other]
                assert text == "-"


def test_roc_curves(pairs, rng):
    scores, same = pairs["scores"], pairs["same"]
    other = rng.normal(size=PAIRS)
    figure = figures.roc_curves({"one": [(scores, same)], "two": [(other, same), (-other, same)]})
    shown = lines(figure)
    false_match, true_match, _ = roc_curve(same, scores, drop_intermediate=False)
    area = roc_auc_score(same, scores)
    np.testing.assert_array_equal(shown[f"one, area {area:.4f}"].get_xdata(), false_match)
    np.testing.assert_array_equal(shown[f"one, area {area:.4f}"].get_ydata(), true_match)
    assert legend(figure.axes[0]) == [f"one, area {area:.4f}", "two, area 0.5000"]
    first, second = shown["two, area 0.5000"], shown["_two, 1"]
    assert first.get_color() == second.get_color() != shown[f"one, area {area:.4f}"].get_color()
    assert first.get_linestyle() != shown[f"one, area {area:.4f}"].get_linestyle()


def test_det_curves(pairs):
    scores, same = pairs["scores"], pairs["same"]
    figure = figures.det_curves({"one": [(scores, same)]})
    line = next(line for label, line in lines(figure).items() if label.startswith("one"))
    false_match, false_non_match = norm.cdf(line.get_xdata()), norm.cdf(line.get_ydata())
    rates = {
        (round((scores[~same] >= each).mean(), 9), round((scores[same] < each).mean(), 9)) for each in np.unique(scores)
    }
    inside = {(one, other) for one, other in rates if 0 < one < 1 and 0 < other < 1}
    assert {(round(one, 9), round(other, 9)) for one, other in zip(false_match, false_non_match, strict=True)} == inside
    marker = lines(figure)["_one"]
    assert marker.get_xdata() == marker.get_ydata()
    assert legend(figure.axes[0]) == [f"one, EER {norm.cdf(marker.get_xdata()[0]):.4f}"]


def test_curves_of_perfect_scores():
    same = np.array([False, True, True, False])
    scored = {"perfect": [(same.astype(float), same)]}
    for figure in (figures.roc_curves(scored), figures.det_curves(scored)):
        figures.to_svg(figure)


def test_calibration(pairs):
    probability = 1 / (1 + np.exp(-pairs["scores"]))
    same, left, right = pairs["same"], pairs["left"], pairs["right"]
    figure = figures.calibration(probability, same, left, right)
    share, mean = calibration_curve(same, probability, n_bins=15)
    (bars,) = figure.axes[0].containers
    (points,) = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    np.testing.assert_allclose(points.get_offsets(), np.stack([mean, share], axis=1))
    held = np.histogram(probability, 15, (0, 1))[0]
    np.testing.assert_array_equal(
        np.argsort(points.get_sizes(), kind="stable"), np.argsort(held[held > 0], kind="stable")
    )
    chosen = (probability > 7 / 15) & (probability <= 8 / 15)
    place = int(np.argmin(np.abs(mean - probability[chosen].mean())))
    ends = bars.lines[2][0].get_segments()[place][:, 1]
    np.testing.assert_allclose(ends, accuracy_interval(same[chosen], left[chosen], right[chosen]))
    (counts,) = figure.axes[1].patches
    np.testing.assert_array_equal(counts.get_data().values, np.histogram(probability, 15, (0, 1))[0])


def test_bayes_costs(pairs):
    figure = figures.bayes_costs(pairs["scores"], pairs["same"])
    curve = cost_curve(pairs["scores"], pairs["same"])
    _, actual, minimum = figure.axes[0].lines
    np.testing.assert_array_equal(actual.get_ydata(), curve.actual)
    np.testing.assert_array_equal(minimum.get_ydata(), curve.minimum)
    assert [each.get_text() for each in figure.axes[0].get_xticklabels()][1:4] == ["0.01", "0.1", "0.5"]


def test_score_histograms(pairs):
    scores, same = pairs["scores"], pairs["same"]
    figure = figures.score_histograms(scores, same, 0.75)
    shown = {patch.get_label(): patch for patch in figure.axes[0].patches}
    for label, chosen in (("same", same), ("different", ~same)):
        counts, edges, _ = shown[label].get_data()
        np.testing.assert_array_equal(counts, np.histogram(scores[chosen], edges)[0])
        assert counts.sum() == chosen.sum()
    assert shown["same"].get_hatch() != shown["different"].get_hatch()
    assert list(lines(figure)["threshold"].get_xdata()) == [0.75, 0.75]
    figures.to_svg(figures.score_histograms(np.zeros(4), [0, 1, 0, 1], 0.0))


def test_embedding_map(rng):
    embeddings, labels = rng.normal(size=(80, 5)), rng.integers(0, 10, 80)
    figure = figures.embedding_map(embeddings, labels, NAMES)
    plane = PCA(2).fit_transform(embeddings)
    for name, line in lines(figure).items():
        np.testing.assert_allclose(line.get_xydata(), plane[labels == int(name)])
        assert line.get_marker() == f"${name}$"
    assert not figure.legends


def test_embedding_map_of_named_classes_and_one_dimension():
    names = ["shirt", "ankle boot"]
    figure = figures.embedding_map([[0.0], [2.0]], [0, 1], names)
    assert legend(figure) == names
    shown = lines(figure)
    assert shown["shirt"].get_marker() != shown["ankle boot"].get_marker()
    assert abs(shown["shirt"].get_xdata() - shown["ankle boot"].get_xdata()) == pytest.approx(2)
    figures.to_svg(figure)


def test_embedding_map_with_another_projection(rng):
    embeddings = rng.normal(size=(10, 4))
    shown = lines(figures.embedding_map(embeddings, [3] * 10, NAMES, lambda table: table[:, 2:]))
    np.testing.assert_array_equal(shown["3"].get_xydata(), embeddings[:, 2:])


@pytest.mark.parametrize("channels", [1, 3])
def test_hardest_pairs(pairs, rng, channels):
    images = rng.integers(0, 256, (IMAGES, channels, 5, 4), dtype=np.uint8)
    scores = rng.normal(size=PAIRS)
    given = {name: pairs[name] for name in ("left", "right", "same")}
    figure = figures.hardest_pairs(images, **given, scores=scores, captions=[str(row) for row in range(PAIRS)])
    same, different = np.flatnonzero(pairs["same"]), np.flatnonzero(~pairs["same"])
    wanted = [*sorted(same, key=lambda row: scores[row])[:8], *sorted(different, key=lambda row: -scores[row])[:8]]
    assert [int(text) for axes in figure.axes for text in texts(axes)] == wanted
    for axes, row in zip(figure.axes, wanted, strict=True):
        (image,) = axes.images
        both = np.concatenate([images[pairs["left"][row]], images[pairs["right"][row]]], axis=2)
        shown = image.get_array().reshape(5, 8, channels)
        for channel in range(channels):
            np.testing.assert_array_equal(shown[..., channel], both[channel])


def test_few_hardest_pairs():
    images = np.zeros((2, 1, 3, 3), np.uint8)
    figure = figures.hardest_pairs(images, [0, 0], [0, 1], same=[True, False], scores=[1, 0], captions=["a", "b"])
    assert sum(len(axes.images) for axes in figure.axes) == 2


def test_looks_differ():
    assert len({(look(number).colour, str(look(number).line)) for number in range(30)}) == 30


def test_svg_follows_the_theme(pairs, tmp_path):
    scored = {"<one>": [(pairs["scores"], pairs["same"])]}
    figure = figures.roc_curves(scored)
    text = figures.to_svg(figure, "p-")
    root = ET.fromstring(text)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(name.startswith("p-") for name in ids)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert used <= set(ids)
    assert GROUND not in text
    assert set(re.findall(r"var\((--\w+)\)", text)) == {"--ink", "--faint", "--ground"}
    assert text == figures.to_svg(figures.roc_curves(scored), "p-"), "the same picture is the same file"
    figures.save(figure, tmp_path / "a.svg")
    saved = (tmp_path / "a.svg").read_text()
    ET.fromstring(saved)
    assert "prefers-color-scheme: dark" in saved
    figures.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_drawing_leaves_no_trace():
    """No window system, no global figures, no changed settings, and nothing at all without a picture."""
    program = """
import sys, siamese_mnist, siamese_mnist.runs.experiment
assert "matplotlib" not in sys.modules
import matplotlib
before = matplotlib.rcParams.copy()
from siamese_mnist.visualisation import figures
figures.to_svg(figures.confusion([[1, 2], [3, 4]]))
assert "matplotlib.pyplot" not in sys.modules
assert matplotlib.rcParams.copy() == before
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_episodes_mark_the_right_example_and_a_wrong_answer(rng):
    shown = [
        figures.Episode(
            rng.integers(0, 255, (1, 8, 8), dtype=np.uint8),
            rng.integers(0, 255, (12, 1, 8, 8), dtype=np.uint8),
            own=11,
            answer=answer,
        )
        for answer in (11, 3)
    ]
    figure = figures.episodes(shown)
    for episode, axes in zip(shown, figure.axes[1::2], strict=True):
        np.testing.assert_array_equal(axes.images[5].get_array().squeeze(), episode.examples[5, 0])
        places = [tuple(np.round(np.add(patch.get_xy(), 0.47)).astype(int)) for patch in axes.patches]
        assert places == [(episode.answer % 10, episode.answer // 10), (1, 1)]
    assert legend(figure) == ["right", "wrong answer"]


def test_match_characteristic():
    shown = lines(figures.match_characteristic([0.5, 0.75, 1.0]))
    np.testing.assert_array_equal(shown["this run"].get_xydata(), [[1, 0.5], [2, 0.75], [3, 1.0]])
    np.testing.assert_allclose(shown["chance"].get_ydata(), [1 / 3, 2 / 3, 1])


def test_readings(rng):
    read = np.array([[0.9, 0.1, 0.0], [0.25, 0.25, 0.5]])
    figure = figures.readings(rng.integers(0, 255, (2, 1, 8, 8)), ["x", "y"], read, ["a", "b", "c"])
    assert texts(figure.axes[0]) == ["x", "y"]
    assert texts(figure.axes[1]) == ["0.90", "0.10", "0.25", "0.25", "0.50"], "what is next to nothing is left out"
