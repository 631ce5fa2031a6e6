"""The example plugin, installed beside the library, is found, listed, used, and its absence changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin"
ORIGIN = "siamese-mnist-example 0.1.0"
PARTS = {
    "variants": "difference",
    "recipes": "glance",
    "designs": "difference",
    "backbones": "pixels",
    "heads": "diagonal",
    "losses": "logistic",
    "miners": "nearest-impostors",
    "schedules": "steps",
    "metrics": "sensitivity_index",
    "splits": "cross-validation",
    "datasets": "bars",
    "trackers": "json-lines",
}
CHECKS = """
from siamese_mnist import testing

testing.check_backbone("pixels", square=4)
testing.check_head("diagonal")
testing.check_loss("logistic")
testing.check_miner("nearest-impostors", count=2)
testing.check_parts(backbone="pixels", head="distance", loss="logistic")
testing.check_design("difference", head="classifier")
testing.check_metric("sensitivity_index")
testing.check_split("cross-validation", folds=4)
testing.check_schedule("steps")
testing.check_dataset("bars", angles=3)
testing.check_settings("difference:recipe=glance")
testing.check_blind("siamese:recipe=glance,loss=triplet,head=distance,miner=nearest-impostors")
testing.check_tracker("json-lines")
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """A folder for PYTHONPATH with the example installed, and a second package whose import fails."""
    folder = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--no-cache-dir", "--target", str(folder), str(EXAMPLE)], check=True)
    metadata = folder / "broken_parts-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-parts\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[siamese_mnist.heads]\nbroken = broken_parts:Head\n")
    (folder / "broken_parts.py").write_text("raise RuntimeError('this package is out of order')\n")
    return folder


@pytest.fixture(scope="module")
def trained(plugin, tmp_path_factory):
    """A folder of runs, and what `run` said of one that is made of parts of the plugin."""
    runs = tmp_path_factory.mktemp("runs")
    return runs, run("run", "difference", "--fold", "1", *conditions(runs), site=plugin)


def conditions(runs, option="angles=3"):
    """Recipe, schedule, split, and data set with an option, all of the plugin."""
    data = ["--dataset", "bars", "--dataset-arg", option, "--split", "cross-validation"]
    return ["--recipe", "glance", "--train-pairs", "640", *data, "--runs-dir", str(runs), "--json"]


def python(*arguments, site=None):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if site:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def command(*arguments, site=None):
    return python("-m", "siamese_mnist_cli", *arguments, site=site)


def run(*arguments, site):
    done = command(*arguments, site=site)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_parts_are_listed_with_their_origin_and_a_broken_one_is_named(plugin):
    listed = run("list", "--json", site=plugin)
    origins = {(kind, part["name"]): part["origin"] for kind, of in listed.items() for part in of["parts"]}
    assert {part for part, origin in origins.items() if origin == ORIGIN} == set(PARTS.items())
    assert listed.keys() == PARTS.keys(), "the example has a part of every kind"
    assert origins["backbones", "report"] == "built in"
    assert listed["heads"]["broken"] == {"broken": "broken-parts 0.1: RuntimeError: this package is out of order"}
    (bars,) = (part for part in listed["datasets"]["parts"] if part["name"] == "bars")
    assert bars["options"] == {"angles": 8}
    shown = command("list", "heads", site=plugin).stdout
    lines = [line for line in shown.splitlines() if "out of order" in line]
    assert len(lines) == 1
    assert "diagonal" in shown


def test_one_run_uses_all_kinds_of_conditions(trained):
    _, result = trained
    assert result["variant"] == result["config"]["design"] == "difference"
    assert result["config"]["dataset_options"] == {"angles": 3}
    assert result["config"]["protocol"]["schedule"] == "steps"
    assert result["split"] == {"name": "cross-validation", "fold": 1, "test_classes": None}
    assert result["test"]["pairs"] == 1000
    assert result["test"]["sensitivity_index"] > 1
    assert result["versions"]["siamese_mnist_example"] == "0.1.0"


def test_one_comparison_has_the_metric_as_a_column_and_sorts_by_it(plugin, trained):
    runs, result = trained
    entries = ["difference", "siamese:backbone=pixels"]
    asked = ["compare", *entries, "--seeds", "1", "--fold", "1", *conditions(runs), "--sort", "sensitivity_index"]
    rows = run(*asked, site=plugin)["rows"][1:]
    figures = [row["sensitivity_index"] for row in rows]
    assert figures == sorted(figures, reverse=True)
    (own,) = (row for row in rows if row["variant"] == "difference")
    assert own["sensitivity_index"] == pytest.approx(result["test"]["sensitivity_index"])
    low, high = own["sensitivity_index_interval"]
    assert low < own["sensitivity_index"] < high
    assert own["run_dirs"] == [result["run_dir"]], "it is not trained again"
    shown = command(*(each for each in asked if each != "--json"), site=plugin).stdout
    assert "d'" in shown


def test_parts_of_a_model_train_through_the_command_line(plugin, tmp_path):
    small = ["--train-pairs", "12800", "--epochs", "1", "--pretrain-epochs", "0", "--runs-dir", str(tmp_path), "--json"]
    for parts in (
        ["--backbone", "pixels", "--backbone-arg", "square=4", "--loss", "logistic", "--loss-arg", "scale=5"],
        ["--backbone", "pixels", "--head", "diagonal"],
        ["--backbone", "pixels", "--loss", "triplet", "--miner", "nearest-impostors", "--miner-arg", "count=2"],
    ):
        result = run("run", "siamese", *parts, *small, site=plugin)
        assert result["test"]["accuracy"] > 0.6
        assert result["config"]["parts"]["backbone"] == "pixels"


def test_parts_keep_their_contracts(plugin):
    done = python("-W", "error", "-c", CHECKS, site=plugin)
    assert done.returncode == 0, done.stderr


def test_a_wrong_option_of_a_part_ends_in_one_line(plugin, tmp_path):
    done = command("run", "difference", *conditions(tmp_path, "angles=1"), site=plugin)
    assert (done.returncode, done.stderr) == (2, "siamese-mnist: angles must be >= 2, got 1\n")


def test_without_the_plugin_its_parts_are_unknown_and_the_rest_works():
    done = command("run", "siamese", "--backbone", "pixels")
    assert done.returncode == 2
    assert done.stderr.startswith("siamese-mnist: unknown backbone 'pixels'")
    assert command("list", "backbones").returncode == 0


def test_without_the_plugin_a_run_says_which_part_of_which_package_it_needs(plugin, trained, tmp_path):
    _, result = trained
    needs = f"needs design 'difference' of {ORIGIN}, which is not installed"
    done = command("predict", result["run_dir"], "a.png", "b.png")
    assert (done.returncode, done.stderr) == (2, f"siamese-mnist: {result['run_dir']} {needs}\n")
    bundle = tmp_path / "bundle.zip"
    assert command("bundle", result["run_dir"], str(bundle), site=plugin).returncode == 0
    assert needs in command("predict", str(bundle), "a.png", "b.png").stderr
