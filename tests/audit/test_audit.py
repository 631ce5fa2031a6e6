"""The audit: its rules against closed forms, its measurements against the runs they speak of."""

import math
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy import stats

from siamese_mnist.audit import ENTRIES, findings, page
from siamese_mnist.audit.finding import direction, figure, judged
from siamese_mnist.audit.printed import printed_sampler
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.store import read_history

VERDICTS = {"reproduced", "not reproduced", "not testable"}


@pytest.fixture(scope="module")
def found(evidence):
    return {each.claim: each for each in findings(evidence)}


def test_every_claim_gets_a_verdict(found):
    assert len(found) >= 30
    assert {each.verdict for each in found.values()} == VERDICTS
    assert all(each.measured and each.section for each in found.values())


def test_evidence_holds_every_design_with_every_seed(evidence):
    assert list(evidence.runs) == list(ENTRIES)
    assert all([run.seed for run in runs] == [0, 1] for runs in evidence.runs.values())
    assert evidence.runs["three blocks"][0].config["parts"]["backbone_options"] == {"blocks": 3}
    assert evidence.runs["no phase 1"][0].phase1.epochs == 0
    assert [row["entry"] for row in evidence.rows.values()] == list(ENTRIES.values())


def test_phase_one_is_that_of_the_runs(evidence):
    for run, twice in zip(evidence.runs["report"], evidence.phase_one, strict=True):
        assert twice.moving == run.phase1.accuracy
        assert twice.estimated != twice.moving


@pytest.mark.parametrize("published", [0.90, 0.94, 0.97])
def test_a_figure_is_held_to_the_prediction_interval(published):
    values = [0.88, 0.90, 0.91, 0.89]
    half = stats.t.ppf(0.975, 3) * stdev(values) * math.sqrt(1 + 1 / 4)
    one = figure("1", "c", published, values)
    assert one.interval == pytest.approx((fmean(values) - half, fmean(values) + half))
    assert one.verdict == ("reproduced" if abs(published - fmean(values)) <= half + 0.005 else "not reproduced")
    assert figure("1", "c", 0.99, values).verdict == "not reproduced"


def test_a_figure_that_seeds_scatter_around_cannot_be_tested():
    one = figure("1", "c", 0.9, [0.6, 0.95, 0.8])
    assert one.verdict == "not testable"
    assert one.measured.endswith("seeds differ too much to tell")


def test_a_direction_needs_its_whole_interval():
    up = [0.1, 0.12, 0.11]
    assert direction("1", "c", "w", up).verdict == "reproduced"
    assert direction("1", "c", "w", [-x for x in up]).verdict == "not reproduced"
    assert "the opposite holds" in direction("1", "c", "w", [-x for x in up]).measured
    assert "no side is shown" in direction("1", "c", "w", [-0.1, 0.1]).measured
    expected = stats.t.interval(0.95, 2, np.mean(up), stats.sem(up))
    assert direction("1", "c", "w", up).interval == pytest.approx(expected)
    assert judged("1", "c", "w", 0.1, (0.0, 0.2)).verdict == "not reproduced"


def test_figures_are_those_of_the_runs(found, evidence):
    runs = evidence.runs["report"]
    assert found["Accuracy is 0.89."].value == pytest.approx(fmean(run.test.accuracy for run in runs))
    answers = [np.array(run.test.confusion_matrix) for run in runs]
    different = fmean(matrix[:, 0].sum() / matrix.sum() - 0.5 for matrix in answers)
    assert found["The model tends to answer *different*."].value == pytest.approx(different)
    row = evidence.rows["three blocks"]
    three = found["More residual blocks help: three against two."]
    assert (three.value, list(three.interval)) == (row["difference"], row["difference_interval"])
    row = evidence.rows["one block"]
    two = found["More residual blocks help: two against one."]
    assert (two.value, two.interval) == (-row["difference"], tuple(-each for each in row["difference_interval"][::-1]))
    curves = [read_history(run.run_dir)["validation_accuracy"] for run in runs]
    last = fmean(np.array_split(curve, 4)[3].mean() for curve in curves)
    assert found["Accuracy is unable to stabilise above 0.85."].value == pytest.approx(0.85 - last)


def test_noise_is_the_spread_around_a_line():
    from siamese_mnist.audit.claims import _noise

    updates = np.arange(400.0)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=400)
    assert _noise(0.3 + 0.01 * updates, 1) == pytest.approx(0, abs=1e-9)
    assert _noise(0.3 + 0.01 * updates + noise, 3) == pytest.approx(noise[300:].std(), rel=0.05)


def test_overlap_is_the_mean_over_images(found, evidence):
    images, labels = (each.numpy() for each in evidence.dataset.test[:2])
    ink = (images > 127).reshape(len(images), -1)
    gaps = []
    for row in range(len(ink)):
        overlap = (ink & ink[row]).sum(1) / np.maximum((ink | ink[row]).sum(1), 1)
        same = labels == labels[row]
        others = same & (np.arange(len(ink)) != row)
        gaps.append(overlap[others].mean() - overlap[~same].mean())
    assert found["Images of the same number overlap highly."].value == pytest.approx(np.mean(gaps), abs=1e-5)


def test_printed_sampler_turns_its_coin_at_duplicates():
    labels = [0, 0, 1, 1] * 5
    drawn = printed_sampler(labels, 100, seed=0)
    assert drawn.reads_past_the_end
    assert 0.3 < drawn.same_fraction < 0.6
    assert printed_sampler(labels, 100, seed=0) == drawn
    rare = printed_sampler(list(range(10)) * 2, 60, seed=0)  # 30 of the 40 genuine pairs would have to be found
    assert rare.same_fraction < 0.45
    none_twice = printed_sampler(list(range(10)) * 1000, 50, seed=0)
    assert none_twice.same_fraction == 0.5


def test_page_has_every_claim(found, evidence):
    text = page(list(found.values()), evidence, "Made by hand.")
    for each in found.values():
        assert f"| {each.section} | {each.claim} | **{each.verdict}** |" in text
    assert "Made by hand." in text
    assert all(entry in text for entry in ENTRIES.values())


def test_one_seed_is_refused(tmp_path):
    from siamese_mnist.audit import gather

    with pytest.raises(UsageError, match="seeds must be >= 2, got 1"):
        gather(1, runs_dir=tmp_path)
