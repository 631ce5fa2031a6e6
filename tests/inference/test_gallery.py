"""Galleries against `score_matrix`, for designs that embed and that do not; files that are whole or refused."""

import copy
import json
import multiprocessing
import os

import numpy as np
import pytest
import torch

import siamese_mnist as sm
from siamese_mnist.evaluation.identification import expected_false_positives, guarded_threshold
from siamese_mnist.inference import galleryfile, search
from siamese_mnist.inference.gallery import Gallery
from siamese_mnist.inference.galleryfile import GalleryError, changing, model_digest


@pytest.fixture(params=["siamese", "baseline"])
def verifier(request, finished):
    return sm.load(finished[request.param].run_dir)


@pytest.fixture(scope="module")
def siamese(finished):
    return sm.load(finished["siamese"].run_dir)


def enrolled(verifier, small, each=2, digits=10):
    """A gallery of some training images of every digit."""
    gallery = Gallery(verifier, run="somewhere")
    for digit in range(digits):
        rows = (small.train.labels == digit).nonzero().squeeze(1)[:each]
        gallery.enrol(str(digit), small.train.images[rows], [f"{digit}/{row}.png" for row in rows.tolist()])
    return gallery


def images_of(gallery, small):
    rows = [int(source.split("/")[1].removesuffix(".png")) for _, source in gallery.examples]
    return small.train.images[rows], np.array([name for name, _ in gallery.examples])


def test_the_nearest_are_those_of_the_score_matrix(verifier, small, monkeypatch):
    monkeypatch.setattr(search, "_QUERIES", 7)
    monkeypatch.setattr(search, "_EXAMPLES", 6)
    gallery, probes = enrolled(verifier, small), small.test.images[:20]
    kept, owners = images_of(gallery, small)
    matrix = verifier.score_matrix(probes, kept)
    expected = gallery.expect()
    for row, found in zip(matrix, gallery.identify(probes, nearest=4), strict=True):
        order = np.argsort(-row)[:4]
        np.testing.assert_allclose([each.score for each in found.nearest], row[order], rtol=1e-4, atol=1e-4)
        assert found.score == found.nearest[0].score
        assert found.name == (found.nearest[0].name if found.score >= expected.threshold else None)
        best = {name: row[owners == name].max() for name in owners}
        assert best[found.nearest[0].name] == pytest.approx(max(best.values()), abs=1e-4)


def test_the_probability_is_bayes(verifier, small):
    """Half strangers, names equally likely, and of a name each example."""
    gallery, probes = enrolled(verifier, small), small.test.images[:10]
    kept, owners = images_of(gallery, small)
    ratios = np.exp(verifier.decision.log_likelihood_ratio(verifier.score_matrix(probes, kept)))
    for row, found in zip(ratios, gallery.identify(probes), strict=True):
        by_name = {name: row[owners == name].mean() / 10 for name in set(owners)}
        expected = 0.5 * by_name[found.nearest[0].name] / (0.5 + 0.5 * sum(by_name.values()))
        assert found.probability == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("cost", [0.2, 10.0])
def test_costs_give_a_name_where_that_is_cheaper(verifier, small, cost):
    gallery, probes = enrolled(verifier, small), small.test.images[:30]
    expected = gallery.expect_costs(cost_false_match=cost, prior=0.7)
    assert expected.threshold == pytest.approx(cost / (1 + cost))
    plain = gallery.identify(probes, prior=0.7)
    for found, before in zip(gallery.identify(probes, expected=expected, prior=0.7), plain, strict=True):
        assert found.probability == before.probability
        given, withheld = (1 - found.probability) * cost, found.probability
        assert found.name == (found.nearest[0].name if given <= withheld else None)


def test_costs_tell_how_many_strangers_are_named(verifier, small):
    """Every name, beside the others, is a stranger."""
    gallery = enrolled(verifier, small, each=1)
    images, _ = images_of(gallery, small)
    ratios = np.exp(verifier.decision.log_likelihood_ratio(verifier.score_matrix(images, images)))
    np.fill_diagonal(ratios, 0)
    probabilities = ratios.max(1) / (10 + ratios.sum(1))
    least = float(np.sort(probabilities)[-3:-1].mean())
    expected = gallery.expect_costs(cost_false_match=least / (1 - least))
    assert expected.of == "probability"
    assert expected.threshold == pytest.approx(least)
    assert expected[1:4] == expected_false_positives(probabilities, np.arange(10), least, 2)


def test_costs_of_one_name_tell_no_rate(siamese, small):
    gallery = Gallery(siamese)
    gallery.enrol("it", small.train.images[:2])
    expected = gallery.expect_costs()
    assert expected.rate is None
    assert gallery.identify(small.train.images[:1], expected=expected)[0].name == "it"


def test_one_name_is_a_pair(siamese, small):
    """With one example of one name, the probability is that of the pair."""
    gallery = Gallery(siamese)
    gallery.enrol("it", small.train.images[:1])
    (found,) = gallery.identify(small.test.images[:1])
    even = siamese.decision.moved_to(0.5)
    assert found.probability == pytest.approx(float(even.probability(found.score)), abs=1e-6)


def test_one_name_states_the_rate_of_calibration_pairs(siamese, small):
    impostors = siamese.calibration.scores[~siamese.calibration.same]
    gallery = Gallery(siamese)
    for number in (1, 2):
        gallery.enrol("it", small.train.images[[number]])
        expected = gallery.expect(0.05)
        assert expected.rate == pytest.approx(number * np.mean(impostors >= expected.threshold))
        assert expected.low <= expected.rate <= min(expected.high, 0.05)
    assert "for each of 2 examples" in expected.basis
    other = Gallery(copy.copy(siamese))
    other.verifier.calibration = None
    other.enrol("it", small.train.images[:1])
    assert other.expect()[:2] == (siamese.decision.threshold, None)


def test_the_threshold_is_that_of_other_names(verifier, small):
    gallery = enrolled(verifier, small)
    kept, owners = images_of(gallery, small)
    matrix = verifier.score_matrix(kept, kept)
    alarms = np.array([row[owners != owner].max() for row, owner in zip(matrix, owners, strict=True)])
    expected = gallery.expect(0.4)
    threshold = max(verifier.decision.threshold, guarded_threshold(alarms, owners.astype(int), 0.4, 2))
    assert expected.threshold == pytest.approx(threshold, abs=1e-4)
    passed = sum((alarms[owners == owner] > expected.threshold + 1e-4).mean() for owner in set(owners))
    assert expected.rate == pytest.approx(min((passed + 2) / 11, 1))
    assert 0 <= expected.low <= expected.rate <= expected.high <= 1


def test_strangers_pass_at_the_stated_rate():
    """Over many galleries, the share of new strangers above the threshold is the stated rate, and at most the limit."""
    rng = np.random.default_rng(0)
    stated, measured = [], []
    for _ in range(2000):
        alarms, new = rng.normal(size=(2, 45))
        threshold = guarded_threshold(alarms, np.arange(45), 0.1)
        expected = expected_false_positives(alarms, np.arange(45), threshold)
        stated.append(expected.rate)
        measured.append(np.mean(new >= threshold))
        assert expected.rate <= 0.1
    assert np.mean(measured) == pytest.approx(np.mean(stated), abs=0.004)
    assert guarded_threshold([1.0, 2.0], [0, 1], 0.1) > 2  # too few names to show so low a rate
    assert expected_false_positives([1.0, 2.0], [0, 1], 3.0).rate == pytest.approx(1 / 3)


@pytest.mark.parametrize(("names", "limit"), [(3, 0.5), (5, 0.4), (30, 0.2)])
def test_strangers_pass_at_the_stated_rate_where_names_are_compared(names, limit):
    """Names and strangers of one population, scored by distance: who is alike alarms both, and the rate knows it."""
    rng = np.random.default_rng(0)
    stated, measured, held, owners = [], [], [], np.arange(names)
    for _ in range(1000):
        points = rng.normal(size=(names + 300, 4))
        scores = -np.linalg.norm(points[:, None] - points[:names], axis=2)
        scores[owners, owners] = -np.inf
        alarms, new = scores[:names].max(1), scores[names:].max(1)
        threshold = guarded_threshold(alarms, owners, limit, 2)
        expected = expected_false_positives(alarms, owners, threshold, 2)
        stated.append(expected.rate)
        measured.append(np.mean(new >= threshold))
        held.append(expected.low <= measured[-1] <= expected.high)
    assert max(stated) <= limit + 1e-9
    assert np.mean(measured) == pytest.approx(np.mean(stated), abs=0.015)
    assert np.mean(held) > 0.91


def test_names_come_and_go(siamese, small):
    gallery = enrolled(siamese, small, digits=3)
    gallery.enrol("0", small.test.images[:1])
    assert gallery.counts() == {"0": 3, "1": 2, "2": 2}
    gallery.remove("0")
    assert gallery.names == ("1", "2")
    assert len(gallery) == len(gallery.kept) == 4
    other = enrolled(siamese, small, digits=3)
    gallery.merge(other)
    gallery.merge(other)
    assert gallery.counts() == {"1": 2, "2": 2, "0": 2}
    for name in ("0", "1", "2"):
        gallery.remove(name)
    with pytest.raises(sm.UsageError, match="the gallery is empty"):
        gallery.identify(small.test.images[:1])
    with pytest.raises(sm.UsageError, match="has no 'nobody'"):
        gallery.remove("nobody")
    for name in ("", " ", "unknown"):
        with pytest.raises(sm.UsageError, match="a name must be some text"):
            gallery.enrol(name, small.test.images[:1])
    with pytest.raises(sm.UsageError, match="must be in"):
        other.expect(0)


def test_a_file_keeps_all(verifier, small, tmp_path):
    gallery = enrolled(verifier, small)
    sm.save_gallery(gallery, tmp_path / "a.gallery")
    again = sm.open_gallery(tmp_path / "a.gallery", verifier)
    assert again.examples == gallery.examples
    assert torch.equal(again.kept, gallery.kept)
    assert again.run == "somewhere"
    probes = small.test.images[:5]
    assert again.identify(probes) == gallery.identify(probes)


def test_foreign_files_are_refused(siamese, finished, small, tmp_path):
    path = tmp_path / "a.gallery"
    sm.save_gallery(enrolled(siamese, small), path)
    content = path.read_bytes()
    with pytest.raises(GalleryError, match="was made with another model, that of somewhere"):
        sm.open_gallery(path, sm.load(finished["baseline"].run_dir))
    with pytest.raises(GalleryError, match="is not to be had"):
        sm.open_gallery(path)
    with pytest.raises(GalleryError, match="there is no gallery"):
        sm.open_gallery(tmp_path / "b.gallery", siamese)
    damages = {
        "short": content[:-10],
        "none": b"",
        "noise": os.urandom(200),
        "names": content.replace(b'\\"0\\", ', b"        ", 1),
        "version": content.replace(b'\\"format_version\\": 1', b'\\"format_version\\": 2'),
        "format": content.replace(b"siamese-mnist gallery", b"siamese-mnist rogueri"),
    }
    for damage, damaged in damages.items():
        assert damaged != content, damage
        path.write_bytes(damaged)
        with pytest.raises(GalleryError, match="cannot be read as a gallery"):
            sm.open_gallery(path, siamese)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(GalleryError, match="no regular file"):
        sm.open_gallery(path, siamese)
    with pytest.raises(GalleryError, match="it is no gallery"):
        sm.open_gallery(f"{finished['siamese'].run_dir}/model.safetensors", siamese)


def test_what_fails_while_writing_leaves_the_old_one(siamese, small, tmp_path, monkeypatch):
    path = tmp_path / "a.gallery"
    sm.save_gallery(enrolled(siamese, small, digits=2), path)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(GalleryError, match="No space left on device"):
        sm.save_gallery(enrolled(siamese, small), path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.gallery"]


def _append(path, mark, count):
    for number in range(count):
        with changing(path):
            values = json.loads(path.read_text()) if path.exists() else []
            path.write_text(json.dumps([*values, f"{mark}{number}"]))


def test_programs_take_turns(tmp_path):
    """Read, change and write of several processes do not mix."""
    path = tmp_path / "a [1].gallery"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_append, args=(path, mark, 4)) for mark in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert sorted(json.loads(path.read_text())) == sorted(f"{mark}{number}" for mark in "ab" for number in range(4))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_who_holds_it_for_long_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(galleryfile, "_PATIENCE_SECONDS", 0.0)
    path = tmp_path / "a.gallery"
    with (
        changing(path),
        pytest.raises(GalleryError, match=f"is being changed by process {os.getpid()}"),
        changing(path),
    ):
        pass


def test_a_digest_is_of_the_weights(finished):
    one, same, other = (sm.load(finished[each].run_dir) for each in ("siamese", "siamese", "baseline"))
    assert model_digest(one) == model_digest(same) != model_digest(other)
    with torch.no_grad():
        next(same.model.parameters()).mul_(1.5)
    assert model_digest(one) != model_digest(same)


def test_an_index_finds_nearly_the_same(siamese, small):
    pytest.importorskip("faiss")
    gallery = enrolled(siamese, small, each=50)
    examples = gallery._searched()
    queries = siamese.prepare(small.test.images[:100])
    exact, found = search.exact(siamese, queries, examples, 3), search.Index(siamese, examples).search(queries, 3)
    assert (exact.rows[:, 0] == found.rows[:, 0]).float().mean() > 0.95
    agree = exact.rows[:, 0] == found.rows[:, 0]
    torch.testing.assert_close(exact.scores[agree, 0], found.scores[agree, 0], rtol=1e-4, atol=1e-4)


def test_a_large_gallery_is_indexed_once_until_it_changes(siamese, small, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr("siamese_mnist.inference.gallery._LARGEST_EXACT", 50)
    built = []
    monkeypatch.setattr(
        "siamese_mnist.inference.gallery.Index", lambda *parts: built.append(parts) or search.Index(*parts)
    )
    gallery, probes = enrolled(siamese, small, each=10), small.test.images[:5]
    expected = gallery.expect()
    first, second = (gallery.identify(probes, expected=expected) for _ in range(2))
    assert first == second
    assert len(built) == 1
    gallery.enrol("it", probes[:1])
    assert gallery.identify(probes[:1], expected=expected)[0].nearest[0].name == "it"
    gallery.remove("it")
    assert gallery.identify(probes, expected=expected) == first
    assert len(built) == 3


def test_an_index_needs_embeddings(finished, small):
    pytest.importorskip("faiss")
    baseline = sm.load(finished["baseline"].run_dir)
    with pytest.raises(sm.UsageError, match="an index needs embeddings"):
        search.Index(baseline, enrolled(baseline, small)._searched())


def test_an_index_needs_faiss(siamese, small, monkeypatch):
    monkeypatch.setattr(search, "find_spec", lambda _: None)
    with pytest.raises(sm.UsageError, match=r"pip install 'siamese-mnist\[index\]'"):
        search.Index(siamese, enrolled(siamese, small)._searched())
