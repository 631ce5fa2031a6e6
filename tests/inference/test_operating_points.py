"""Operating points of runs: kept scores, predict, evaluate, bundles and calibration on other images."""

import csv
import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import fit_decision
from siamese_mnist.evaluation.tail import joined_tails
from siamese_mnist.runs.bundle import Calibrated, write_bundle
from siamese_mnist.runs.reading import (
    CALIBRATION,
    RunError,
    calibration_columns,
    parse_calibration,
    read_calibration,
    read_scores,
)


@pytest.fixture(scope="module")
def pictures(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(6):
        Image.fromarray(small.test.images[number, 0].numpy()).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def calibrated(finished, small):
    """The Siamese run, calibrated on all pairs of the test images."""
    return sm.load(finished["siamese"].run_dir).calibrated(small.test)


def test_a_run_keeps_what_its_decision_was_fitted_on(finished):
    run = finished["siamese"]
    kept = read_calibration(run.run_dir, unseen=False)
    assert kept.scores.size == run.decision.pairs
    decision = fit_decision(kept.scores, kept.same)
    assert decision.threshold == pytest.approx(run.decision.threshold)
    assert decision.prior == run.decision.prior
    point = sm.load(run.run_dir).operating_point()
    assert point.threshold == run.decision.threshold
    assert "trained on" in point.remarks[0]


def test_predict_answers_at_an_operating_point(command, finished, pictures):
    run = finished["siamese"].run_dir
    point = sm.load(run).operating_point(max_fmr=0.05, prior=0.1)
    done = command("predict", run, pictures / "0.png", pictures / "1.png", "--max-fmr", 0.05, "--prior", 0.1, "--json")
    values = json.loads(done.out)
    assert values["threshold"] == point.threshold
    assert values["operating_point"] == json.loads(json.dumps(point.as_dict()))
    assert values["same"] == (values["score"] >= point.threshold)
    assert values["probability"] == pytest.approx(float(point.probability(values["score"])))
    text = command("predict", run, pictures / "0.png", pictures / "1.png", "--max-fmr", 0.05).out
    assert f"expected             false match rate {point.false_match_rate:.4g} (" in text
    many = command("predict", run, pictures, "--max-error", 0.2)
    rows = list(csv.DictReader(many.out.splitlines()))
    band = sm.load(run).operating_point(max_error=0.2).band
    assert {row["answer"] for row in rows} <= {"same", "different", "unsure"}
    assert all((row["answer"] == "unsure") == (band.low <= float(row["score"]) < band.high) for row in rows)
    assert "unsure               " in many.err
    assert "answer" not in command("predict", run, pictures).out.splitlines()[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-fmr", "1e-6"], "impostor pairs cannot tell a false match rate of 1e-06; at least 3,000,000"),
        (["--prior", "2"], "prior must be between 0 and 1, got 2"),
        (["--max-fmr", "0.1", "--cost-false-match", "2"], "both decide the threshold"),
        (["--cost-false-match", "0"], "cost_false_match must be finite and > 0, got 0"),
    ],
)
def test_predict_refuses_what_cannot_be_told(mistake, finished, pictures, options, message):
    assert message in mistake("predict", finished["siamese"].run_dir, pictures / "0.png", pictures / "1.png", *options)


def test_bundles_keep_it_and_runs_of_before_say_that_they_do_not(finished, tmp_path):
    run = Path(finished["siamese"].run_dir)
    wish = {"prior": 0.05, "cost_false_non_match": 2.0}
    expected = sm.load(run).operating_point(**wish)
    assert sm.load(write_bundle(run, tmp_path / "a.zip")).operating_point(**wish) == expected
    older = tmp_path / "older"
    older.mkdir()
    for file in run.iterdir():
        if file.name != CALIBRATION:
            (older / file.name).write_bytes(file.read_bytes())
    for place in (older, write_bundle(older, tmp_path / "b")):
        with pytest.raises(UsageError, match="before calibration scores were kept"):
            sm.load(place).operating_point(prior=0.1)
    (older / CALIBRATION).write_bytes(b"PK")
    with pytest.raises(RunError, match=r"calibration.npz cannot be read"):
        sm.load(older)


def test_calibration_scores_all_impostor_pairs(calibrated, small):
    labels = small.test.labels.numpy()
    left, right = np.triu_indices(len(labels), 1)
    matrix = calibrated.score_matrix(small.test.images, small.test.images)[left, right]
    impostors = np.sort(matrix[labels[left] != labels[right]])[::-1]
    point = calibrated.operating_point(max_fmr=0.001)
    assert point.impostor_pairs == impostors.size
    assert point.false_match_rate == pytest.approx(np.mean(impostors >= point.threshold))
    assert 0.0005 < point.false_match_rate <= 0.001
    assert point.threshold != sm.Verifier.operating_point(calibrated).threshold


def test_evaluate_measures_an_operating_point(command, mistake, finished, tmp_path):
    columns = read_scores(finished["siamese"].run_dir)
    rows = np.column_stack([columns["left"], columns["right"], columns["same"].astype(int), columns["score"]])
    files = [tmp_path / "calibration.csv", tmp_path / "test.csv"]
    for file, part in zip(files, (rows[::2], rows[1::2]), strict=True):
        lines = [f"{int(a)},{int(b)},{int(c)},{d}" for a, b, c, d in part]
        file.write_text("\n".join(["left,right,same,score", *lines]))
    wish = ["--max-fmr", 0.1, "--max-error", 0.3, "--prior", 0.3]
    point = json.loads(command("evaluate", files[1], "--calibration", files[0], *wish, "--json").out)["operating_point"]
    same, scores = rows[1::2, 2] == 1, rows[1::2, 3]
    assert point["measured"]["false_match_rate"] == pytest.approx(np.mean(scores[~same] >= point["threshold"]))
    assert point["false_match_rate"] <= 0.1
    table = command("evaluate", files[1], "--calibration", files[0], *wish).out
    assert "errors among answered" in table
    assert "operating_point" not in json.loads(command("evaluate", files[1], "--calibration", files[0], "--json").out)
    assert "give their scores with --calibration" in mistake("evaluate", files[1], *wish)


@pytest.fixture(scope="module")
def labelled(small, tmp_path_factory):
    """The test images as files, a folder a class."""
    folder = tmp_path_factory.mktemp("labelled")
    for number, (image, label) in enumerate(zip(small.test.images[:, 0].numpy(), small.test.labels, strict=True)):
        (folder / str(int(label))).mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / str(int(label)) / f"{number}.png")
    return folder


def test_a_bundle_is_calibrated_on_all_pairs_of_a_folder(command, finished, labelled, pictures, tmp_path):
    run = finished["siamese"].run_dir
    done = command("bundle", run, tmp_path / "own.zip", "--calibration", labelled, "--json")
    told = json.loads(done.out)["calibration"]
    kept = sm.load(tmp_path / "own.zip")
    tail = kept.calibration.tail
    assert told == {"folder": str(labelled), "images": 300, "impostor_pairs": tail.pairs}
    assert done.err == f"siamese-mnist: calibrated on 300 images, {tail.pairs:,} impostor pairs\n"
    assert kept.operating_point(max_fmr=0.001).impostor_pairs == tail.pairs > 40_000
    assert kept.calibration.unseen
    assert kept.decision != sm.load(run).decision
    answer = command(
        "predict", tmp_path / "own.zip", pictures / "0.png", pictures / "1.png", "--max-fmr", 0.001, "--json"
    )
    assert json.loads(answer.out)["operating_point"]["impostor_pairs"] == tail.pairs
    with zipfile.ZipFile(tmp_path / "own.zip") as archive:
        assert "come from pairs of other images." in archive.read("README.md").decode()


def test_kept_tails_are_those_that_were_made(calibrated, finished, tmp_path):
    written = write_bundle(
        finished["siamese"].run_dir, tmp_path / "a", Calibrated(calibrated.decision, calibrated.calibration)
    )
    kept, made = sm.load(written), calibrated
    assert kept.decision == made.decision
    for wish in ({"max_fmr": 0.0005}, {"prior": 0.01}, {"max_error": 0.2}):
        assert kept.operating_point(**wish).as_dict() == made.operating_point(**wish).as_dict()


def parsed(columns):
    file = io.BytesIO()
    np.savez(file, **columns)
    return parse_calibration(file.getvalue(), unseen=True)


def test_kept_tails_of_parts_are_those_of_parts(calibrated):
    """Of one part, the file is as it always was."""
    single = calibrated.calibration
    rows = np.arange(single.tail.labels.size)
    both = dataclasses.replace(single, tail=joined_tails([single.tail] * 2, [rows, rows + rows.size]))
    assert "image_part" not in calibration_columns(single)
    kept = parsed(calibration_columns(both))
    np.testing.assert_array_equal(kept.tail.parts, np.repeat([0, 1], rows.size))
    assert kept.tail.pairs == 2 * single.tail.pairs
    assert kept.tail.interval(0.5) == pytest.approx(both.tail.interval(0.5))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("tail_score", [np.float32(0.1), np.float32(0.2)], "tail_score must be finite and falling"),
        ("tail_left", [0, 5], "tail_left holds a cluster that is none"),
        ("tail_right", [0], "columns of its tail differ in length"),
        ("image_cluster", [0, 2, 2], "image_cluster must be 0, 1"),
        ("image_part", [0, 2, 2], "image_part must be 0, 1"),
        ("image_part", [0, 1], "columns of its tail differ in length"),
        ("image_class", [0.5, 1.5, 1.0], "image_class is of type float64"),
    ],
)
def test_a_damaged_tail(column, value, message):
    columns = {
        "left": [0, 1],
        "right": [1, 2],
        "same": [True, False],
        "score": np.float32([0.5, 0.1]),
        "tail_score": np.float32([0.2, 0.1]),
        "tail_left": [0, 1],
        "tail_right": [1, 2],
        "image_class": [0, 1, 1],
        "image_cluster": [0, 1, 2],
    }

    assert parsed(columns).tail.pairs == 2
    assert parsed({**columns, "image_part": [0, 1, 1]}).tail.pairs == 0
    with pytest.raises(ValueError, match=message):
        parsed({**columns, column: value})
