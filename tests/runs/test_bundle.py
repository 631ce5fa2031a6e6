"""Bundles: whole, checked, and never trusted."""

import hashlib
import json
import pickle
import shutil
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from siamese_mnist import UsageError, load
from siamese_mnist.evaluation import Decision
from siamese_mnist.evaluation.intervals import accuracy_interval
from siamese_mnist.runs import bundle
from siamese_mnist.runs.bundle import FILES, FORMAT_VERSION, BundleError, read_bundle, write_bundle
from siamese_mnist.runs.store import RunError


@pytest.fixture(scope="module")
def run_dir(finished):
    return finished["siamese"].run_dir


@pytest.fixture(scope="module")
def pristine(run_dir, tmp_path_factory):
    """A bundle as a folder and as a zip file; tests only read them."""
    place = tmp_path_factory.mktemp("bundles")
    return write_bundle(run_dir, place / "folder"), write_bundle(run_dir, place / "file.zip")


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine[0], tmp_path / "copy")


@pytest.mark.parametrize("kind", [0, 1])
def test_a_bundle_answers_as_its_run(pristine, run_dir, small, kind):
    pixels = small.test.images.numpy()
    ours, theirs = load(pristine[kind]), load(run_dir)
    np.testing.assert_array_equal(ours.score(pixels[:50], pixels[50:100]), theirs.score(pixels[:50], pixels[50:100]))
    assert ours.decision == theirs.decision


def test_content(pristine, run_dir, finished):
    folder = pristine[0]
    assert {path.name for path in folder.iterdir()} == {"bundle.json", "calibration.npz", "scorer.json", *FILES}
    manifest = json.loads((folder / "bundle.json").read_text())
    assert manifest["format_version"] == FORMAT_VERSION
    for name in FILES:
        assert manifest["files"][name]["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    weights, expected = load_file(folder / "model.safetensors"), load_file(run_dir + "/model.safetensors")
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    with zipfile.ZipFile(pristine[1]) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.name: path.read_bytes() for path in folder.iterdir()
        }
    run = finished["siamese"]
    assert json.loads((folder / "decision.json").read_text()) == {
        "threshold": run.decision.threshold,
        "slope": run.decision.slope,
        "prior": run.decision.prior,
        "fitted_on": run.decision.fitted_on,
    }


def test_model_card(pristine, run_dir, finished):
    card = (pristine[0] / "README.md").read_text()
    test = finished["siamese"].test
    saved = np.load(run_dir + "/test_scores.npz")
    decision = Decision(finished["siamese"].decision.threshold, finished["siamese"].decision.slope)
    low, high = accuracy_interval(decision.predict(saved["score"]) == saved["same"], saved["left"], saved["right"])
    assert f"| accuracy | {test.accuracy:.4f} ({low:.4f} to {high:.4f}) |" in card
    assert test.pairs_digest in card
    assert finished["siamese"].train.pairs_digest in card
    assert "## Licence" in card
    assert "| swap agreement | 1.0000 |" in card


def test_the_same_bytes_again(pristine, run_dir, tmp_path):
    assert write_bundle(run_dir, tmp_path / "again.zip").read_bytes() == pristine[1].read_bytes()
    with zipfile.ZipFile(pristine[1]) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}, "no time of making"


def test_what_is_there_stays(run_dir, tmp_path):
    (tmp_path / "mine.zip").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for place in ("mine.zip", "folder"):
        with pytest.raises(BundleError, match="exists already; name another place"):
            write_bundle(run_dir, tmp_path / place)
    with pytest.raises(BundleError, match="cannot write"):
        write_bundle(run_dir, tmp_path / "file" / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "mine.zip"]
    assert (tmp_path / "mine.zip").read_text() == "mine"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["changed", "cut", "longer", "missing"])
def test_any_changed_file_is_found(folder, name, damage):
    content = (folder / name).read_bytes()
    if damage == "missing":
        (folder / name).unlink()
    else:
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (folder / name).write_bytes({"changed": changed, "cut": content[:-1], "longer": content + b" "}[damage])
    what = "has no" if damage == "missing" else "has changed since the bundle was made"
    with pytest.raises(BundleError, match=what):
        load(folder)


MANIFESTS = {
    "a newer format": ({"format_version": FORMAT_VERSION + 1}, "install a newer siamese-mnist"),
    "another format": ({"format": "a cake"}, "is not a bundle of siamese-mnist: .* says 'a cake'"),
    "no version": ({"format_version": "1"}, "no valid format version"),
    "a path": ({"files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}, "does not list the files of a bundle"),
    "no sizes": ({"files": dict.fromkeys(FILES, 3)}, "gives no size"),
    "a list": ({"files": []}, "does not list the files"),
}


@pytest.mark.parametrize(("changes", "message"), MANIFESTS.values(), ids=MANIFESTS)
def test_manifests(folder, changes, message):
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(manifest | changes))
    with pytest.raises(BundleError, match=message):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_manifest_that_is_none(folder, content):
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json in .* is not"):
        load(folder)


def repack(folder, path, *, compression=zipfile.ZIP_STORED, extra=None):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        if extra:
            archive.writestr(extra, "mine")
    return path


def test_archives_of_other_hands(folder, tmp_path):
    outside = tmp_path / "outside"
    assert isinstance(read_bundle(repack(folder, tmp_path / "again.zip")), tuple)
    for name in ("../outside", str(outside), "notes.txt"):
        with pytest.raises(BundleError, match="holds more than a bundle does"):
            load(repack(folder, tmp_path / "extra.zip", extra=name))
    assert not outside.exists()
    with pytest.raises(BundleError, match="is compressed, which bundles are not"):
        load(repack(folder, tmp_path / "small.zip", compression=zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("photo.png", "x")
    with pytest.raises(BundleError, match=r"has no bundle\.json"):
        load(tmp_path / "foreign.zip")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(folder, tmp_path):
    """Pickles in the place of weights, of an archive and of a manifest's file, with checksums that agree."""
    content = pickle.dumps(Bomb())
    (tmp_path / "model.zip").write_bytes(content)
    torch.save({"w": Bomb()}, tmp_path / "model.pt")
    for path in ("model.zip", "model.pt"):
        with pytest.raises(BundleError):
            load(tmp_path / path)
    (folder / "model.safetensors").write_bytes(content)
    agree(folder)
    with pytest.raises(BundleError, match=r"the weights in .* cannot be read"):
        load(folder)


def agree(folder):
    """Makes the checksums right again, as a forger would."""
    manifest = json.loads((folder / "bundle.json").read_text())
    for name in FILES:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "bundle.json").write_text(json.dumps(manifest))


FORGED = {
    "no decision": ("decision.json", {"threshold": None}),
    "a threshold of none": ("decision.json", {"threshold": float("nan")}),
    "an unknown head": ("config.json", {"parts": {"head": "of a horse"}}),
    "other weights": ("config.json", {"image_size": [60, 60]}),
    "no size": ("config.json", {"image_size": 28}),
    "a million networks": ("config.json", {"parts": {"backbone": "convnet", "backbone_options": {"members": 10**6}}}),
    "more memory than there is": ("config.json", {"image_size": [20_000, 20_000]}),
    "huge parts": ("config.json", {"parts": {"backbone_options": {"blocks": 99}}}),
}


@pytest.mark.parametrize(("name", "changes"), FORGED.values(), ids=FORGED)
def test_forged_settings(folder, name, changes):
    values = json.loads((folder / name).read_text())
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    (folder / name).write_text(json.dumps(values))
    agree(folder)
    with pytest.raises(UsageError, match=str(folder)) as caught:
        load(folder)
    assert "\n" not in str(caught.value).strip()


def test_weights_of_another_type(folder):
    """Whole numbers would be taken for weights, and answer."""
    weights = {name: tensor.to(torch.int8) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors")
    agree(folder)
    with pytest.raises(UsageError, match="other names, shapes or types"):
        load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(folder, value):
    """A probability of NaN would be an answer: different."""
    weights = load_file(folder / "model.safetensors")
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    save_file(weights | {name: weights[name] + value}, folder / "model.safetensors")
    agree(folder)
    with pytest.raises(UsageError, match=f"{name} holds a number that is not finite"):
        load(folder)


def test_missing_and_damaged_files(tmp_path, pristine):
    with pytest.raises(UsageError, match="not a complete run"):
        load(tmp_path / "nowhere")
    content = pristine[1].read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.zip").write_bytes(content[:length])
        with pytest.raises(BundleError, match="make the bundle again"):
            load(tmp_path / "cut.zip")


def test_a_run_that_is_damaged(run_dir, tmp_path):
    copy = shutil.copytree(run_dir, tmp_path / "run")
    (copy / "model.safetensors").write_bytes(b"short")
    with pytest.raises(RunError, match=r"model\.safetensors cannot be read"):
        write_bundle(copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_end_in_one_line(tmp_path, pristine, data):
    """A flipped byte is found, or lies in what zip files do not need; nothing else appears on disk."""
    content = bytearray(pristine[1].read_bytes())
    size = len(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, size - 1), st.integers(0, 200), st.integers(size - 600, size - 1)))
        content[place] = data.draw(st.integers(0, 255))
    place = tmp_path / "fuzz"
    place.mkdir(exist_ok=True)
    (place / "x.zip").write_bytes(content[: data.draw(st.integers(size - 100, size))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = read_bundle(place / "x.zip")
        except UsageError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert found.decision == bundle.read_bundle(pristine[1]).decision
    assert [path.name for path in place.iterdir()] == ["x.zip"]
