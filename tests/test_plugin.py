"""The example plugin, installed beside the library, is found, listed, used, and its absence changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "plugin"


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


def command(*arguments, site=None):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if site:
        environment["PYTHONPATH"] = str(site)
    return subprocess.run(
        [sys.executable, "-m", "siamese_mnist_cli", *arguments], env=environment, capture_output=True, text=True
    )


def test_parts_are_listed_with_their_origin_and_a_broken_one_is_named(plugin):
    listed = json.loads(command("list", "--json", site=plugin).stdout)
    origins = {part["name"]: part["origin"] for kind in listed.values() for part in kind["parts"]}
    assert origins["pixels"] == origins["diagonal"] == origins["logistic"] == "siamese-mnist-example 0.1.0"
    assert origins["report"] == "built in"
    assert listed["heads"]["broken"] == {"broken": "broken-parts 0.1: RuntimeError: this package is out of order"}
    shown = command("list", "heads", site=plugin).stdout
    lines = [line for line in shown.splitlines() if "out of order" in line]
    assert len(lines) == 1
    assert "diagonal" in shown


def test_parts_train_through_the_command_line(plugin, tmp_path):
    small = ["--train-pairs", "12800", "--epochs", "1", "--pretrain-epochs", "0", "--runs-dir", str(tmp_path), "--json"]
    for parts in (
        ["--backbone", "pixels", "--backbone-arg", "square=4", "--loss", "logistic", "--loss-arg", "scale=5"],
        ["--backbone", "pixels", "--head", "diagonal"],
    ):
        done = command("run", "siamese", *parts, *small, site=plugin)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["test"]["accuracy"] > 0.6
        assert result["config"]["parts"]["backbone"] == "pixels"


def test_parts_keep_their_contracts(plugin):
    checks = (
        "from siamese_mnist import testing as t;"
        "t.check_backbone('pixels', square=4); t.check_head('diagonal'); t.check_loss('logistic');"
        "t.check_parts(backbone='pixels', head='distance', loss='logistic')"
    )
    environment = dict(os.environ, PYTHONPATH=str(plugin), OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", checks], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_without_the_plugin_its_parts_are_unknown_and_the_rest_works():
    done = command("run", "siamese", "--backbone", "pixels")
    assert done.returncode == 2
    assert done.stderr.startswith("siamese-mnist: unknown backbone 'pixels'")
    assert command("list", "backbones").returncode == 0
