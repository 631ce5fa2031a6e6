"""The snippets of docs/using.md, run in order in a folder with what they speak of."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.data import load_dataset
from siamese_mnist.onnx import export_onnx

TEXT = (Path(__file__).parents[1] / "docs" / "using.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    shlex.split(line.removeprefix("$ siamese-mnist ").partition(" >")[0])
    for line in re.findall(r"^\$ siamese-mnist .*[^\\]$", TEXT, re.MULTILINE)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory, finished, small):
    folder = tmp_path_factory.mktemp("using")
    (folder / "runs").mkdir()
    (name,) = re.findall(r'load\("runs/(.*)"\)', TEXT)
    (folder / "runs" / name).symlink_to(finished["siamese"].run_dir)
    (folder / "folder").mkdir()
    for number, name in enumerate(["left.png", "right.png", "folder/a.png", "folder/b.png"]):
        Image.fromarray(255 - small.test.images[number].numpy()).save(folder / name)
    (folder / "pairs.csv").write_text("left,right\nleft.png,right.png\n")
    return folder


def test_commands(command, place, monkeypatch):
    """All but the training run, in their order."""
    monkeypatch.chdir(place)
    assert [words[0] for words in COMMANDS] == ["run", *["predict"] * 3, "bundle", "predict", "export"]
    for words in COMMANDS[1:]:
        done = command(*words)
        assert done.status == 0, done.err
        assert done.out


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python(number, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    code = PYTHON[number]
    if "load_dataset" in code:
        monkeypatch.setattr(sm, "load_dataset", lambda _: load_dataset("mnist-small"))
        code = code.replace("labels, 2000", "labels, 60").replace("epochs=3", "epochs=1")
    if "digits-onnx" in code and not Path("digits-onnx").exists():
        export_onnx(sm.load("runs/" + next(Path("runs").iterdir()).name), "digits-onnx")
    names = {}
    if "verifier.image_size" in code:
        exec(PYTHON[0], names)
    exec(code, names)
    if "X" in names:
        assert names["X"].shape == (60, 1568)
        assert len(capsys.readouterr().out.strip("[]\n").split()) == 3
    if "score" in names:
        assert np.ptp(names["probability"]) == 0
