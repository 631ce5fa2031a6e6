"""The audit: its rules against closed forms, its measurements against the runs they speak of."""

import math
from statistics import fmean, stdev

import numpy as np
import pytest
import torch
from scipy import stats

from siamese_mnist.audit import ENTRIES, findings, page
from siamese_mnist.audit.course import noise
from siamese_mnist.audit.finding import Measured, equality, figure, over_seeds, tendency
from siamese_mnist.audit.overlap import ink_overlap
from siamese_mnist.audit.printed import printed_sampler
from siamese_mnist.errors import UsageError
from siamese_mnist.runs.store import read_history

VERDICTS = {"reproduced", "compatible", "not shown", "not reproduced", "not testable"}


@pytest.fixture(scope="module")
def found(evidence):
    return {each.claim: each for each in findings(evidence)}


def test_every_claim_gets_a_verdict(found):
    assert len(found) >= 28
    assert {each.verdict for each in found.values()} == VERDICTS
    assert all(each.measured and each.section for each in found.values())


def test_evidence_holds_every_design_with_every_seed(evidence):
    assert list(evidence.runs) == list(ENTRIES)
    assert all([run.seed for run in runs] == [0, 1] for runs in evidence.runs.values())
    assert evidence.runs["three blocks"][0].config["parts"]["backbone_options"] == {"blocks": 3}
    assert evidence.runs["no phase 1"][0].phase1.epochs == 0
    tuned = evidence.runs["trained backbone"][0].config["protocol"]
    assert 0 < tuned["backbone_learning_rate"] < tuned["learning_rate"]  # a step size of its own
    assert tuned["backbone_every"] > 1


def test_phase_one_is_that_of_the_runs(evidence):
    for run, twice in zip(evidence.runs["report"], evidence.phase_one, strict=True):
        assert twice.moving == run.phase1.accuracy
        assert twice.estimated != twice.moving


@pytest.mark.parametrize("published", [0.90, 0.94, 0.97])
def test_a_figure_is_held_to_the_prediction_interval(published):
    values = [0.88, 0.90, 0.91, 0.89]
    half = stats.t.ppf(0.975, 3) * stdev(values) * math.sqrt(1 + 1 / 4)
    one = figure("1", "c", published, values)(0.95)
    assert one.interval == pytest.approx((fmean(values) - half, fmean(values) + half))
    assert one.verdict == ("reproduced" if abs(published - fmean(values)) <= half + 0.005 else "not reproduced")
    assert figure("1", "c", 0.99, values)(0.95).verdict == "not reproduced"


def test_a_figure_in_a_wide_interval_is_compatible():
    assert figure("1", "c", 0.91, [0.88, 0.94, 0.90])(0.95).verdict == "compatible"
    assert figure("1", "c", 0.9, [0.88, 0.90, 0.91, 0.89])(0.999).verdict == "compatible"


def test_a_tendency_needs_its_whole_interval():
    up = [0.1, 0.12, 0.11]
    assert tendency("1", "c", "w", over_seeds(up))(0.95).verdict == "reproduced"
    down = tendency("1", "c", "w", over_seeds([-x for x in up]))(0.95)
    assert down.verdict == "not reproduced"
    assert "the opposite holds" in down.measured
    nothing = tendency("1", "c", "w", over_seeds([-0.1, 0.1]))(0.95)
    assert nothing.verdict == "not shown"
    assert "no side is shown" in nothing.measured
    expected = stats.t.interval(0.99, 2, np.mean(up), stats.sem(up))
    assert tendency("1", "c", "w", over_seeds(up))(0.99).interval == pytest.approx(expected)
    at_0 = tendency("1", "c", "w", lambda _: Measured(0.1, 0.0, 0.2))
    assert at_0(0.95).verdict == "not shown"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.001, -0.002, 0.001], "reproduced"),
        ([0.02, -0.03, 0.01], "compatible"),
        ([0.02, 0.021, 0.022], "not reproduced"),
    ],
)
def test_an_equality_needs_its_interval_within_the_margin(values, verdict):
    assert equality("1", "c", "w", values, margin=0.01)(0.95).verdict == verdict


def test_all_tested_claims_are_one_family(found, evidence):
    tested = [each for each in found.values() if each.interval]
    share = 0.05 / len(tested)
    gaps = [run.test.same.f1 - run.test.different.f1 for run in evidence.runs["report"]]
    expected = stats.t.interval(1 - share, 1, np.mean(gaps), stats.sem(gaps))
    assert found["F1 is equal for both answers."].interval == pytest.approx(expected)


def test_no_side_is_taken_where_the_interval_holds_0(found):
    for each in found.values():
        if each.published is None and each.interval:
            low, high = each.interval
            assert (each.verdict in ("not shown", "compatible")) == (low <= 0 <= high) or each.verdict == "reproduced"
            assert ("no side is shown" in each.measured) == (each.verdict == "not shown")


def test_what_the_report_does_not_say_stands_apart(found):
    beside = [each for each in found.values() if not each.in_report]
    assert len(beside) == 2
    assert all("batch norm" in each.claim for each in beside)


def test_figures_are_those_of_the_runs(found, evidence):
    runs = evidence.runs["report"]
    accuracy = {key: fmean(run.test.accuracy for run in group) for key, group in evidence.runs.items()}
    assert found["Accuracy is 0.89, and so are precision, recall and F1."].value == pytest.approx(accuracy["report"])
    recalls = fmean(run.test.same.recall - run.test.different.recall for run in runs)
    assert found["*Same* has the higher recall and the lower precision."].value == pytest.approx(recalls)
    three = found["More residual blocks help: three against two."]
    assert three.value == pytest.approx(accuracy["three blocks"] - accuracy["report"])
    two = found["More residual blocks help: two against one."]
    assert two.value == pytest.approx(accuracy["report"] - accuracy["one block"])
    curves = [read_history(run.run_dir)["validation_accuracy"] for run in runs]
    last = fmean(np.array_split(curve, 4)[3].mean() for curve in curves)
    assert found["Accuracy is unable to stabilise above 0.85."].value == pytest.approx(0.85 - last)


def test_noise_is_the_spread_around_a_line():
    updates = np.arange(400.0)
    rng = np.random.default_rng(0)
    scatter = rng.normal(size=400)
    assert noise(0.3 + 0.01 * updates, 1) == pytest.approx(0, abs=1e-9)
    assert noise(0.3 + 0.01 * updates + scatter, 3) == pytest.approx(scatter[300:].std(), rel=0.05)


def gap_of(data):
    """Mean overlap of all pairs of one class less that of pairs of two classes, by counting pixels."""
    ink = (data.images.numpy() > 127).reshape(len(data.labels), -1).astype(np.float32)
    off = 1 - ink
    both, either = ink @ ink.T, 784 - off @ off.T
    rows, columns = np.triu_indices(len(ink), 1)
    overlap = (both / np.maximum(either, 1))[rows, columns].astype(np.float64)
    labels = data.labels.numpy()
    same = labels[rows] == labels[columns]
    return overlap[same].mean() - overlap[~same].mean()


def test_overlap_is_the_mean_over_pairs(found, evidence):
    assert found["Images of the same number overlap highly."].value == pytest.approx(gap_of(evidence.dataset.test))


def test_overlap_interval_holds_the_truth(tenth):
    """Images drawn from many; an interval over images as if pairs were their own holds the truth in 73 % only."""
    truth = gap_of(tenth.train.select(slice(3000)))
    generator = torch.Generator().manual_seed(0)
    draws, hits = 300, 0
    for _ in range(draws):
        found = ink_overlap(tenth.train.select(torch.randperm(3000, generator=generator)[:100]), 0.95)
        hits += found.low <= truth <= found.high
    assert 0.92 * draws <= hits <= 0.985 * draws


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
