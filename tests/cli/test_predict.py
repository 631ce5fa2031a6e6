"""`siamese-mnist predict`, `bundle` and `export`."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from siamese_mnist import load
from siamese_mnist.data import Preprocessing
from siamese_mnist.inference.prediction import FilePair, answer_files
from siamese_mnist.runs.bundle import write_bundle


@pytest.fixture(scope="module")
def images(small, tmp_path_factory):
    place = tmp_path_factory.mktemp("images")
    for number in range(4):
        page = Image.fromarray(255 - small.test.images[number, 0].numpy()).resize((90, 90)).convert("RGB")
        page.save(place / f"{number}.png")
    Image.fromarray(small.test.images[0, 0].numpy()).save(place / "plain.bmp")
    return place


@pytest.fixture
def siamese(finished):
    return finished["siamese"].run_dir


def test_one_pair(command, siamese, images):
    done = command("predict", siamese, images / "0.png", images / "0.png")
    assert done.status == 0
    assert done.err == ""
    said, *lines = done.out.splitlines()
    assert said == "same"
    shown = dict(line.split("  ", 1) for line in lines)
    assert float(shown["probability of same"]) > 0.5
    assert float(shown["score"]) >= float(shown["threshold"])
    assert shown["swapped"].strip().startswith("same as well")


PROGRAM = """
import sys
from siamese_mnist_cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(sorted({"torch", "sklearn", "matplotlib"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("kind", ["run", "folder", "bundle.zip"])
def test_one_pair_does_not_wait_for_torch(finished, images, tmp_path, kind):
    """The same answer, operating point and warnings as PyTorch gives, from a run and from a bundle."""
    run_dir = finished["baseline"].run_dir
    place = run_dir if kind == "run" else write_bundle(run_dir, tmp_path / kind)
    words = ["predict", place, images / "0.png", images / "plain.bmp", "--no-normalise", "--max-error", "0.4", "--json"]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    answer, imported = done.stdout.splitlines()
    assert imported == "[]"
    verifier = load(run_dir)
    pair = FilePair(row=1, left=str(images / "0.png"), right=str(images / "plain.bmp"))
    point = verifier.operating_point(max_error=0.4)
    (expected,) = answer_files(verifier, [pair], preprocessing=Preprocessing.PLAIN, point=point)
    found = json.loads(answer)
    assert found.pop("override")
    assert found.pop("run") == str(place)
    assert found.pop("operating_point") == json.loads(json.dumps(point.as_dict()))
    told = expected.as_dict()
    assert found.pop("warnings") == told.pop("warnings")
    assert found == pytest.approx(told, abs=1e-5)
    assert "much lighter" in found["warning"]


@pytest.mark.parametrize("damage", [None, b"{", b"{}", "another"], ids=["missing", "cut", "empty", "another's"])
def test_pytorch_answers_where_there_is_no_scorer(command, finished, images, tmp_path, damage):
    run_dir = finished["siamese"].run_dir
    expected = command("predict", run_dir, images / "0.png", images / "1.png", "--json")
    place = shutil.copytree(run_dir, tmp_path / "run")
    (place / "scorer.json").unlink()
    if damage is not None:
        other = Path(finished["baseline"].run_dir) / "scorer.json"
        (place / "scorer.json").write_bytes(other.read_bytes() if damage == "another" else damage)
    done = command("predict", place, images / "0.png", images / "1.png", "--json")
    answers = [{**json.loads(each.out), "run": ""} for each in (expected, done)]
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)
    assert done.err.count("\n") == (damage is not None)
    assert damage is None or "PyTorch scores in its place" in done.err


def test_weights_that_are_damaged_are_refused(mistake, siamese, images, tmp_path):
    place = shutil.copytree(siamese, tmp_path / "run")
    content = bytearray((place / "model.safetensors").read_bytes())
    content[-4:] = b"\0\0\xc0\x7f"
    (place / "model.safetensors").write_bytes(content)
    said = mistake("predict", place, images / "0.png", images / "1.png")
    assert "holds a number that is not finite" in said


def test_json(command, runs_dir, siamese, images):
    done = command("predict", "siamese", images / "0.png", images / "1.png", "--runs-dir", runs_dir, "--json")
    answer = json.loads(done.out)
    assert answer["run"] == siamese
    assert answer["left"] == str(images / "0.png")
    assert answer["same"] is (answer["score"] >= answer["threshold"])
    assert answer["stable"] is True
    assert answer["score"] == answer["swapped_score"]


def test_no_normalise(command, siamese, images, small):
    done = command("predict", siamese, images / "plain.bmp", images / "plain.bmp", "--no-normalise", "--json")
    pixels = small.test.images[:1].numpy()
    assert json.loads(done.out)["score"] == pytest.approx(float(load(siamese).score(pixels, pixels)[0]), abs=1e-5)


def test_a_folder(command, siamese, images):
    done = command("predict", siamese, images)
    assert done.status == 0
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert len(rows) == 10
    assert rows[0]["left"] == "0.png"
    assert rows[0]["right"] == "1.png"
    assert {row["stable"] for row in rows} == {"True"}
    assert done.err.startswith("predict: scoring, 10 pairs in ")


def test_bad_rows_are_listed_at_the_end(command, siamese, images, tmp_path):
    (tmp_path / "pairs.csv").write_text(
        f"left,right\n{images}/0.png,{images}/1.png\nnone.png,{images}/1.png\n{images}/1.png,{images}/2.png\n"
    )
    done = command("predict", siamese, "--pairs", tmp_path / "pairs.csv", "--json")
    assert done.status == 2
    assert [json.loads(line)["right"][-5:] for line in done.out.splitlines()] == ["1.png", "2.png"]
    assert done.err.splitlines()[1:] == [
        f"pair 2: {tmp_path}/none.png does not exist; name an image file",
        "siamese-mnist: 1 of 3 pairs have no answer; they are listed above",
    ]


def test_control_characters_of_names_are_escaped(command, mistake, siamese, images, tmp_path):
    name = "a\x1b]0;b\x07\u202e.png"
    shutil.copy(images / "0.png", tmp_path / name)
    shutil.copy(images / "1.png", tmp_path)
    done = command("predict", siamese, tmp_path)
    assert done.status == 0
    assert r"a\x1b]0;b\x07\u202e.png" in done.out
    assert (done.out + done.err).replace("\n", "").isprintable()
    (tmp_path / name).write_bytes(b"no image")
    assert r"a\x1b]0;b\x07\u202e.png" in mistake("predict", siamese, tmp_path / name, tmp_path / "1.png")


def test_the_bar_leaves_stdout_alone(command, siamese, images, terminal):
    terminal(100)
    done = command("predict", siamese, images)
    assert len(list(csv.DictReader(io.StringIO(done.out)))) == 10
    assert "predict, scoring" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["siames", "0.png", "1.png"], "neither a run, nor a bundle, nor a variant"),
        (["RUN", "0.png"], "name two images, one folder of images, or a file with --pairs; got 1 images"),
        (["RUN", "0.png", "1.png", "2.png"], "got 3 images"),
        (["RUN"], "got 0 images"),
        (["RUN", "0.png", "1.png", "--pairs", "x.csv"], "images and --pairs exclude each other"),
        (["RUN", "--pairs", "none.csv"], "none.csv is not a file"),
        (["RUN", "0.png", "none.png"], "none.png does not exist; name an image file"),
        (["RUN", "0.png", "."], "is a folder, not an image"),
    ],
)
def test_mistakes(mistake, siamese, images, monkeypatch, arguments, message):
    monkeypatch.chdir(images)
    assert message in mistake("predict", *(siamese if each == "RUN" else each for each in arguments))


def test_bundle(command, mistake, siamese, images, tmp_path):
    out = tmp_path / "out.zip"
    done = command("bundle", siamese, out)
    assert (done.status, done.out) == (0, f"{out}\n")
    pair = [images / "0.png", images / "1.png", "--json"]
    ours, theirs = (json.loads(command("predict", each, *pair).out) for each in (out, siamese))
    assert ours | {"run": ""} == theirs | {"run": ""}
    assert "exists already" in mistake("bundle", siamese, out)
    out.write_bytes(out.read_bytes()[:-30])
    assert "make the bundle again" in mistake("predict", out, images / "0.png", images / "1.png")


def test_export(command, mistake, siamese, tmp_path):
    assert "unknown format 'tflite'; use onnx" in mistake("export", siamese, "--format", "tflite")
    done = command("export", siamese, "--output", tmp_path / "onnx", "--json")
    assert done.status == 0
    assert [name.rpartition("/")[2] for name in json.loads(done.out)["files"]] == [
        "embedder.onnx",
        "embedding_scorer.onnx",
        "export.json",
        "pair_scorer.onnx",
    ]
    assert "exists already; name another folder with --output" in mistake(
        "export", siamese, "--output", tmp_path / "onnx"
    )


def test_a_damaged_run_is_named_and_skipped(runs_dir, tmp_path, command):
    shutil.copytree(runs_dir, tmp_path / "runs")
    damaged = shutil.copytree(next(runs_dir.glob("siamese-*")), tmp_path / "runs" / "damaged")
    (damaged / "result.json").write_text("{}")
    done = command("bundle", "siamese", tmp_path / "out", "--runs-dir", tmp_path / "runs")
    assert done.status == 0
    (line,) = done.err.splitlines()
    assert line.startswith(f"siamese-mnist: skipped: {damaged}/result.json cannot be read (")


def test_a_file_of_pairs_without_rows(mistake, finished, tmp_path):
    (tmp_path / "pairs.csv").write_text("left,right\n")
    assert "has no rows" in mistake("predict", finished["siamese"].run_dir, "--pairs", tmp_path / "pairs.csv")
