"""The wheel: what pip would install."""

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.iterdir()
    with zipfile.ZipFile(path) as archive:
        yield archive


def metadata(wheel, name):
    (path,) = (each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_top_level(wheel):
    """No package named `cli`, no tests, no docs: only these two names reach site-packages."""
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"siamese_mnist", "siamese_mnist_cli"}


@pytest.mark.parametrize(("package", "source"), [("siamese_mnist", "."), ("siamese_mnist_cli", "cli")])
def test_every_module_is_inside(wheel, package, source):
    modules = {path.relative_to(ROOT / source).as_posix() for path in (ROOT / source / package).rglob("*.py")}
    assert len(modules) > 5
    assert modules == {name for name in wheel.namelist() if name.startswith(f"{package}/") and name.endswith(".py")}


def test_data_and_licences(wheel):
    names = wheel.namelist()
    for name in ("mnist-tenth.npz", "glyphs.npz", "NOTICE"):
        assert wheel.read(f"siamese_mnist/data/{name}") == (ROOT / "siamese_mnist" / "data" / name).read_bytes()
    licences = {name.split(".dist-info/licenses/")[1] for name in names if ".dist-info/licenses/" in name}
    data = "siamese_mnist/data"
    assert licences == {
        "LICENSE",
        f"{data}/NOTICE",
        f"{data}/licenses/Apache-2.0.txt",
        f"{data}/licenses/OFL-1.1.txt",
    }
    assert not [name for name in names if name.endswith((".pyc", ".safetensors"))]


def test_entry_point(wheel):
    assert "siamese-mnist = siamese_mnist_cli.main:main" in metadata(wheel, "entry_points.txt").splitlines()


def test_metadata(wheel):
    fields = Parser().parsestr(metadata(wheel, "METADATA"))
    assert fields["Name"] == "siamese-mnist"
    assert fields["License-Expression"] == "MIT AND CC-BY-SA-3.0"
    required = [line for line in fields.get_all("Requires-Dist") if "extra ==" not in line]
    needed = {re.match(r"[\w.-]+", line).group() for line in required}
    assert {"torch", "torchvision", "pytorch-metric-learning", "typer", "rich", "safetensors"} <= needed
    assert not needed & {"keras", "pytest", "hypothesis"}


def test_types_are_shipped(wheel):
    assert "siamese_mnist/py.typed" in wheel.namelist()
