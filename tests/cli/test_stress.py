"""`siamese-mnist stress`."""

import json

import pytest
from PIL import Image

from siamese_mnist import UsageError, load_dataset
from siamese_mnist.runs.bundle import write_bundle
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


def test_a_bundle_is_put_under_stress_as_its_run(finished, tmp_path, monkeypatch):
    run = finished["baseline"]  # whose answers depend on the order of the images
    monkeypatch.setattr(table, "CORRUPTIONS", ())
    expected = table.stress(run, tmp_path).as_dict()
    bundle = write_bundle(run.run_dir, tmp_path / "bundle.zip")
    found = table.stress(bundle, tmp_path).as_dict()
    assert found == {**expected, "run": str(bundle)}
    monkeypatch.setattr(table, "load_dataset", lambda *_, **__: load_dataset("mnist-tenth"))
    with pytest.raises(UsageError, match="these test images are not those of the bundle"):
        table.stress(bundle, tmp_path)


def test_variants_side_by_side(command, finished, runs_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "CORRUPTIONS", ("contrast",))
    words = ("compare", "baseline", "siamese", "--recipe", "short-test", "--dataset", "mnist-small", "--seeds", "1")
    words += ("--runs-dir", runs_dir, "--data-dir", tmp_path, "--stress")
    found = json.loads(command(*words, "--json").out)["stress"]
    assert list(found) == ["baseline", "siamese"]
    for name, stressed in found.items():
        assert stressed["accuracy"] == pytest.approx(finished[name].test.accuracy)
    done = command(*words, "--stress-picture", tmp_path / "beside.svg")
    text = (tmp_path / "beside.svg").read_text()
    assert all(f">{name}<" in text for name in ("baseline", "siamese", "contrast"))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines() if line.startswith("│")]
    by_title = {row[0]: row[1:] for row in rows}
    for severity in (1, 2, 3):
        cells = by_title[f"contrast {severity}"]
        trials = [found[name]["trials"][severity] for name in found]
        assert [cell.split()[0] for cell in cells] == [f"{each['accuracy']:.4f}" for each in trials]
    assert by_title["worst slice"][0].startswith(f"{found['baseline']['slices'][0]['kind']} ")
    assert "| contrast 3 |" in command(*words, "--markdown").out


def test_no_run(mistake, tmp_path):
    assert "no run of 'siamese'" in mistake("stress", "siamese", "--runs-dir", tmp_path)


def test_a_picture_that_has_no_place_is_refused_before_training(mistake, tmp_path):
    told = mistake("compare", "--stress-picture", tmp_path / "beside.pdf", "--runs-dir", tmp_path / "runs")
    assert "--stress-picture must be a .png or .svg file" in told
    assert not (tmp_path / "runs").exists()
