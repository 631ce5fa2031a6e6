"""Identification against naive loops over probes, and properties that hold whatever the scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamese_mnist.evaluation import identification
from siamese_mnist.evaluation.identification import cmc, identification_rate, open_set_by_size, open_set_rates

properties = settings(deadline=None, derandomize=True, max_examples=60)


@st.composite
def trials(draw, closed=False):
    """Few distinct scores, so that ties are frequent; several examples of some names; unmated probes unless closed."""
    names = draw(st.integers(1, 4))
    gallery = np.array([*range(names), *draw(st.lists(st.integers(0, names - 1), max_size=4))]) * 3
    foreign = [] if closed else [1, 7]
    probes = np.array([0, *foreign, *draw(st.lists(st.sampled_from([*gallery.tolist(), *foreign]), max_size=8))])
    seed = draw(st.integers(0, 2**32 - 1))
    scores = np.random.default_rng(seed).integers(-2, 3, (probes.size, gallery.size))
    return scores / 2, gallery, probes


def by_name(row, gallery):
    return {int(name): max(row[gallery == name]) for name in gallery}


def naive_rank(row, gallery, label):
    """As bob.measure counts: names that do at least as well as the right one come before it."""
    best = by_name(row, gallery)
    return 1 + sum(score >= best[label] for name, score in best.items() if name != label)


@properties
@given(trials(closed=True))
def test_cmc_by_naive_loops(trial):
    scores, gallery, probes = trial
    ranks = [naive_rank(row, gallery, int(label)) for row, label in zip(scores, probes, strict=True)]
    expected = [np.mean([rank <= k for rank in ranks]) for k in range(1, np.unique(gallery).size + 1)]
    np.testing.assert_allclose(cmc(scores, gallery, probes), expected)


@properties
@given(trials(closed=True), st.integers(0, 2**32 - 1))
def test_cmc_knows_no_order_and_no_scale(trial, seed):
    scores, gallery, probes = trial
    rates = cmc(scores, gallery, probes)
    assert (np.diff(rates) >= 0).all()
    assert rates[-1] == 1
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(probes.size), rng.permutation(gallery.size)
    again = cmc(np.exp(scores[np.ix_(rows, columns)]), gallery[columns], probes[rows])
    np.testing.assert_allclose(again, rates)


@properties
@given(trials(), st.sampled_from([0.0, 0.1, 0.34, 0.5, 0.75, 0.99]))
def test_open_set_rates_by_trying_every_threshold(trial, limit):
    scores, gallery, probes = trial
    (found,) = open_set_rates(scores, gallery, probes, [limit])
    mated = np.isin(probes, gallery)

    def rates(threshold):
        alarms = [max(row) >= threshold for row in scores[~mated]]
        hits = [
            naive_rank(row, gallery, int(label)) == 1 and max(row) >= threshold
            for row, label in zip(scores[mated], probes[mated], strict=True)
        ]
        return np.mean(alarms), np.mean(hits)

    assert (found.false_positive.rate, found.detection.rate) == rates(found.threshold)
    allowed = [rates(threshold)[1] for threshold in np.linspace(-2, 2, 81) if rates(threshold)[0] <= limit]
    assert found.detection.rate == max(allowed)
    assert (found.mated, found.unmated, found.names) == (mated.sum(), (~mated).sum(), np.unique(gallery).size)
    for rate in (found.false_positive, found.detection):
        assert 0 <= rate.low <= rate.rate <= rate.high <= 1


@properties
@given(trials())
def test_more_false_alarms_detect_no_less(trial):
    detection = [each.detection.rate for each in open_set_rates(*trial, limits=[0, 0.2, 0.4, 0.8, 0.99])]
    assert detection == sorted(detection)


@properties
@given(trials(closed=True), st.integers(1, 4))
def test_a_rate_is_a_point_of_the_curve(trial, rank):
    rank = min(rank, np.unique(trial[1]).size)
    found = identification_rate(*trial, rank=rank)
    assert found.rate == cmc(*trial)[rank - 1]
    assert 0 <= found.low <= found.rate <= found.high <= 1


def leave_one_out(figure, classes):
    """The textbook's jackknife variance."""
    figures = np.array([figure(each) for each in classes])
    return (len(figures) - 1) / len(figures) * ((figures - figures.mean()) ** 2).sum()


def test_the_interval_leaves_out_classes(monkeypatch):
    """A class goes as a probe and as a rival, and the variance is that of the figures without each."""
    rng = np.random.default_rng(0)
    gallery, probes = np.arange(6), np.repeat(np.arange(6), 5)
    scores = (gallery == probes[:, None]) + rng.normal(size=(30, 6))
    spreads = []
    original = identification.rate_interval
    monkeypatch.setattr(identification, "rate_interval", lambda *a: spreads.append(a[1]) or original(*a))
    found = identification_rate(scores, gallery, probes)

    def without(label):
        rows, columns = probes != label, gallery != label
        return cmc(scores[np.ix_(rows, columns)], gallery[columns], probes[rows])[0]

    assert spreads[0][0].units == 6
    assert spreads[0][0].variance == pytest.approx(leave_one_out(without, gallery))
    assert found.low < found.rate < found.high


def test_open_set_rates_against_gallery_size():
    """Names outside the drawn gallery are strangers; a larger gallery detects less at the same limit."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(30, 4))
    gallery, probes = np.arange(30), np.repeat(np.arange(30), 20)
    points = centres[probes] + 0.4 * rng.normal(size=(600, 4))
    scores = -np.linalg.norm(points[:, None] - centres, axis=2)
    found = open_set_by_size(scores, gallery, probes, [2, 8, 20], rng=rng, limits=[0.1], draws=5)
    assert [each.names for each in found] == [2, 8, 20]
    assert [(each.mated, each.unmated) for each in found] == [(40, 560), (160, 440), (400, 200)]
    detection = [each.detection.rate for each in found]
    assert detection == sorted(detection, reverse=True)
    assert all(each.false_positive.rate <= 0.1 for each in found)


def test_what_does_not_fit_is_refused():
    scores = np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"\(3, 3\) by their labels, got \(2, 3\)"):
        cmc(scores, [0, 1, 2], [0, 1, 2])
    with pytest.raises(ValueError, match="probe 1 is of class 7, which is not in the gallery"):
        cmc(scores, [0, 1, 2], [0, 7])
    with pytest.raises(ValueError, match="scores must be finite, got nan"):
        cmc(scores * np.nan, [0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match="gallery labels must be 1-D integers"):
        cmc(scores, [0.5, 1, 2], [0, 1])
    with pytest.raises(ValueError, match=r"rank must lie in 1..3, the number of names, got 4"):
        identification_rate(scores, [0, 1, 2], [0, 1], rank=4)
    with pytest.raises(ValueError, match="no probe is of a class outside the gallery"):
        open_set_rates(scores, [0, 1, 2], [0, 1])
    with pytest.raises(ValueError, match="no probe is of a class in the gallery"):
        open_set_rates(scores, [0, 1, 2], [7, 8])
    with pytest.raises(ValueError, match="must be in"):
        open_set_rates(scores, [0, 1, 2], [0, 8], [1.5])
    with pytest.raises(ValueError, match=r"sizes must lie in 1..3"):
        open_set_by_size(scores, [0, 1, 2], [0, 1], [4], rng=np.random.default_rng(0))
