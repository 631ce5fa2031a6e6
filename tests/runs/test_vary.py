"""What differs between the seeds of an entry."""

import pytest

import siamese_mnist as sm
from siamese_mnist.data import split_dataset
from siamese_mnist.runs import experiment
from siamese_mnist.settings.entries import entry_names
from siamese_mnist.settings.settings import Settings


def prepared(small, short, vary, seed):
    settings = Settings.resolve("siamese", **short, vary=vary, seed=seed)
    return experiment._prepare(settings, split_dataset(small), "cpu")


@pytest.mark.parametrize("vary", ["seed", "seed,pairs", "seed,images", "seed,pairs,images"])
def test_seeds_differ_in_what_is_asked_for_and_test_pairs_stay(small, short, vary):
    first, second, again = (prepared(small, short, vary, seed) for seed in (0, 1, 1))
    assert first.test_pairs.left.equal(second.test_pairs.left)
    assert first.test.images.equal(second.test.images)
    assert first.training.images.equal(second.training.images) == ("images" not in vary)
    assert first.train_pairs.left.equal(second.train_pairs.left) == (vary == "seed")
    assert second.training.images.equal(again.training.images)
    assert second.train_pairs.left.equal(again.train_pairs.left)


def test_resampled_images_keep_their_labels(small, short):
    work = prepared(small, short, "seed,images", 3)
    labels = {image.numpy().tobytes(): int(label) for image, label in zip(*small.train[:2], strict=True)}
    drawn = [image.numpy().tobytes() for image in work.training.images]
    assert [labels[image] for image in drawn] == work.training.labels.tolist()
    assert 0.5 < len(set(drawn)) / len(drawn) < 0.75  # 1 - 1/e of the images are drawn


def test_rows_say_what_was_varied(runs_dir, short):
    assert [row["vary"] for row in sm.compare(["siamese"], seeds=1, runs_dir=runs_dir, **short)] == [None, "seed"]


def test_names_and_entries(short):
    settings = [Settings.resolve("siamese", **short, vary=vary) for vary in ("seed", "seed,pairs")]
    assert entry_names(settings)[1] == 'siamese:vary="seed,pairs"'
    assert Settings.resolve('siamese:vary="seed,pairs"', **short) == settings[1]
    with pytest.raises(sm.UsageError, match=r"unknown vary 'pairs'; use one of seed, seed,pairs"):
        Settings.resolve("siamese", vary="pairs")
