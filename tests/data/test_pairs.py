"""The pair sampler: invariants on small label sets against brute force, uniformity, and the fixed protocol."""

import hashlib
import re
import struct
import subprocess
import sys
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from siamese_mnist import Pairs, UsageError, draw_pairs, pairs_digest
from siamese_mnist.data import pairs as sampler
from siamese_mnist.data.pairs import draw_disjoint_pairs, largest_disjoint_count

properties = settings(deadline=None, derandomize=True, max_examples=80)
label_sets = st.lists(st.integers(0, 4), min_size=1, max_size=9).map(torch.tensor)
kinds = {"self_pairs": st.booleans(), "mirrored": st.booleans()}
seeds = st.integers(0, 2**32 - 1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def all_pairs(labels, self_pairs, mirrored):
    """Every possible pair as (left, right), unordered ones sorted: genuine set, impostor set."""
    rows = range(len(labels))
    possible = {(a, b) if mirrored else (min(a, b), max(a, b)) for a in rows for b in rows if self_pairs or a != b}
    genuine = {(a, b) for a, b in possible if labels[a] == labels[b]}
    return genuine, possible - genuine


def listed(pairs, mirrored=True):
    rows = zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    return [(a, b) if mirrored else (min(a, b), max(a, b)) for a, b in rows]


def largest_count(labels, fraction, self_pairs, mirrored):
    """Largest request that can be met, by trying all."""
    genuine, impostor = map(len, all_pairs(labels, self_pairs, mirrored))
    feasible = [
        n
        for n in range(genuine + impostor + 1)
        if round(n * fraction) <= genuine and n - round(n * fraction) <= impostor
    ]
    return feasible[-1]


@properties
@given(label_sets, st.floats(0, 1), st.floats(0, 1), seeds, kinds["self_pairs"], kinds["mirrored"])
def test_invariants(labels, share, fraction, seed, self_pairs, mirrored):
    count = round(share * largest_count(labels, fraction, self_pairs, mirrored))
    pairs = draw_pairs(
        labels, count, same_fraction=fraction, generator=seeded(seed), self_pairs=self_pairs, mirrored=mirrored
    )
    assert [column.shape for column in pairs] == [(count,)] * 3
    assert [column.dtype for column in pairs] == [torch.int64, torch.int64, torch.bool]
    assert torch.equal(labels[pairs.left] == labels[pairs.right], pairs.same)
    assert int(pairs.same.sum()) == round(count * fraction)
    found = listed(pairs, mirrored)
    assert len(set(found)) == count, "pairs are unique"
    genuine, impostor = all_pairs(labels, self_pairs, mirrored)
    assert set(found) <= genuine | impostor


@properties
@given(label_sets, seeds, kinds["self_pairs"], kinds["mirrored"])
def test_every_pair_can_be_reached(labels, seed, self_pairs, mirrored):
    """A request for all genuine pairs and all impostor pairs gives exactly these."""
    genuine, impostor = all_pairs(labels, self_pairs, mirrored)
    for fraction, expected in ((1.0, genuine), (0.0, impostor)):
        pairs = draw_pairs(
            labels,
            len(expected),
            same_fraction=fraction,
            generator=seeded(seed),
            self_pairs=self_pairs,
            mirrored=mirrored,
        )
        assert set(listed(pairs, mirrored)) == expected


@properties
@given(label_sets, st.floats(0, 1), st.integers(1, 100), kinds["self_pairs"], kinds["mirrored"])
def test_impossible_request_names_the_largest_count(labels, fraction, excess, self_pairs, mirrored):
    largest = largest_count(labels, fraction, self_pairs, mirrored)

    def draw(count):
        return draw_pairs(
            labels, count, same_fraction=fraction, generator=seeded(), self_pairs=self_pairs, mirrored=mirrored
        )

    assert len(draw(largest).same) == largest
    for count in (largest + 1, largest + excess):
        with pytest.raises(UsageError) as caught:
            draw(count)
        assert int(re.search(r"largest possible count is (\d+)$", str(caught.value)).group(1)) == largest
        assert str(caught.value).startswith(f"{count} unique pairs")


@pytest.mark.parametrize(
    ("count", "fraction", "message"),
    [(-1, 0.5, ">= 0, got -1"), (4, 1.1, r"\[0, 1\], got 1.1"), (4, -0.1, "got -0.1"), (4, float("nan"), "got nan")],
)
def test_bad_argument(count, fraction, message):
    with pytest.raises(UsageError, match=message):
        draw_pairs(torch.arange(10), count, same_fraction=fraction, generator=seeded())


def test_defaults_are_the_reports_protocol():
    """Half same; self pairs and mirrored pairs are possible."""
    labels = torch.tensor([0, 0, 1, 1])
    pairs = draw_pairs(labels, 16, generator=seeded())
    assert set(listed(pairs)) == {(a, b) for a in range(4) for b in range(4)}


@properties
@given(label_sets, seeds)
def test_the_generator_alone_decides(labels, seed):
    count = largest_count(labels, 0.5, True, True) // 2
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = draw_pairs(labels, count, generator=seeded(seed))
    assert torch.equal(torch.get_rng_state(), state), "the global stream stays as it is"
    torch.manual_seed(2)
    again = draw_pairs(labels, count, generator=seeded(seed))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_seeds_differ(tenth):
    first, second = (draw_pairs(tenth.test.labels, 1000, generator=seeded(seed)) for seed in (0, 1))
    assert len(set(listed(first)) & set(listed(second))) < 100


# One generator serves all draws of a test, so that each test is one fixed experiment.
DRAWS = 1500
LABELS = torch.tensor([7, 2, 7, 2, 2, 0])


def inclusion_p_value(counts, population, size, draws=DRAWS):
    """Chi-square test that every member is drawn equally often by `draws` draws of `size` without replacement.

    The inclusion counts have covariance draws p (1 - p) n / (n - 1) (I - 1/n), so their scaled squares are chi-square.
    """
    share = size / len(population)
    variance = draws * share * (1 - share) * len(population) / (len(population) - 1)
    statistic = sum((counts[member] - draws * share) ** 2 for member in population) / variance
    return stats.chi2.sf(statistic, len(population) - 1)


@pytest.mark.parametrize("count", [4, 10], ids=["few of many", "most of all"])
@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("self_pairs", [True, False])
def test_uniform(count, self_pairs, mirrored):
    count = min(count, largest_count(LABELS, 0.5, self_pairs, mirrored) // 2 * 2 - 2)
    generator, counts, places, order = seeded(), Counter(), Counter(), Counter()
    for _ in range(DRAWS):
        pairs = draw_pairs(LABELS, count, generator=generator, self_pairs=self_pairs, mirrored=mirrored)
        counts.update(listed(pairs, mirrored))
        places.update(pairs.same.nonzero().flatten().tolist())
        order.update((pairs.left < pairs.right)[pairs.left != pairs.right].tolist())
    for members in all_pairs(LABELS, self_pairs, mirrored):
        assert inclusion_p_value(counts, members, count // 2) > 1e-3
    assert inclusion_p_value(places, range(count), count // 2) > 1e-3, "genuine pairs have no favourite place"
    assert stats.binomtest(order[True], order.total()).pvalue > 1e-3, "neither side has a favourite"


def disjoint_counts(labels):
    """Every (genuine, impostor) number of pairs without a common image, by trying all matchings."""
    if not labels:
        return frozenset({(0, 0)})
    first, *others = labels
    found = set(disjoint_counts(tuple(others)))  # the first image stays alone
    for place, label in enumerate(others):
        for genuine, impostor in disjoint_counts((*others[:place], *others[place + 1 :])):
            found.add((genuine + 1, impostor) if label == first else (genuine, impostor + 1))
    return frozenset(found)


few_labels = st.lists(st.integers(0, 3), min_size=1, max_size=8).map(lambda labels: torch.tensor(sorted(labels)))


@properties
@given(few_labels, st.floats(0, 1))
def test_largest_disjoint_count_by_brute_force(labels, fraction):
    possible = disjoint_counts(tuple(labels.tolist()))
    counts = [n for n in range(len(labels)) if (round(n * fraction), n - round(n * fraction)) in possible]
    assert counts == list(range(len(counts))), "what is possible once stays possible with fewer pairs"
    assert largest_disjoint_count(labels, fraction) == counts[-1]


@properties
@given(st.lists(st.integers(0, 4), min_size=1, max_size=60).map(torch.tensor), st.floats(0, 1), st.floats(0, 1), seeds)
def test_disjoint_invariants(labels, share, fraction, seed):
    largest = largest_disjoint_count(labels, fraction)
    for count in {round(share * largest), largest}:
        pairs = draw_disjoint_pairs(labels, count, same_fraction=fraction, generator=seeded(seed))
        assert [column.shape for column in pairs] == [(count,)] * 3
        assert [column.dtype for column in pairs] == [torch.int64, torch.int64, torch.bool]
        assert torch.equal(labels[pairs.left] == labels[pairs.right], pairs.same)
        assert int(pairs.same.sum()) == round(count * fraction)
        assert len(torch.cat([pairs.left, pairs.right]).unique()) == 2 * count, "every image is in one pair only"
    again = draw_disjoint_pairs(labels, largest, same_fraction=fraction, generator=seeded(seed))
    assert largest == 0 or all(torch.equal(a, b) for a, b in zip(pairs, again, strict=True) if count == largest)
    with pytest.raises(UsageError, match=rf"^{largest + 1} pairs .* largest possible count is {largest}$"):
        draw_disjoint_pairs(labels, largest + 1, same_fraction=fraction, generator=seeded(seed))


def test_all_images_of_the_test_set_fit(tenth):
    assert largest_disjoint_count(tenth.test.labels) == 500


def test_impostor_matchings_are_equally_likely():
    """Four impostor pairs among ten images of five classes: every matching as often as any other."""
    labels = torch.arange(5).repeat_interleave(2)
    generator, counts = seeded(), Counter()
    for _ in range(DRAWS):
        pairs = draw_disjoint_pairs(labels[:8], 4, same_fraction=0.0, generator=generator)
        counts[tuple(sorted(listed(pairs, mirrored=False)))] += 1
    assert len(counts) == 60  # perfect matchings of 4 couples that never join a couple
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_disjoint_pairs_have_no_favourite_image_or_class(tenth):
    labels, generator = tenth.test.labels, seeded()
    images, classes = torch.zeros(len(labels)), torch.zeros(10, 10)
    for _ in range(200):
        pairs = draw_disjoint_pairs(labels, 100, generator=generator)
        images[torch.cat([pairs.left, pairs.right])] += 1
        classes.index_put_((labels[pairs.left], labels[pairs.right]), torch.tensor(1.0), accumulate=True)
    assert inclusion_p_value(images.tolist(), range(len(labels)), 200, draws=200) > 1e-3
    off = ~torch.eye(10, dtype=torch.bool)
    share = labels.bincount().double()
    expected = share.outer(share)[off]
    assert stats.chisquare(classes[off], expected / expected.sum() * classes[off].sum()).pvalue > 1e-3


@pytest.mark.parametrize(
    ("count", "fraction", "message"),
    [(-1, 0.5, ">= 0, got -1"), (4, 1.1, r"\[0, 1\], got 1.1"), (4, float("nan"), "nan")],
)
def test_bad_disjoint_argument(count, fraction, message):
    with pytest.raises(UsageError, match=message):
        draw_disjoint_pairs(torch.arange(10), count, same_fraction=fraction, generator=seeded())


@pytest.mark.parametrize("mirrored", [True, False])
def test_how_many_pairs_are_computed_at_a_time_changes_none(tenth, monkeypatch, mirrored):
    def drawn():
        generator = torch.Generator().manual_seed(5)
        return draw_pairs(tenth.train.labels, 1000, generator=generator, mirrored=mirrored)

    at_once = drawn()
    monkeypatch.setattr(sampler, "_TOGETHER", 7)
    assert all(torch.equal(*each) for each in zip(at_once, drawn(), strict=True))


def test_digest_is_the_hash_of_the_columns():
    pairs = Pairs(torch.tensor([3, 0]), torch.tensor([3, 70_000]), torch.tensor([True, False]))
    content = struct.pack("<4q", 3, 0, 3, 70_000) + b"\1\0"
    assert pairs_digest(pairs) == hashlib.sha256(content).hexdigest()


def test_digest_of_the_protocols_test_pairs(tenth):
    pairs = draw_pairs(tenth.test.labels, 10_000, generator=seeded())
    assert pairs_digest(pairs) == "170f5846a1b514af2a786820b1f63ef9d9b32c24f0f2ab577d219748ca72771a"


@properties
@given(st.integers(0, 2), st.integers(0, 9))
def test_digest_notices_every_change(column, row):
    pairs = draw_pairs(torch.arange(20) % 3, 10, generator=seeded())
    changed = [each.clone() for each in pairs]
    changed[column][row] = ~changed[column][row] if column == 2 else changed[column][row] + 1
    assert pairs_digest(Pairs(*changed)) != pairs_digest(pairs)


def test_a_million_pairs_of_sixty_thousand_images():
    """Only possible if memory grows with the pairs, not with the 3.6 thousand million possible ones."""
    labels = torch.randint(10, (60_000,), generator=seeded())
    pairs = draw_pairs(labels, 1_000_000, generator=seeded(), self_pairs=False, mirrored=False)
    assert int(pairs.same.sum()) == 500_000
    assert torch.equal(labels[pairs.left] == labels[pairs.right], pairs.same)
    assert (pairs.left != pairs.right).all()
    low, high = torch.minimum(pairs.left, pairs.right), torch.maximum(pairs.left, pairs.right)
    assert len((low * 60_000 + high).unique()) == 1_000_000


MEMORY = """
import resource, torch
from siamese_mnist.data.pairs import draw_pairs, pairs_digest
labels = torch.arange(60_000) % 10
generator = torch.Generator().manual_seed(0)
pairs_digest(draw_pairs(labels, 1000, generator=generator))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pairs = draw_pairs(labels, 2_000_000, generator=generator)
pairs_digest(pairs)
index = sum(column.nbytes for column in pairs)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / index)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of the largest resident memory is the system's")
def test_many_pairs_cost_a_few_times_their_index():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 4.5
