"""From settings to a saved run."""

import csv
import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors.torch import load_file
from sklearn import metrics

import siamese_mnist as sm
from siamese_mnist.data import Dataset, load_dataset
from siamese_mnist.runs import experiment
from siamese_mnist.runs.result import Parameters
from siamese_mnist.runs.store import RunError, RunResult, find_run, read_scores
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.settings import Settings
from siamese_mnist.training.divergence import DivergedError

VARIANTS = ["baseline", "siamese"]
FILES = {
    "calibration.npz",
    "config.json",
    "history.csv",
    "model.safetensors",
    "result.json",
    "scorer.json",
    "test_scores.npz",
}
TINY = {"train_pairs": 200, "test_pairs": 100, "pretrain_epochs": 0, "epochs": 1, "curve": False}
PER_CLASS = {"precision", "recall", "f1"}
REQUIRED = {
    "format": None,
    "split": {"name", "fold"},
    "machine": None,
    "variant": None,
    "dataset": None,
    "seed": None,
    "config": set(),
    "run_dir": None,
    "versions": set(),
    "parameters": {"backbone", "pretraining_head", "head"},
    "phase1": {"epochs", "accuracy", "train_seconds"},
    "phase2": {"epochs", "train_seconds"},
    "test": {
        "pairs",
        "pairs_digest",
        "accuracy",
        "same",
        "different",
        "confusion_matrix",
        "roc_auc",
        "equal_error_rate",
        "swap_agreement",
    },
    "throughput": {"train_pairs_per_second", "score_pairs_per_second"},
    "total_seconds": None,
    "peak_rss_bytes": None,
}


NOISY = "mnist-small-noisy"


@sm.DATASETS.register(NOISY)
def load_noisy(root=None, download=False):  # noqa: ARG001
    """The small data set, its test images replaced by noise."""
    train, test, classes = load_dataset("mnist-small")
    noise = torch.randint(256, test.images.shape, generator=torch.Generator().manual_seed(0))
    return Dataset(train, test._replace(images=noise.byte()), classes)


def never(*_):
    raise AssertionError("training started")


def weights(run):
    return load_file(Path(run.run_dir) / "model.safetensors")


def equal_weights(first, second):
    first, second = weights(first), weights(second)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def bare(figures):
    """Test figures as plain values, for a comparison bit by bit."""
    return figures.as_dict()


@pytest.mark.parametrize("variant", VARIANTS)
def test_run_folder(finished, variant):
    run = finished[variant]
    folder = Path(run.run_dir)
    assert {path.name for path in folder.iterdir()} == FILES
    assert json.loads((folder / "result.json").read_text()) == run.as_dict()
    config = json.loads((folder / "config.json").read_text())
    assert run.config.items() <= config.items()
    assert config["image_size"] == [28, 28]
    assert config["classes"] == list("0123456789")
    assert sum(tensor.numel() for tensor in weights(run).values() if tensor.is_floating_point()) == (
        run.parameters.backbone + run.parameters.head
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_result_has_all_fields(finished, variant):
    run = finished[variant]
    for name, fields in REQUIRED.items():
        assert name in run
        if fields is not None:
            assert fields <= run.as_dict()[name].keys(), name
    assert run.as_dict()["test"]["same"].keys() == run.as_dict()["test"]["different"].keys() == PER_CLASS
    assert (run.variant, run.dataset, run.seed) == (variant, "mnist-small", 0)
    assert {"python", "torch", "siamese_mnist"} <= run.versions.keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_digit_pairs_add_up_to_all_pairs(finished, variant):
    test = finished[variant].test
    pairs = torch.tensor(test.digit_pairs.pairs).triu()
    accuracy = torch.tensor([[0.0 if each is None else each for each in row] for row in test.digit_pairs.accuracy])
    assert pairs.sum() == test.pairs
    assert pairs.diagonal().sum() == test.pairs / 2
    assert float((pairs * accuracy).sum() / pairs.sum()) == pytest.approx(test.accuracy, abs=1e-6)
    assert test.digit_pairs.accuracy[0][3] == test.digit_pairs.accuracy[3][0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_figures_are_plausible(finished, variant):
    run = finished[variant]
    assert run.test.pairs == 600
    assert run.test.accuracy > 0.55
    assert run.test.roc_auc > 0.55
    assert run.phase1.accuracy > 0.3
    assert 0 < run.phase1.train_seconds + run.phase2.train_seconds < run.total_seconds
    assert run.throughput.train_pairs_per_second == pytest.approx(2 * 2000 / run.phase2.train_seconds)
    assert run.throughput.score_pairs_per_second > 0
    assert run.peak_rss_bytes > 50_000_000


@pytest.mark.parametrize("variant", VARIANTS)
def test_figures_by_scikit_learn(finished, small, variant):
    """The figures are those of the kept scores, on pairs of test images whose truth their labels tell."""
    run = finished[variant]
    kept = read_scores(run.run_dir)
    pairs = sm.Pairs(*(torch.from_numpy(kept[name]) for name in ("left", "right", "same")))
    assert sm.pairs_digest(pairs) == run.test.pairs_digest
    assert torch.equal(small.test.labels[pairs.left] == small.test.labels[pairs.right], pairs.same)
    same, answer = kept["same"], kept["score"] >= run.decision.threshold
    assert run.test.accuracy == pytest.approx(metrics.accuracy_score(same, answer))
    assert run.test.roc_auc == pytest.approx(metrics.roc_auc_score(same, kept["score"]))
    assert run.test.confusion_matrix == metrics.confusion_matrix(same, answer).tolist()
    for label, figures in ((1, run.test.same), (0, run.test.different)):
        expected = metrics.precision_recall_fscore_support(same, answer, labels=[label], average="macro")
        assert list(figures.as_dict().values()) == pytest.approx(expected[:3])
    swapped = kept["swapped_score"] >= run.decision.threshold
    assert run.test.swap_agreement == pytest.approx((answer == swapped).mean())


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_give_the_scores_again(finished, trained, small, variant):
    kept = read_scores(finished[variant].run_dir)
    images = small.test.images / 255
    left, right = torch.from_numpy(kept["left"]), torch.from_numpy(kept["right"])
    for pair, name in (((left, right), "score"), ((right, left), "swapped_score")):
        scores = trained[variant].score_pairs(images, *pair)
        torch.testing.assert_close(scores, torch.from_numpy(kept[name]), rtol=1e-4, atol=1e-4)


def test_parameters(finished):
    assert finished["baseline"].parameters == Parameters(backbone=3226, pretraining_head=99_018, head=401_762)
    assert finished["siamese"].parameters.backbone < 3226


def test_symmetry_shows(finished):
    assert finished["siamese"].test.swap_agreement == 1
    assert 0.5 < finished["baseline"].test.swap_agreement < 1


def test_threshold(finished):
    """The stacked head decides by itself; a distance needs a threshold from training images."""
    assert finished["baseline"].decision.threshold == 0
    assert finished["siamese"].decision.threshold < 0
    assert all(run.decision.slope > 0 for run in finished.values())


def test_every_design_sees_the_same_pairs(finished):
    baseline, siamese = finished["baseline"], finished["siamese"]
    assert baseline.test.pairs_digest == siamese.test.pairs_digest
    assert baseline.train.pairs_digest == siamese.train.pairs_digest
    assert baseline.test.pairs_digest != baseline.train.pairs_digest


def test_disjoint_test_pairs(short, small):
    def drawn(**changes):
        settings = Settings.resolve("siamese", **short)
        protocol = TrainingProtocol(train_pairs=200, **changes)
        return experiment._draw(small, dataclasses.replace(settings, protocol=protocol))

    train_set, test_set = drawn(test_protocol="disjoint")
    assert len(torch.cat([test_set.left, test_set.right]).unique()) == 300, "every image of the 300, once"
    assert int(test_set.same.sum()) == 75
    again = drawn(test_protocol="random")
    assert torch.equal(again[0].left, train_set.left), "the training pairs are the same"
    assert len(again[1].same) == 10_000
    few = drawn(test_protocol="disjoint", test_pairs=40)[1]
    assert len(few.same) == 40


@pytest.mark.parametrize("variant", VARIANTS)
def test_history(finished, variant):
    with (Path(finished[variant].run_dir) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    measured = ["loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert list(rows[0]) == ["phase", "update", "epoch", *measured, "learning_rate", "seconds"]
    assert {float(row["learning_rate"]) for row in rows} == {0.001}
    assert all(float(row["seconds"]) > 0 for row in rows)
    run = finished[variant]
    spent = {phase: sum(float(row["seconds"]) for row in rows if row["phase"] == phase) for phase in "12"}
    assert spent["1"] == pytest.approx(run.phase1.train_seconds)
    assert spent["2"] < run.phase2.train_seconds
    first, second = ([row for row in rows if row["phase"] == phase] for phase in "12")
    assert len(first) == 2 * 10
    assert len(second) == 2 * 32
    assert rows == first + second
    for part in (first, second):
        assert [int(row["update"]) for row in part] == list(range(1, len(part) + 1))
        assert [int(row["epoch"]) for row in part] == [1] * (len(part) // 2) + [2] * (len(part) // 2)
    assert {row["validation_loss"] for row in first} == {""}
    for row in second:
        assert 0 <= float(row["accuracy"]) <= 1
        assert 0 <= float(row["validation_accuracy"]) <= 1
        assert float(row["validation_loss"]) >= 0


def test_again(finished, short, tmp_path):
    """The same settings give the same numbers, in a folder of their own; the global random stream stays as it is."""
    first = Path(finished["siamese"].run_dir)
    shutil.copytree(first, tmp_path / first.name)
    torch.manual_seed(12345)
    state = torch.get_rng_state()
    again = sm.run("siamese", runs_dir=tmp_path, **short)
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(again, RunResult)
    assert again.run_dir == str(tmp_path / f"{first.name}-2")
    assert {path.name for path in tmp_path.iterdir()} == {first.name, f"{first.name}-2"}
    assert bare(again.test) == bare(finished["siamese"].test)
    assert again.decision == finished["siamese"].decision
    assert equal_weights(again, finished["siamese"])
    for name in ("config.json", "history.csv", "model.safetensors"):
        assert (tmp_path / first.name / name).read_bytes() == (first / name).read_bytes()


def test_baseline_again(finished, short, tmp_path):
    torch.manual_seed(54321)
    again = sm.run("baseline", runs_dir=tmp_path, **short)
    assert bare(again.test) == bare(finished["baseline"].test)
    assert equal_weights(again, finished["baseline"])


def test_another_seed(finished, short, tmp_path):
    """It changes the weights, never the pairs."""
    other = sm.run("siamese", runs_dir=tmp_path, seed=1, **short)
    assert Path(other.run_dir).name != Path(finished["siamese"].run_dir).name
    assert not equal_weights(other, finished["siamese"])
    assert other.test.pairs_digest == finished["siamese"].test.pairs_digest
    assert other.train.pairs_digest == finished["siamese"].train.pairs_digest


def test_test_images_decide_nothing(finished, short, tmp_path):
    """With noise for test images, weights, threshold and calibration are bit-identical."""
    other = sm.run("siamese", runs_dir=tmp_path, **short | {"dataset": NOISY})
    assert other.test.accuracy < finished["siamese"].test.accuracy
    assert other.test.pairs_digest == finished["siamese"].test.pairs_digest
    assert equal_weights(other, finished["siamese"])
    assert other.decision == finished["siamese"].decision


def test_without_phase_1_and_curve(short, tmp_path):
    run = sm.run("siamese", runs_dir=tmp_path, **short | TINY)
    assert run.phase1.accuracy is None
    assert run.phase1.epochs == 0
    with (Path(run.run_dir) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {row["phase"] for row in rows} == {"2"}
    assert {row["validation_loss"] for row in rows} == {""}


def test_progress(short, tmp_path):
    told = []
    sm.run("siamese", runs_dir=tmp_path, progress=lambda *each: told.append(each), **short | TINY)
    assert told == [("phase 2", done, 4) for done in (1, 2, 3, 4)]


def test_a_failing_write_leaves_earlier_runs_alone(finished, short, tmp_path, monkeypatch):
    first = Path(finished["siamese"].run_dir)
    shutil.copytree(first, tmp_path / first.name)

    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(safetensors.torch, "save_file", no_space)
    with pytest.raises(RunError, match="No space left on device"):
        sm.run("siamese", runs_dir=tmp_path, **short | TINY)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert all((tmp_path / first.name / name).read_bytes() == (first / name).read_bytes() for name in FILES)


def test_an_interruption_leaves_nothing(short, tmp_path):
    def interrupt(stage, done, total):  # noqa: ARG001
        if done == 3:
            raise KeyboardInterrupt

    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        sm.run("siamese", runs_dir=tmp_path, progress=interrupt, **short | TINY)
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.get_rng_state(), state)


def test_a_place_that_cannot_be_written_is_found_before_training(short, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(RunError, match="cannot write a run to"):
            sm.run("siamese", runs_dir=place, progress=never, **short)

    def no_space(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(RunError, match="No space left on device"):
        sm.run("siamese", runs_dir=tmp_path / "runs", progress=never, **short)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "siamse"}, "unknown variant 'siamse'; did you mean 'siamese'"),
        ({"recipe": "reprot"}, "unknown recipe 'reprot'; did you mean 'report'"),
        ({"dataset": "mnist-smal"}, "unknown data set 'mnist-smal'; did you mean 'mnist-small'"),
        ({"backbone": "reports"}, "unknown backbone 'reports'; did you mean 'report'"),
        ({"loss": "contrastiv"}, "unknown loss 'contrastiv'; did you mean 'contrastive'"),
        ({"head": "classifier"}, "head 'classifier' does not fit design 'siamese'"),
        ({"backbone_options": {"block": 3}}, "no option 'block'; did you mean 'blocks'"),
        ({"epoch": 3}, "unknown setting 'epoch'; did you mean 'epochs'"),
        ({"seed": -1}, r"seed must be >= 0 and <= 4294967295, got -1"),
        ({"epochs": 0}, "epochs must be >= 1, got 0"),
        ({"pretrain_epochs": -1}, "pretrain_epochs must be >= 0, got -1"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be > 0, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be > 0, got nan"),
        ({"same_fraction": 1.0}, "same_fraction must be > 0 and < 1, got 1.0"),
        ({"backbone_every": 2}, "backbone_every has no effect on a frozen backbone"),
        ({"backbone_optimizer": "muon"}, "backbone_optimizer has no effect on a frozen backbone"),
        ({"backbone_optimizer": "moun"}, "unknown backbone_optimizer 'moun'; use one of adam, muon"),
        ({"device": "cpuu"}, "device"),
        ({"device": "meta"}, r"device 'meta' cannot be used .*; cpu always can"),
        ({"test_pairs": 1}, "test_pairs must be large enough for both same and different pairs, got 1: all"),
        ({"train_pairs": 1}, "train_pairs must be large enough for both same and different pairs, got 1: all"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_bad_settings_are_found_before_training(short, tmp_path, changes, message):
    given = {"variant": "siamese", **short, **changes}
    with pytest.raises(sm.UsageError, match=message):
        sm.run(given.pop("variant"), runs_dir=tmp_path, progress=never, **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"learning_rate": 1e30},
            r"phase 2 diverged: the loss is (nan|inf) at update \d+ of 4; lower learning_rate \(it is 1e\+30\)",
        ),
        (
            {"pretrain_epochs": 1, "pretrain_learning_rate": 1e38},
            r"phase 1 diverged: .* of 10; lower pretrain_learning_rate \(it is 1e\+38\)",
        ),
        (
            {"backbone_learning_rate": 1e38, "loss": "triplet"},
            r"phase 2 diverged: .* of 4; lower learning_rate \(it is 0.001\) or backbone_learning_rate \(it is 1e",
        ),
        (
            {"learning_rate": 1e38, "epochs": 1, "batch_size": 200},
            "head.project.0.weight is not finite after update 1 of 1; lower",
        ),
    ],
)
def test_a_diverged_training_leaves_nothing(short, tmp_path, changes, message):
    with pytest.raises(DivergedError, match=message) as found:
        sm.run("siamese", runs_dir=tmp_path, **short | TINY | changes)
    assert "\n" not in str(found.value)
    assert list(tmp_path.iterdir()) == []


def test_find_run(finished, short, tmp_path):
    settings = Settings.resolve("siamese", **short)
    assert find_run(settings, tmp_path / "nowhere") is None
    first = Path(finished["siamese"].run_dir)
    for age, name in enumerate(("newest", "older", "damaged", "incomplete")):
        shutil.copytree(first, tmp_path / name)
        os.utime(tmp_path / name / "result.json", (9_000 - age, 9_000 - age))
    (tmp_path / "damaged" / "result.json").write_text("{")
    (tmp_path / "incomplete" / "result.json").unlink()
    found = find_run(settings, tmp_path)
    assert found.run_dir == str(tmp_path / "newest")
    assert bare(found.test) == bare(finished["siamese"].test)
    os.utime(tmp_path / "older" / "result.json", (10_000, 10_000))
    assert find_run(settings, tmp_path).run_dir == str(tmp_path / "older")


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"epochs": 3}, {"dataset": "mnist-tenth"}, {"loss_options": {"neg_margin": 0.4}}]
)
def test_find_run_wants_exactly_these_settings(runs_dir, short, changes):
    assert find_run(Settings.resolve("siamese", **short), runs_dir)
    assert find_run(Settings.resolve("siamese", **short | changes), runs_dir) is None


def test_find_run_wants_this_version(finished, short, tmp_path):
    first = Path(finished["siamese"].run_dir)
    shutil.copytree(first, tmp_path / first.name)
    path = tmp_path / first.name / "result.json"
    result = json.loads(path.read_text())
    result["versions"]["siamese_mnist"] = "0.0.1"
    path.write_text(json.dumps(result))
    assert find_run(Settings.resolve("siamese", **short), tmp_path) is None


def test_bfloat16_gives_the_same_figures_whatever_the_threads(tmp_path):
    settings = Settings.resolve("siamese", recipe="short", dataset="mnist-small", train_pairs=600, test_pairs=300)
    before = torch.get_num_threads()
    scores = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            run = experiment.run_settings(settings, runs_dir=tmp_path / str(threads))
            assert torch.get_num_threads() == threads
            scores.append(read_scores(run.run_dir)["score"])
    finally:
        torch.set_num_threads(before)
    assert (scores[0] == scores[1]).all()
