"""The journal: finished trials survive, half-written ones do not, proposals depend on findings alone."""

import sys

import pytest

import siamese_mnist as sm
from siamese_mnist.registry import Range
from siamese_mnist.studies.journal import Journal, Trial, propose

SPACE = {"learning_rate": Range(1e-4, 1e-1), "batch_size": Range(16, 128)}


def trial(number, accuracy=0.9, **about):
    values = {"learning_rate": 0.001 * (number + 1), "batch_size": 16 + number}
    return Trial(number=number, values=values, accuracy=accuracy, **about)


def proposals(finished, count=3, **about):
    options = {"key": "a", "sampler": "tpe", "chance": 0.5} | about
    return [propose(finished, SPACE, number, **options) for number in range(4, 4 + count)]


def test_trials_are_read_as_they_were_written(tmp_path):
    written = [trial(0, train_seconds=2.5), trial(1, None, failed="diverged"), trial(2, 0.8)]
    for each in written:
        Journal(tmp_path).add("some key", each, SPACE)
    assert Journal(tmp_path).trials("some key") == written
    assert Journal(tmp_path).trials("another") == []


def test_a_line_that_a_killed_process_did_not_finish_is_taken_back(tmp_path):
    journal = Journal(tmp_path)
    journal.add("key", trial(0), SPACE)
    path = tmp_path / "journal.log"
    whole = path.read_bytes()
    journal.add("key", trial(1), SPACE)
    added = path.read_bytes()[len(whole) :]
    path.with_name("journal.log.lock").touch()  # the killed process held the lock
    for end in (1, len(added) // 2, len(added) - 1):
        path.write_bytes(whole + added[:end])
        found = Journal(tmp_path)
        assert found.trials("key") == [trial(0)]
        found.add("key", trial(1), SPACE)
        assert Journal(tmp_path).trials("key") == [trial(0), trial(1)]


def test_a_damaged_journal_is_one_line(tmp_path):
    (tmp_path / "journal.log").write_text("this is no journal\nat all\n")
    with pytest.raises(sm.UsageError, match=r"journal\.log cannot be read"):
        Journal(tmp_path)


def test_proposals_are_the_same_for_the_same_findings():
    finished = [trial(number, 0.8 + 0.02 * number) for number in range(4)]
    assert proposals(finished) == proposals(finished)
    assert proposals(finished) != proposals(finished, key="b")
    assert proposals(finished) != proposals([trial(number, 0.9 - 0.02 * number) for number in range(4)])


def test_random_proposals_do_not_look_at_findings():
    first = [trial(number, 0.8 + 0.02 * number) for number in range(4)]
    assert proposals(first, sampler="random") == proposals([], sampler="random")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_proposals_lie_within_their_ranges(sampler):
    finished = [trial(0), trial(1, None, failed="diverged"), trial(2), trial(3), trial(4)]
    for values in proposals(finished, 20, sampler=sampler):
        assert 1e-4 <= values["learning_rate"] <= 1e-1
        assert values["learning_rate"] == float(f"{values['learning_rate']:.3g}")
        assert isinstance(values["batch_size"], int)
        assert 16 <= values["batch_size"] <= 128


def test_without_optuna_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(sm.UsageError, match=r"pip install 'siamese-mnist\[study\]'"):
        Journal(tmp_path)
