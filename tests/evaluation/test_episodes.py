"""Episodes by what they promise of classes and writers; accuracy and interval against naive loops."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from siamese_mnist.evaluation import episodes as module
from siamese_mnist.evaluation.episodes import Episodes, draw_episodes, episode_accuracy

properties = settings(deadline=None, derandomize=True, max_examples=60)
LABELS = np.repeat(np.arange(8), 12)
WRITERS = np.tile(np.repeat(np.arange(4), 3), 8)


@properties
@given(
    st.integers(2, 8),
    st.integers(1, 3),
    st.sampled_from(["any", "other", "same"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_episodes_keep_their_promises(ways, shots, writer, by_alphabet, seed):
    alphabets = LABELS // 4 if by_alphabet else None
    assume(not by_alphabet or ways <= 4)
    assume(writer != "same" or shots < 3)
    order = np.random.default_rng(seed).permutation(LABELS.size)
    labels, writers = LABELS[order], WRITERS[order]
    within = None if alphabets is None else alphabets[order]
    rng = np.random.default_rng(seed)
    found = draw_episodes(
        labels, ways=ways, shots=shots, count=3, rng=rng, groups=writers, writer=writer, within=within
    )
    assert found.queries.shape == (3, ways)
    assert found.examples.shape == (3, ways, shots)
    for queries, examples in zip(*found, strict=True):
        rows = [*queries, *examples.ravel()]
        assert len(set(rows)) == len(rows)
        assert len(set(labels[queries])) == ways
        assert (labels[examples] == labels[queries][:, None]).all()
        if writer == "same":
            assert len(set(writers[rows])) == 1
        if writer == "other":
            assert len(set(writers[queries])) == 1
            assert [len(set(column)) for column in writers[examples].T] == [1] * shots
            assert len({*writers[examples[0]], writers[queries[0]]}) == shots + 1
        if within is not None:
            assert len(set(within[rows])) == 1


def test_every_class_and_writer_has_its_turn():
    rng = np.random.default_rng(0)
    found = draw_episodes(LABELS, ways=2, count=400, rng=rng, groups=WRITERS, writer="other")
    assert np.bincount(LABELS[found.queries].ravel()).min() > 60  # of 100 expected
    assert np.bincount(WRITERS[found.queries[:, 0]]).min() > 60


def test_writers_who_wrote_few_classes():
    """Two alphabets with writers of their own: episodes lie within one, as no writer knows both."""
    labels, writers = np.repeat(np.arange(6), 4), np.repeat([0, 1], 12) * 2 + np.tile([0, 0, 1, 1], 6)
    rng = np.random.default_rng(0)
    found = draw_episodes(labels, ways=3, count=20, rng=rng, groups=writers, writer="other")
    assert {tuple(sorted(each)) for each in labels[found.queries]} == {(0, 1, 2), (3, 4, 5)}
    with pytest.raises(ValueError, match="4-way 1-shot episodes need 4 classes with 2 images each by 2 writers"):
        draw_episodes(labels, ways=4, count=1, rng=rng, groups=writers, writer="other")


@st.composite
def scored(draw):
    """Few distinct scores, so that ties are frequent."""
    ways, shots = draw(st.integers(2, 5)), draw(st.integers(1, 2))
    writer = draw(st.sampled_from(["any", "other"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = draw_episodes(LABELS, ways=ways, shots=shots, count=4, rng=rng, groups=WRITERS, writer=writer)
    matrix = rng.integers(0, 4, (LABELS.size, LABELS.size)) + 2.0 * (LABELS[:, None] == LABELS)
    return found, matrix


def naive_accuracy(found, matrix, left_out):
    """Over the queries that are not left out and have an example that is not."""
    right = []
    for queries, examples in zip(*found, strict=True):
        for place, query in enumerate(queries):
            best = [max((matrix[query, row] for row in rows if row not in left_out), default=None) for rows in examples]
            if query in left_out or best[place] is None:
                continue
            rivals = [score for rival, score in enumerate(best) if rival != place and score is not None]
            right.append(all(score < best[place] for score in rivals))
    return np.mean(right) if right else np.nan


@properties
@given(scored())
def test_accuracy_and_its_interval_by_naive_loops(case):
    found, matrix = case
    spreads = []
    with pytest.MonkeyPatch.context() as patch:
        original = module.rate_interval
        patch.setattr(module, "rate_interval", lambda *a, **b: spreads.append(a[1]) or original(*a, **b))
        rate = episode_accuracy(matrix[found.pairs()], found, LABELS, WRITERS)
    assert rate.rate == pytest.approx(naive_accuracy(found, matrix, ()))
    assert 0 <= rate.low <= rate.rate <= rate.high <= 1
    used = np.append(found.queries, found.examples)
    for spread, units in zip(spreads[0], (LABELS, WRITERS), strict=True):
        figures = [naive_accuracy(found, matrix, np.flatnonzero(units == unit)) for unit in np.unique(units[used])]
        figures = np.array([figure for figure in figures if np.isfinite(figure)])
        expected = (
            (len(figures) - 1) / len(figures) * ((figures - figures.mean()) ** 2).sum() if len(figures) > 1 else 0
        )
        assert spread.variance == pytest.approx(expected)


def test_chance_and_perfection():
    rng = np.random.default_rng(0)
    found = draw_episodes(LABELS, ways=4, count=2000, rng=rng)
    chance = episode_accuracy(rng.random(found.pairs()[0].size), found, LABELS)
    assert chance.low < 0.25 < chance.high
    assert chance.rate == pytest.approx(0.25, abs=0.02)
    left, right = found.pairs()
    perfect = episode_accuracy((LABELS[left] == LABELS[right]).astype(float), found, LABELS)
    assert perfect.rate == perfect.high == 1
    assert perfect.low < 0.7  # eight classes are few
    assert episode_accuracy(np.zeros(left.size), found, LABELS).rate == 0  # a tie is no answer


def test_more_episodes_do_not_make_it_surer():
    """The interval is about the classes: ten times the episodes leave most of its width."""
    rng = np.random.default_rng(0)
    ease = np.repeat(rng.normal(size=8), 12)
    widths = []
    for count in (300, 3000):
        found = draw_episodes(LABELS, ways=3, count=count, rng=rng)
        left, right = found.pairs()
        scores = rng.normal(size=left.size) + (LABELS[left] == LABELS[right]) * (1 + ease[left])
        rate = episode_accuracy(scores, found, LABELS)
        widths.append(rate.high - rate.low)
    assert widths[1] > 0.8 * widths[0]


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="ways must be >= 2"):
        draw_episodes(LABELS, ways=1, rng=rng)
    with pytest.raises(ValueError, match="9-way 1-shot episodes need 9 classes"):
        draw_episodes(LABELS, ways=9, rng=rng)
    with pytest.raises(ValueError, match="writer='other' needs the groups"):
        draw_episodes(LABELS, ways=2, rng=rng, writer="other")
    with pytest.raises(ValueError, match="writer must be"):
        draw_episodes(LABELS, ways=2, rng=rng, writer="nobody")
    with pytest.raises(ValueError, match="groups must have one entry per image"):
        draw_episodes(LABELS, ways=2, rng=rng, writer="same", groups=[1])
    episodes = Episodes(np.array([[0, 1]]), np.array([[[2], [3]]]))
    with pytest.raises(ValueError, match="scores must be one for each of the 4 pairs"):
        episode_accuracy([1.0], episodes, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="scores must be finite"):
        episode_accuracy([1.0, 1, 1, np.inf], episodes, [0, 1, 0, 1])
