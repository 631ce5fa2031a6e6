"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import siamese_mnist


def modules():
    """Names of all modules whose source has an example."""
    for module in pkgutil.walk_packages(siamese_mnist.__path__, "siamese_mnist."):
        loader = module.module_finder.find_spec(module.name).loader
        if ">>> " in (loader.get_source(module.name) or ""):
            yield module.name


@pytest.mark.parametrize("name", list(modules()))
def test_examples(name):
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert done.attempted > 0
    assert done.failed == 0


def test_the_rooms_of_plain_functions_have_examples():
    assert {"siamese_mnist.registry", "siamese_mnist.data.pairs", "siamese_mnist.evaluation.ranking"} <= set(modules())
