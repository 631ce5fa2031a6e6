"""`siamese-mnist stress`."""

import json

import pytest
from PIL import Image

from siamese_mnist.stress import table


def test_table_json_and_picture(command, finished, tmp_path, monkeypatch):
    """Every condition has a threshold of its own, and the whole figure is that of the run."""
    seen = []
    fit = table.fit_decision
    monkeypatch.setattr(table, "fit_decision", lambda scores, same: seen.append(len(same)) or fit(scores, same))
    run, place = finished["siamese"], tmp_path / "stress.png"
    done = command("stress", run.run_dir, "--json", "--output", place, "--data-dir", tmp_path)
    assert done.status == 0
    found = json.loads(done.out)
    assert found["accuracy"] == pytest.approx(run.test.accuracy)
    assert found["swap_agreement"] == 1
    kinds = [each["kind"] for each in found["trials"]]
    assert kinds[:25] == ["clean"] + ["corruption"] * 24
    assert len(seen) == len(kinds)
    for each in found["trials"]:
        assert each["interval"][0] <= each["accuracy"] <= each["interval"][1]
    assert "mnist" in found["skipped"]
    with Image.open(place) as picture:
        assert picture.width > 500


def test_no_run(mistake, tmp_path):
    assert "no run of 'siamese'" in mistake("stress", "siamese", "--runs-dir", tmp_path)
