"""Whole studies: equal trials, one look at the test pairs, and the same outcome after a stop."""

import dataclasses
import json

import pytest
import torch

import siamese_mnist as sm
from siamese_mnist.data import SplitDataset
from siamese_mnist.runs import experiment, jobs
from siamese_mnist.runs.claims import claim
from siamese_mnist.runs.store import list_runs
from siamese_mnist.studies import study as module
from siamese_mnist.studies import trials
from siamese_mnist.studies.looks import Look

TINY = {
    "dataset": "mnist-small",
    "recipe": "short",
    "train_pairs": 200,
    "test_pairs": 100,
    "backbone_options": {"width": 4},
    "jobs": 1,
}
ENTRIES = ["siamese", "siamese:loss=triplet"]


def study(folder, entries=ENTRIES, **changes):
    options = {"trials": 3, "seeds": 2, "study_dir": folder / "study", "runs_dir": folder / "runs", **TINY}
    return sm.study(entries, **{**options, **changes})


def told(result):
    """All that a table shows; seconds and folders differ between two studies."""
    return [
        (
            row.entry,
            row.chosen,
            [dataclasses.replace(each, train_seconds=None) for each in row.trials],
            row.budget,
            row.row and (row.row["accuracy"], row.row["accuracy_interval"], row.row["difference"], row.verdict),
        )
        for row in result.rows
    ]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("done")
    return folder, study(folder, trials=5)


def test_every_entry_gets_the_same_number_of_trials(done):
    _, result = done
    for row in result.rows:
        assert [each.number for each in row.trials] == [0, 1, 2, 3, 4]
        assert row.best == max(row.trials, key=lambda each: each.accuracy)
        assert row.budget[-1].mean == pytest.approx(row.best.accuracy)
        assert row.row["seeds"] == [0, 1]
    assert result.rows[0].trials[0].values == {"learning_rate": 0.003, "loss.temperature": 0.1}
    assert result.rows[1].verdict is not None
    assert json.loads(json.dumps(result.as_dict()))["opened"]["times"] == 1


def test_the_chosen_settings_are_what_is_measured(done):
    folder, result = done
    runs = list_runs(folder / "runs")
    assert len(runs) == 4
    plain = {name: value for name, value in TINY.items() if name != "jobs"}
    for row in result.rows:
        expected = sm.run(row.chosen, runs_dir=folder / "again", seed=1, **plain)
        assert any(expected.test == each.test and expected.config == each.config for each in runs)


def test_test_images_decide_nothing(done, tmp_path, monkeypatch):
    folder, result = done
    real = experiment.load_dataset

    def noisy(*arguments, **options):
        dataset = real(*arguments, **options)
        noise = torch.randint(256, dataset.test.images.shape, generator=torch.Generator().manual_seed(1)).byte()
        return dataclasses.replace(dataset, test=dataset.test._replace(images=noise))

    monkeypatch.setattr(experiment, "load_dataset", noisy)
    other = study(tmp_path, trials=5)
    assert [row.chosen for row in other.rows] == [row.chosen for row in result.rows]
    assert [row[2] for row in told(other)] == [row[2] for row in told(result)]
    assert [row.row["accuracy"] for row in other.rows] != [row.row["accuracy"] for row in result.rows]
    assert folder != tmp_path


class Stopped(BaseException):
    """As a kill does, at a training."""


@pytest.mark.parametrize("after", [1, 4, 9, 11])
def test_a_stopped_study_goes_on_and_repeats_nothing(done, tmp_path, monkeypatch, after):
    real, trained = jobs.run_settings, []

    def count(settings, **options):
        if len(trained) == after:
            raise Stopped
        trained.append(settings)
        return real(settings, **options)

    monkeypatch.setattr(jobs, "run_settings", count)
    with pytest.raises(Stopped):
        study(tmp_path, trials=5)
    after = -1
    assert told(study(tmp_path, trials=5)) == told(done[1])
    assert len(trained) == 14  # two entries, five trials each, two seeds of the chosen settings
    assert len({str(each) for each in trained}) == 14


def test_the_number_of_jobs_changes_no_trial(tmp_path):
    one, two = (
        study(tmp_path / str(jobs), ["siamese"], trials=2, dataset="mnist-tenth", jobs=jobs, seeds=1) for jobs in (1, 2)
    )
    assert told(study(tmp_path / "2", ["siamese"], trials=2, dataset="mnist-tenth", jobs=2, seeds=1)) == told(two)
    assert told(one) == told(two)


def test_more_trials_go_on_and_are_a_second_look(tmp_path, monkeypatch):
    first = study(tmp_path)
    trained, real = [], jobs.run_settings
    monkeypatch.setattr(jobs, "run_settings", lambda each, **options: trained.append(each) or real(each, **options))
    assert study(tmp_path).opened() == first.opened() == "The test pairs were opened once for this study."
    assert not trained
    more = study(tmp_path, trials=4)
    assert [row.trials[:3] for row in more.rows] == [row.trials for row in first.rows]
    assert sum(each.split != "images" for each in trained) == 2
    assert "opened 2 times" in more.opened()
    assert "LOOK 2: 4 trials after 3" in more.opened()
    other = study(tmp_path, space={"learning_rate": "1e-3..1e-2"})
    assert "LOOK 3: another space" in other.opened()
    assert "of the first look" in study(tmp_path).opened()


def test_a_diverging_step_size_ends_in_a_table(tmp_path):
    result = study(tmp_path, ["siamese", "siamese:loss=triplet"], trials=4, space={"learning_rate": "1e-3..1e9"})
    assert sum(row.failed for row in result.rows) > 0
    assert all(row.row is not None for row in result.rows)
    failed = next(each for row in result.rows for each in row.trials if each.failed)
    assert "learning_rate" in failed.failed
    assert failed.accuracy is None
    again = study(tmp_path, ["siamese", "siamese:loss=triplet"], trials=4, space={"learning_rate": "1e-3..1e9"})
    assert told(again) == told(result)


def test_an_entry_whose_trials_all_fail_has_a_row(tmp_path):
    entries = ["siamese", "siamese:loss=triplet,loss.triplets_per_anchor=nonsense"]
    row = study(tmp_path, entries, trials=2).rows[1]
    assert (row.failed, row.best, row.chosen, row.row) == (2, None, None, None)
    assert row.trials[0].failed.startswith("TypeError: ")
    assert row.verdict == "all trials failed"
    assert [each.mean for each in row.budget] == [0.5, 0.5]


def test_entries_may_choose_the_same(tmp_path):
    entries = ["siamese:loss=triplet", "siamese:loss=triplet,loss.margin=0.05"]
    result = study(tmp_path, entries, trials=1)
    assert result.rows[0].row["accuracy"] == result.rows[1].row["accuracy"]


def test_folds_are_all_judged_on(tmp_path, monkeypatch):
    seen, real = [], experiment.split_dataset

    def watch(dataset, name, fold=0, **options):
        split: SplitDataset = real(dataset, name, fold, **options)
        seen.append((name, fold, split.test_classes))
        return split

    monkeypatch.setattr(experiment, "split_dataset", watch)
    study(tmp_path, ["siamese"], trials=1, folds=4, split="classes", fold=1)
    tried = [each for each in seen if each[0] == "within:classes@1/4"]
    assert {fold for _, fold, _ in tried} == {0, 1, 2, 3}
    tested = next(classes for name, _, classes in seen if name == "classes")
    assert not set(tested) & {name for _, _, classes in tried for name in classes}


def test_two_processes_do_not_work_at_one_study(tmp_path):
    with claim(tmp_path / "study", "study"), pytest.raises(sm.UsageError, match="works at the study"):
        study(tmp_path)
    assert not (tmp_path / "study" / "looks.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "trials must be a whole number >= 1, got 0"),
        ({"folds": 0}, "folds must be a whole number >= 1"),
        ({"seeds": True}, "seeds must be a whole number >= 1"),
        ({"sampler": "luck"}, "unknown sampler 'luck'; use tpe or random"),
        ({"space": {"learning_rate": "1"}}, "a range is written low..high"),
        ({"split": "classes", "folds": 9}, "do not give 9 folds"),
        ({"dataset": "mnist", "data_dir": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_end_before_anything_is_trained(tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(trials, "attempt_runs", lambda *_, **__: pytest.fail("trained"))
    monkeypatch.setattr(module, "attempt_runs", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(sm.UsageError) as raised:
        study(tmp_path, **changes)
    assert message in str(raised.value)


def test_a_folder_is_of_one_set_of_test_pairs(tmp_path):
    study(tmp_path, ["siamese"], trials=1)
    with pytest.raises(sm.UsageError, match=r"a study of other test pairs \(test_pairs 100, not 90\)"):
        study(tmp_path, ["siamese"], trials=1, test_pairs=90)
    with pytest.raises(sm.UsageError, match="tested on different pairs"):
        study(tmp_path, ["siamese", "siamese:test_pairs=90"], trials=1)
    (tmp_path / "study" / "looks.json").write_text("{")
    with pytest.raises(sm.UsageError, match=r"looks\.json is damaged"):
        study(tmp_path, ["siamese"], trials=1)


def test_looks_say_how_they_differ():
    look = Look(chosen={"a": "a:x=1"}, space={"a": {"x": "0..1"}}, trials=2, folds=1, sampler="tpe", seed=0, seeds=3)
    changed = dataclasses.replace
    assert changed(look, folds=4).differs_from(look) == ["4 folds after 1"]
    assert changed(look, sampler="random").differs_from(look) == ["sampler random after tpe"]
    assert changed(look, chosen={"b": "b:x=1"}, space={"b": {}}).differs_from(look) == ["other entries"]
    assert changed(look, chosen={"a": "a:x=2"}).differs_from(look) == ["other chosen settings"]
    assert changed(look, date="2020-01-01") == look
