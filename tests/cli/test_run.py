"""`siamese-mnist run`."""

import json
import re
from pathlib import Path

import pytest

from siamese_mnist.settings.grammar import SETTINGS

QUICK = ["--dataset", "mnist-small", "--recipe", "short-test"]
TINY = [*QUICK, "--train-pairs", "200", "--test-pairs", "100", "--pretrain-epochs", "0", "--epochs", "1"]


def test_json_is_all_of_stdout(command, tmp_path):
    done = command("run", "siamese", *TINY, "--seed", "3", "--runs-dir", tmp_path / "runs", "--json")
    assert done.status == 0
    result = json.loads(done.out)
    assert result["variant"] == "siamese"
    assert result["seed"] == 3
    assert result["config"]["protocol"]["train_pairs"] == 200
    run_dir = Path(result["run_dir"])
    assert run_dir.parent == tmp_path / "runs"
    assert json.loads((run_dir / "result.json").read_text()) == result


def test_summary_and_progress(command, tmp_path):
    """Figures on stdout, progress on stderr: in a pipe one plain line a stage."""
    arguments = [*TINY, "--pretrain-epochs", "1", "--runs-dir", tmp_path]
    done = command("run", "baseline", *arguments)
    assert done.status == 0
    (result,) = (json.loads(path.read_text()) for path in tmp_path.glob("*/result.json"))
    lines = dict(line.split("  ", 1) for line in done.out.splitlines())
    assert f"{result['test']['accuracy']:.4f}" in lines["pair accuracy"]
    assert f"{result['test']['roc_auc']:.4f}" in lines["ROC-AUC"]
    assert f"recall {result['test']['same']['recall']:.3f}" in lines["same"]
    assert lines["run"].strip() == result["run_dir"]
    assert "\x1b" not in done.out + done.err
    first, second, warning = done.err.splitlines()
    assert warning.startswith("warning: these answers are not shown to be better than guessing (accuracy 0.")
    assert re.fullmatch(r"baseline, seed 0: phase 1, 10 updates in \d+\.\d s", first)
    assert re.fullmatch(r"baseline, seed 0: phase 2, 4 updates in \d+\.\d s", second)


def test_no_warning_where_answers_are_better_than_guessing(command, tmp_path):
    words = ("--recipe", "fast", "--train-pairs", "1500", "--test-pairs", "300")
    assert "guessing" not in command("run", "siamese", *words, "--runs-dir", tmp_path).err


def test_the_warning_is_over_classes_where_they_are_new(command, tmp_path):
    """Six known digits teach little of two others: over images the interval is narrow, over two classes it is not."""
    words = ("--recipe", "short", "--split", "classes", "--train-pairs", "2000", "--test-pairs", "2000")
    done = command("run", "siamese", *words, "--runs-dir", tmp_path)
    (result,) = (json.loads(path.read_text()) for path in tmp_path.glob("*/result.json"))
    assert result["test"]["accuracy"] > 0.55
    assert "not shown to be better than guessing" in done.err


def test_options_reach_the_settings(command, tmp_path):
    arguments = ["--backbone-arg", "blocks=1", "--head-arg", "embedding_dim=8", "--loss-arg", "neg_margin=0.25"]
    arguments += ["--batch-size", "50", "--learning-rate", "0.01", "--no-curve"]
    done = command("run", "siamese", *TINY, *arguments, "--runs-dir", tmp_path, "--json")
    config = json.loads(done.out)["config"]
    assert config["parts"]["backbone_options"] == {"blocks": 1}
    assert config["parts"]["head_options"] == {"embedding_dim": 8}
    assert config["parts"]["loss_options"] == {"neg_margin": 0.25}
    assert config["protocol"]["batch_size"] == 50
    assert config["protocol"]["learning_rate"] == 0.01
    assert config["protocol"]["curve"] is False


def test_no_progress_between_lines_of_json(command, tmp_path, terminal):
    """A terminal changes nothing about what a program reads."""
    terminal(80)
    done = command("run", "siamese", *TINY, "--runs-dir", tmp_path, "--json")
    assert json.loads(done.out)["variant"] == "siamese"
    assert done.out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["siamse"], "unknown variant 'siamse'; did you mean 'siamese'"),
        (["siamese", "--loss", "contrastiv"], "unknown loss 'contrastiv'; did you mean 'contrastive'"),
        (["siamese", "--head", "distanc"], "unknown head 'distanc'; did you mean 'distance'"),
        (["siamese", "--backbone", "reprt"], "unknown backbone 'reprt'; did you mean 'report'"),
        (["siamese", "--recipe", "reprot"], "unknown recipe 'reprot'; did you mean 'report'"),
        (["siamese", "--dataset", "mnist-tent"], "unknown data set 'mnist-tent'; did you mean 'mnist-tenth'"),
        (["baseline", "--loss", "contrastive"], "head 'classifier' trains with its own loss"),
        (["siamese", "--epochs", "-1"], "epochs must be >= 1, got -1"),
        (["siamese", "--pretrain-epochs", "-2"], "pretrain_epochs must be >= 0, got -2"),
        (["siamese", "--learning-rate", "nan"], "learning_rate must be > 0, got nan"),
        (["siamese", "--seed", "-1"], "seed must be >= 0 and <= 4294967295, got -1"),
        (["siamese", "--seed", str(2**64)], "seed"),
        (["siamese", "--head-arg", "embeding_dim=3"], "no option 'embeding_dim'; did you mean 'embedding_dim'"),
        (["siamese", "--head-arg", "embedding_dim"], "options are written name=value, got 'embedding_dim'"),
        (["siamese", "--loss-arg", "neg_margin=wide"], "option neg_margin must be a finite number, got 'wide'"),
        (["siamese", "--augment", "rotate=5"], "augmentation has no effect on a frozen backbone"),
        (["siamese", "--supervision", "triplets"], "unknown supervision 'triplets'"),
        (["siamese", "--device", "cpuu"], "device"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(mistake, tmp_path, arguments, message):
    defaults = [] if {"--dataset", "--recipe"} & set(arguments) else QUICK
    assert message in mistake("run", *arguments, *defaults, "--runs-dir", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("dataset", "message"), [("mnist", "--download"), ("folder", "is not a folder"), ("fashion-mnist", "--data-dir")]
)
def test_unreadable_data_folder(mistake, tmp_path, dataset, message):
    (tmp_path / "file").touch()
    for place in (tmp_path / "nowhere", tmp_path / "file"):
        line = mistake("run", "siamese", "--dataset", dataset, "--data-dir", place, "--runs-dir", tmp_path / "runs")
        assert message in line
        assert str(place) in line


def test_runs_dir_that_cannot_be_written(mistake, tmp_path):
    (tmp_path / "file").touch()
    line = mistake("run", "siamese", *TINY, "--runs-dir", tmp_path / "file")
    assert f"cannot write a run to {tmp_path / 'file'}" in line
    assert "--runs-dir" in line


def test_an_entry_is_taken_as_compare_takes_it(command, tmp_path):
    """Every setting has an option, and an entry may say the same."""
    entry = "siamese:loss=triplet,backbone.blocks=1,same_fraction=0.4"
    done = command("run", entry, *TINY, "--adam-beta2", "0.99", "--runs-dir", tmp_path, "--json")
    config = json.loads(done.out)["config"]
    assert (config["variant"], config["parts"]["loss"]) == ("siamese", "triplet")
    assert config["parts"]["backbone_options"] == {"blocks": 1}
    assert (config["protocol"]["same_fraction"], config["protocol"]["adam_beta2"]) == (0.4, 0.99)


@pytest.mark.parametrize("name", ["run", "compare"])
def test_every_setting_has_an_option(command, name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = re.findall(r"--[\w-]+", command(name, "--help").out)
    for field in SETTINGS.values():
        assert (f"--{field.option.replace('_', '-')}" in shown) == (name == "run" or field.name != "seed")


def test_where_fewer_pairs_exist_all_of_them_are_drawn(command, short, tmp_path):
    given = ["--dataset", short["dataset"], "--recipe", short["recipe"], "--runs-dir", tmp_path]
    done = command("run", "siamese", *given, "--test-pairs", 100_000)
    (told,) = [line for line in done.out.splitlines() if line.startswith("test pairs")]
    drawn = int(told.split()[2].strip(",").replace(",", ""))
    assert told.endswith(f"{drawn:,}, all that there are, where 100,000 were asked for")
    assert 15_000 < drawn < 25_000  # of 300 images in ten classes, each class has about 900 genuine pairs
