"""`siamese-mnist explain`."""

import json

import pytest
from PIL import Image


@pytest.fixture
def images(small, tmp_path):
    for number in range(2):
        Image.fromarray(small.test.images[number, 0].numpy()).save(tmp_path / f"{number}.png")
    return tmp_path


def test_table_and_picture(command, finished, images):
    place = images / "why.png"
    done = command("explain", finished["siamese"].run_dir, images / "0.png", images / "1.png", "--output", place)
    assert done.status == 0
    assert "marked by occlusion" in done.out
    assert Image.open(place).getpixel((2, 2))[0] > 240
    command("explain", finished["siamese"].run_dir, images / "0.png", images / "1.png", "--output", place, "--dark")
    assert Image.open(place).getpixel((2, 2))[0] < 30


def test_json(command, finished, images):
    place = images / "why.svg"
    done = command(
        "explain", finished["baseline"].run_dir, images / "0.png", images / "1.png", "--output", place, "--json"
    )
    told = json.loads(done.out)
    assert {"same", "probability", "score", "threshold", "maps", "picture"} <= told.keys()
    assert "var(--ink)" in place.read_text()


def test_no_picture(mistake, finished, images):
    run, pair = finished["siamese"].run_dir, (images / "0.png", images / "1.png")
    assert "must be a .png or .svg file, got why.gif" in mistake("explain", run, *pair, "--output", "why.gif")
    assert "folder that exists" in mistake("explain", run, *pair, "--output", images / "nowhere" / "why.png")
