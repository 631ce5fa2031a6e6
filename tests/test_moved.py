"""Old module names import what has moved, and say so."""

import importlib
import subprocess
import sys

import pytest

import siamese_mnist as sm
from siamese_mnist._moved import MOVED

# Of siamese-mnist 0.1.0, all modules that were not in a package.
FORMER = """
adam augmentation backbones batches bootstrap bundle comparison data entries errors estimator evaluation
experiment figures files gallery heads intervals jobs losses machine model_card models normalisation onnx
pairs parallel prediction protocol recipes registry report runs scored scorefile settings testing training
verifier
"""


@pytest.fixture(autouse=True)
def forget():
    """Old names are looked up anew in every test."""
    yield
    for name in [name for name in sys.modules if any(name == old or name.startswith(f"{old}.") for old in MOVED)]:
        del sys.modules[name]
    for old in MOVED:
        vars(sm).pop(old.removeprefix("siamese_mnist."), None)


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_is_the_new_module(old):
    new = importlib.import_module(MOVED[old])
    spec = new.__spec__
    with pytest.warns(DeprecationWarning, match=f"^{old} has moved to {MOVED[old]}; import it from there$"):
        assert importlib.import_module(old) is new
    assert new.__spec__ is spec
    assert (new.__name__, spec.name) == (MOVED[old], MOVED[old])


@pytest.mark.parametrize("name", FORMER.split())
@pytest.mark.filterwarnings("ignore:.* has moved to:DeprecationWarning")
def test_every_former_module_imports(name):
    importlib.import_module(f"siamese_mnist.{name}")


@pytest.mark.filterwarnings("ignore:.* has moved to:DeprecationWarning")
def test_modules_within_a_moved_package():
    from siamese_mnist.heads.base import StackedHead as Old

    from siamese_mnist.parts.heads.base import StackedHead

    assert Old is StackedHead


@pytest.mark.parametrize(("package", "name"), [("runs", "read_run"), ("training", "train"), ("settings", "Settings")])
def test_names_of_modules_that_became_packages(package, name):
    module = importlib.import_module(f"siamese_mnist.{package}")
    with pytest.warns(DeprecationWarning, match=rf"siamese_mnist\.{package}\.{name} has moved to"):
        assert callable(getattr(module, name))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


def test_unknown_names_stay_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'siamese_mnist\.nothing'"):
        importlib.import_module("siamese_mnist.nothing")


def test_the_warning_points_to_the_importing_line(tmp_path):
    program = tmp_path / "old.py"
    program.write_text("import siamese_mnist\n\nfrom siamese_mnist.verifier import load\n")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert f"{program}:3: DeprecationWarning" in done.stderr
