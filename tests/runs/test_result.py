"""Results: typed in Python, flat in JSON."""

import dataclasses
import pickle

import numpy as np
import pytest

from siamese_mnist.evaluation import Decision
from siamese_mnist.runs.result import FORMAT, RunResult
from siamese_mnist.settings.settings import Settings
from tests.conftest import example_result


@pytest.fixture
def result():
    return RunResult.from_dict(example_result())


def test_json_and_back(result):
    assert result.as_dict() == example_result()
    assert RunResult.from_dict(result.as_dict()) == result
    assert pickle.loads(pickle.dumps(result)) == result


def test_fields_by_attribute_and_by_key(result):
    assert result.test.same.f1 == result["test"]["same"]["f1"] == 0.85
    assert result.format == FORMAT == 2
    with pytest.raises(KeyError, match="no field 'accuracy'; there are: format, variant, "):
        result["accuracy"]
    with pytest.raises(AttributeError):
        _ = result.accuracy
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.seed = 3


def test_a_metric_of_a_plugin_stands_among_the_others():
    values = example_result()
    values["test"] = {**values["test"], "my_metric": 12.5, "my_table": {"a": [1, 2]}}
    result = RunResult.from_dict(values)
    assert result.test["my_metric"] == 12.5
    assert result["test"]["my_table"] == {"a": [1, 2]}
    assert result.test["accuracy"] == 0.75
    assert "my_metric" in result.test
    assert "another" not in result.test
    assert result.as_dict() == values


def test_the_decision_decides(result):
    assert isinstance(result.decision, Decision)
    assert result.decision.predict([0.4, 0.5]).tolist() == [False, True]
    np.testing.assert_allclose(result.decision.probability([0.5]), 0.5)


def test_settings_as_a_value(finished, short):
    assert finished["siamese"].settings == Settings.resolve("siamese", **short)
    values = example_result()
    values["config"] = {**values["config"], "flavour": "of a later version"}
    assert RunResult.from_dict(values).settings is None
