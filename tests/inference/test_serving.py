"""The programs of `examples/serving`, which the documentation shows."""

import base64
import importlib
import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.inference.onnx import export_onnx

SERVING = Path(__file__).parents[2] / "examples" / "serving"


@pytest.fixture(scope="module")
def pictures(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "left.png", folder / "right.png"]
    for path, image in zip(paths, small.test.images[:2, 0].numpy(), strict=True):
        Image.fromarray(255 - image).resize((90, 90)).save(path)
    return paths


def test_an_exported_network_answers_as_its_verifier(finished, pictures, tmp_path):
    pytest.importorskip("onnxruntime")
    verifier = sm.load(finished["siamese"].run_dir)
    export_onnx(verifier, tmp_path / "onnx")
    words = [sys.executable, SERVING / "pair.py", tmp_path / "onnx", *pictures]
    said, probability = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    left, right = (verifier.read(path)[None] for path in pictures)
    assert said == ("same" if verifier.predict(left, right)[0] else "different")
    assert float(probability) == pytest.approx(verifier.predict_proba(left, right)[0], abs=1e-4)


@pytest.fixture(scope="module")
def address(finished):
    """Where the service listens, on a free port of this machine."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL", finished["siamese"].run_dir)
        patch.syspath_prepend(str(SERVING))
        app = importlib.import_module("service").app
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    ready = threading.Event()
    start = server.startup

    async def startup(*given, **named):
        await start(*given, **named)
        ready.set()

    server.startup = startup
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(60)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/pair"
    server.should_exit = True
    thread.join(60)


def ask(address, *contents):
    sides = zip(("left", "right"), contents, strict=True)
    body = json.dumps({name: base64.b64encode(content).decode() for name, content in sides}).encode()
    asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as reply:
        return json.load(reply)


def test_the_service_answers_as_its_verifier(finished, pictures, address):
    verifier = sm.load(finished["siamese"].run_dir)
    point = verifier.operating_point(prior=0.1)
    score = verifier.score(*(verifier.read(path)[None] for path in pictures))
    told = ask(address, *(path.read_bytes() for path in pictures))
    assert told["same"] == point.predict(score)[0]
    assert told["probability"] == pytest.approx(point.probability(score)[0])
    assert told["warnings"] == []


def test_the_service_says_what_is_wrong_with_a_picture(pictures, address):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(address, pictures[0].read_bytes(), b"no picture")
    with refused.value as reply:
        assert reply.status == 422
        assert "the picture is not an image that Pillow reads" in json.load(reply)["detail"]
