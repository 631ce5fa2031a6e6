"""Answers about image files."""

import numpy as np
import pytest
from PIL import Image

from siamese_mnist import UsageError, load
from siamese_mnist.data import Preprocessing, preprocessing
from siamese_mnist.inference.prediction import (
    Answer,
    Failure,
    FilePair,
    answer_files,
    count_pairs,
    pairs_of_csv,
    pairs_of_folder,
)


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """Four images as they are, and what is no image."""
    place = tmp_path_factory.mktemp("images")
    for number in range(4):
        Image.fromarray(small.test.images[number, 0].numpy()).save(place / f"{number}.png")
    (place / ".hidden.png").touch()
    (place / "deeper").mkdir()
    return place


@pytest.fixture(scope="module", params=["baseline", "siamese"])
def tool(request, finished):
    return load(finished[request.param].run_dir)


def test_answers_are_the_verifiers(tool, folder, small):
    pixels = small.test.images.numpy()
    answers = list(answer_files(tool, pairs_of_folder(folder), preprocessing=Preprocessing.PLAIN, batch=4))
    left, right = pixels[[0, 0, 0, 1, 1, 2]], pixels[[1, 2, 3, 2, 3, 3]]
    assert [(each.left, each.right) for each in answers][:4] == [
        ("0.png", "1.png"),
        ("0.png", "2.png"),
        ("0.png", "3.png"),
        ("1.png", "2.png"),
    ]
    np.testing.assert_allclose([each.score for each in answers], tool.score(left, right), atol=1e-4)
    np.testing.assert_allclose([each.swapped_score for each in answers], tool.score(right, left), atol=1e-4)
    np.testing.assert_allclose([each.probability for each in answers], tool.predict_proba(left, right), atol=1e-4)
    swapped = tool.predict(right, left)
    for each, said, back in zip(answers, tool.predict(left, right), swapped, strict=True):
        assert each.same is bool(said)
        assert each.stable is bool(said == back)
        assert each.threshold == tool.decision.threshold


def test_a_bad_file_costs_its_rows_only(tool, folder, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    Image.new("L", (28, 28)).save(tmp_path / "empty.png")
    names = [("0.png", "1.png"), ("0.png", "none.png"), (str(tmp_path / "text.png"), "1.png"), ("", "1.png")]
    names += [(str(tmp_path / "empty.png"), "1.png"), ("2.png", "3.png")]
    given = [FilePair(row=row, left=a, right=b, folder=folder) for row, (a, b) in enumerate(names, start=1)]
    found = list(answer_files(tool, given))
    assert [type(each) for each in found] == [Answer, Failure, Failure, Failure, Failure, Answer]
    failures = [each for each in found if isinstance(each, Failure)]
    assert [each.row for each in failures] == [2, 3, 4, 5]
    assert [each.reason for each in failures] == [
        f"{folder / 'none.png'} does not exist; name an image file",
        f"{tmp_path / 'text.png'} is not an image that Pillow reads; save it as PNG",
        "a name is missing; give two image files",
        f"{tmp_path / 'empty.png'}: the image is empty: it has one tone only; draw something on it",
    ]


def test_rows_come_while_pairs_are_read(tool, folder):
    def endless():
        row = 0
        while True:
            row += 1
            yield FilePair(row=row, left="0.png", right="1.png", folder=folder)

    answers = answer_files(tool, endless(), batch=3)
    assert np.ptp([next(answers).score for _ in range(9)]) < 1e-4


def test_every_file_is_read_once(tool, folder, monkeypatch):
    seen = []
    read = preprocessing.read_image
    monkeypatch.setattr(preprocessing, "read_image", lambda path: seen.append(path.name) or read(path))
    assert len(list(answer_files(tool, pairs_of_folder(folder), batch=2))) == 6
    assert sorted(seen) == ["0.png", "1.png", "2.png", "3.png"]


def test_csv(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_bytes("\ufeffid,right,left\n7,b.png,a.png\n8,c.png\n".encode())
    first, second = pairs_of_csv(path)
    assert (first.row, first.left, first.right, first.folder) == (1, "a.png", "b.png", tmp_path)
    assert (second.row, second.left, second.right) == (2, "", "c.png")
    assert count_pairs(path) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n", "no column 'left'; its first line must name left and right"),
        (b"left,b\n", "no column 'right'"),
        (b"", "no column 'left'"),
        (b"left,right\n\xff\xfe,b\n", "not text in UTF-8"),
        (b'left,right\n"' + b"a" * 200_000 + b'",b\n', "is not CSV"),
    ],
)
def test_wrong_csv(tmp_path, content, message):
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        count_pairs(tmp_path / "pairs.csv")


def test_wrong_sources(tmp_path):
    with pytest.raises(UsageError, match="is not a file; name a CSV file"):
        count_pairs(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="holds 0 files; at least two are needed"):
        count_pairs(tmp_path)


def test_count_of_a_folder(folder):
    assert count_pairs(folder) == len(list(pairs_of_folder(folder))) == 6
