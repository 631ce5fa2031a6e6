"""Damaged runs: refused in one line, skipped, trained again; never a traceback, never a wait."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from siamese_mnist.runs.store import RunError, find_run, find_runs, list_runs, read_run, scan_runs
from siamese_mnist.settings.settings import Settings


def set_field(path, value):
    """Damages one field of result.json."""

    def damage(folder):
        result = json.loads((folder / "result.json").read_text())
        *parents, last = path.split(".")
        place = result
        for name in parents:
            place = place[name]
        place[last] = value
        (folder / "result.json").write_text(json.dumps(result))

    return damage


def without(path):
    def damage(folder):
        result = json.loads((folder / "result.json").read_text())
        del result[path]
        (folder / "result.json").write_text(json.dumps(result))

    return damage


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def remove(name):
    return lambda folder: (folder / name).unlink()


def pipe(name):
    def damage(folder):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return damage


def link(name, target):
    def damage(folder):
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return damage


def make_folder(name):
    def damage(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def scores(**changes):
    def damage(folder):
        with np.load(folder / "test_scores.npz") as columns:
            stored = dict(columns)
        changed = {name: change(stored[name]) for name, change in changes.items()}
        np.savez(folder / "test_scores.npz", **stored | changed)

    return damage


def lying_header(folder):
    """A column whose header speaks of 8 TB."""
    scores(score=lambda column: column)(folder)
    path = folder / "test_scores.npz"
    content = path.read_bytes()
    assert content.count(b"'shape': (600,), ") == 5
    with np.load(path) as columns:
        stored = dict(columns)
    import io
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        for name, column in stored.items():
            stream = io.BytesIO()
            np.save(stream, column)
            data = stream.getvalue().replace(b"(600,), }         ", b"(1000000000000,), }")
            archive.writestr(f"{name}.npy", data if name == "score" else stream.getvalue())


def weights(change):
    def damage(folder):
        tensors = load_file(folder / "model.safetensors")
        name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
        tensors[name] = change(tensors[name])
        save_file(tensors, folder / "model.safetensors")

    return damage


def bigger_than(name, size):
    def damage(folder):
        with (folder / name).open("r+b") as file:
            file.truncate(size)

    return damage


HEADER = b"phase,loss,accuracy,validation_loss,validation_accuracy\n"
RESULT = {
    "versions null": set_field("versions", None),
    "versions without this package": set_field("versions", {"torch": "2"}),
    "test null": set_field("test", None),
    "test a list": set_field("test", []),
    "threshold NaN": set_field("decision.threshold", float("nan")),
    "threshold infinite": set_field("decision.threshold", float("inf")),
    "slope negative": set_field("decision.slope", -1.0),
    "no decision": without("decision"),
    "accuracy a word": set_field("test.accuracy", "high"),
    "accuracy 7": set_field("test.accuracy", 7.0),
    "accuracy null": set_field("test.accuracy", None),
    "accuracy true": set_field("test.accuracy", True),
    "a plugin's metric NaN": set_field("test.my_metric", float("nan")),
    "confusion of another shape": set_field("test.confusion_matrix", [[1]]),
    "recall below 0": set_field("test.same.recall", -0.1),
    "digest a number": set_field("test.pairs_digest", 5),
    "phase 1 null": set_field("phase1", None),
    "seconds a word": set_field("phase2.train_seconds", "long"),
    "no throughput": without("throughput"),
    "speed 0": set_field("throughput.score_pairs_per_second", 0),
    "parameters huge": set_field("parameters.backbone", 10**400),
    "config null": set_field("config", None),
    "config without recipe": set_field("config", {"variant": "siamese"}),
    "seed a word": set_field("seed", "0"),
    "variant null": set_field("variant", None),
    "a newer format": set_field("format", 3),
    "format a word": set_field("format", "2"),
    "an empty object": write("result.json", b"{}"),
    "a list": write("result.json", b"[]"),
    "no text": write("result.json", b"\xff\xfe\x00"),
    "half": write("result.json", b'{"variant": "sia'),
    "400 deep": write("result.json", b'{"a":' * 400 + b"1" + b"}" * 400),
    "100,000 deep": write("result.json", b"[" * 100_000),
    "1e999": write("result.json", b'{"total_seconds": 1e999}'),
    "too large": bigger_than("result.json", 1 << 40),
    "a pipe": pipe("result.json"),
    "endless": link("result.json", "/dev/zero"),
    "a link to itself": link("result.json", "result.json"),
    "a folder": make_folder("result.json"),
}
OTHERS = {
    "no scores": ("test_scores.npz", remove("test_scores.npz")),
    "scores no archive": ("test_scores.npz", write("test_scores.npz", b"PK")),
    "scores a pipe": ("test_scores.npz", pipe("test_scores.npz")),
    "scores NaN": ("score", scores(score=lambda column: column * np.nan)),
    "swapped scores infinite": ("swapped_score", scores(swapped_score=lambda column: column + np.inf)),
    "scores of unequal length": ("length", scores(left=lambda column: column[1:])),
    "scores of one class": ("same", scores(same=lambda column: column | True)),
    "scores of another type": ("same", scores(same=lambda column: column.astype(int))),
    "scores pickled": ("score", scores(score=lambda column: column.astype(object))),
    "negative rows": ("left", scores(left=lambda column: column - 10_000)),
    "scores with a lying header": ("score", lying_header),
    "no weights": ("model.safetensors", remove("model.safetensors")),
    "weights cut off": ("model.safetensors", bigger_than("model.safetensors", 1000)),
    "weights NaN": ("not finite", weights(lambda tensor: tensor * float("nan"))),
    "no history": ("history.csv", remove("history.csv")),
    "history of one byte": ("it has no 'phase'", write("history.csv", b"x")),
    "history empty": ("it has no 'phase'", write("history.csv", b"")),
    "history of words": (
        "loss",
        write("history.csv", HEADER + b"2,high,1,,\n"),
    ),
    "no config": ("config.json", remove("config.json")),
    "config of nothing": ("image_size", write("config.json", b"{}")),
}


@pytest.fixture
def damaged(finished, tmp_path):
    """Makes a damaged copy of the run of `siamese`, the newest in its folder."""

    def make(damage, name="damaged"):
        folder = tmp_path / "runs" / name
        shutil.copytree(finished["siamese"].run_dir, folder)
        damage(folder)
        return folder

    return make


def check_line(text, folder):
    assert "\n" not in text
    assert str(folder) in text
    assert len(text) < 500


@pytest.mark.parametrize("damage", RESULT.values(), ids=RESULT)
def test_a_damaged_result_is_skipped(damaged, short, damage):
    folder = damaged(damage)
    with pytest.raises(RunError, match=r"result\.json cannot be read \(.*\); (train .* again|install one)$") as found:
        read_run(folder)
    check_line(str(found.value), folder)
    assert scan_runs(folder.parent) == ([], [(folder, str(found.value))])
    assert find_run(Settings.resolve("siamese", **short), folder.parent) is None


@pytest.mark.parametrize(("words", "damage"), OTHERS.values(), ids=OTHERS)
def test_a_run_with_another_damaged_file_is_trained_again(damaged, short, words, damage):
    folder = damaged(damage)
    runs, ((path, reason),) = find_runs([Settings.resolve("siamese", **short)], folder.parent)
    assert (runs, path) == ([None], folder)
    assert words in reason
    check_line(reason, folder)
    assert scan_runs(folder.parent, whole=True) == ([], [(folder, reason)])
    assert len(list_runs(folder.parent)) == 1


@pytest.mark.parametrize(
    ("damage", "field"),
    [("accuracy 7", "test.accuracy"), ("threshold NaN", "NaN"), ("a newer format", "newer siamese-mnist, in format 3")],
)
def test_the_line_names_the_field(damaged, damage, field):
    with pytest.raises(RunError) as found:
        read_run(damaged(RESULT[damage]))
    assert field in str(found.value)


def test_compare_trains_again_and_names_each_damaged_run_once(finished, damaged, short, command):
    kinds = [*RESULT.values(), *(damage for _, damage in OTHERS.values())]
    folders = [damaged(damage, f"damaged-{number}") for number, damage in enumerate(kinds)]
    arguments = ["--dataset", short["dataset"], "--recipe", short["recipe"], "--runs-dir", folders[0].parent, "--json"]
    done = command("compare", "siamese", "--seeds", "1", *arguments)
    assert done.status == 0
    (row,) = json.loads(done.out, parse_constant=pytest.fail)["rows"][1:]
    assert row["accuracy"] == finished["siamese"].test.accuracy
    assert Path(row["run_dirs"][0]) not in folders
    named = [line for line in done.err.splitlines() if "skipped: " in line]
    assert len(named) == len(folders)
    assert all(sum(f"{folder}/" in line for line in named) == 1 for folder in folders)


def test_a_run_of_0_1_0_is_read(finished, tmp_path):
    folder = shutil.copytree(finished["siamese"].run_dir, tmp_path / "old")
    values = json.loads((folder / "result.json").read_text())
    for name in ("format", "split", "machine"):
        del values[name]
    (folder / "result.json").write_text(json.dumps(values))
    old = read_run(folder)
    assert (old.format, old.split.name, old.machine) == (1, "images", None)
    assert old.test == finished["siamese"].test


def test_a_folder_that_cannot_be_listed(tmp_path):
    with pytest.raises(RunError, match=r"cannot be read \(File name too long\); name another folder with --runs-dir"):
        list_runs(tmp_path / ("x" * 300))
