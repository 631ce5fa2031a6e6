"""The page of a study: whole, loads nothing, says how often the test pairs were opened."""

import re
from html.parser import HTMLParser

import pytest

import siamese_mnist as sm
from siamese_mnist.registry import Range
from siamese_mnist.studies.page import _joint, page, write_page
from tests.studies.test_study import study


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    study(folder, trials=1)
    return study(folder, trials=2, space={"learning_rate": "1e-3..1e9"})


class Words(HTMLParser):
    def __init__(self):
        super().__init__()
        self.text = ""

    def handle_data(self, data):
        self.text += data


def test_it_says_what_was_found(result):
    text = page(result)
    words = Words()
    words.feed(text)
    for row in result.rows:
        assert row.entry in words.text
        assert row.chosen in words.text
        assert f"{row.row['accuracy']:.4f}" in words.text
    assert "LOOK 2" in words.text
    assert "another space" in words.text
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    for name in ("budget-1", "learning_rate-1", "loss-margin-1"):
        assert f'id="study-{name}"' in text


def test_it_is_written_into_the_folder(result, tmp_path):
    assert write_page(result).name == "study.html"
    with pytest.raises(sm.UsageError, match="cannot write"):
        write_page(result, tmp_path)


def test_one_axis_shows_the_ranges_of_all_entries():
    near, far = Range(0.01, 0.05), Range(5, 40)
    assert not near.log
    assert not far.log
    assert _joint([near, far]) == Range(0.01, 40)
    assert _joint([near, far]).log
    assert _joint([far]) == far
