"""Saved models are found as their users name them."""

from pathlib import Path

import pytest

from siamese_mnist.errors import UsageError
from siamese_mnist.inference.saved import locate


def test_the_newest_run_of_any_variant(runs_dir, finished, tmp_path):
    assert locate(None, runs_dir) == Path(finished["siamese"].run_dir)
    assert locate("baseline", runs_dir) == Path(finished["baseline"].run_dir)
    with pytest.raises(UsageError, match="siamese-mnist run siamese --recipe fast"):
        locate(None, tmp_path)
