"""An import that waits is made when something of the module is first used, by whoever asks."""

import importlib
import subprocess
import sys

import pytest

from siamese_mnist.system.imports import put_off

USER = "import package.part\n\ndef use():\n    return package.part.value\n"
EAGER = "from package.part import value\n"


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """A package that imports its module `part` when it is asked for, and two modules that use it, later and at once."""
    (tmp_path / "package").mkdir()
    lazy = "import importlib\n\ndef __getattr__(name):\n    return importlib.import_module('package.' + name)\n"
    for name, text in {
        "package/__init__.py": lazy,
        "package/part.py": "value = 42\n",
        "later_user.py": USER,
        "eager_user.py": EAGER,
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    for name in ("package", "package.part", "later_user", "eager_user"):
        sys.modules.pop(name, None)


def test_a_module_is_imported_when_it_is_used():
    with put_off("package.part"):
        user = importlib.import_module("later_user")
    assert "package.part" not in sys.modules
    assert user.use() == 42
    assert sys.modules["package.part"].__file__


def test_whoever_needs_it_at_once_has_it_at_once():
    with put_off("package.part"):
        assert importlib.import_module("eager_user").value == 42
        assert sys.modules["package.part"].__file__
    assert sys.modules["package.part"].__file__


def test_what_is_imported_already_stays():
    part = importlib.import_module("package.part")
    with put_off("package.part"):
        assert sys.modules["package.part"] is part
    assert sys.modules["package.part"] is part


def test_nothing_stays_behind_a_failure():
    with pytest.raises(ZeroDivisionError), put_off("package.part"):
        raise ZeroDivisionError
    assert "package.part" not in sys.modules


def test_no_loss_and_no_miner_imports_the_statistics_of_scipy_which_the_library_still_finds():
    program = (
        "import sys\n"
        "from siamese_mnist.parts.losses import LOSSES, MINERS, create_loss\n"
        "for name in LOSSES.names():\n"
        "    loss = create_loss(name, {}, None, {}, classes=10, embedding_dim=64)\n"
        "for name in MINERS.names():\n"
        "    create_loss('triplet', {}, name, {}, classes=10, embedding_dim=64)\n"
        "assert 'pytorch_metric_learning' in sys.modules and 'scipy.stats' not in sys.modules\n"
        "from pytorch_metric_learning.utils import common_functions\n"
        "assert common_functions.scipy.stats.rankdata([30, 10, 20]).tolist() == [3, 1, 2]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not done.returncode, done.stderr
