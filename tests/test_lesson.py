"""The lesson in a real browser, by mouse, touch and keyboard, and what is recorded for it."""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from markdown import markdown
from PIL import Image

from .demo.conftest import browser as browser
from .demo.conftest import serve_folder

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

DOCS = Path(__file__).parents[1] / "docs"
LESSON = DOCS / "lesson"
STEPS = ("point", "learn", "threshold", "margin", "losses", "hard", "stacked", "newcomers")


def test_it_is_recorded(tmp_path, small):
    """In short: few images, one epoch, one margin; the files are those that the page reads."""
    pytest.importorskip("jupytext", reason="the extra notebooks is not installed")
    spec = importlib.util.spec_from_file_location("docs_lesson", DOCS / "lesson.py")
    recorder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recorder)
    recorder.MARGINS = (0.5,)
    work = recorder.lesson()
    for name, value in {"EPOCHS": 1, "train": small.train}.items():
        setattr(work, name, value)
        work.learn.__globals__[name] = value
    judges = {"dataset": "mnist-small", "train_pairs": 640, "test_pairs": 300}
    recorder.record(work, tmp_path / "new", tmp_path / "runs", **judges)
    made, kept = (json.loads((folder / "lesson.json").read_text()) for folder in (tmp_path / "new", LESSON))
    assert made.keys() == kept.keys()
    for name in ("labels", "columns", "frames", "scale"):
        assert made[name] == kept[name]
    wanted = ("loss", "margin", "digits")
    found = [tuple(each[name] for name in wanted) for each in made["networks"]]
    assert found == [("contrastive", 0.5, 10), ("triplet", 0.5, 10), ("softmax", None, 10), ("contrastive", 0.5, 8)]
    assert {tuple(each[name] for name in wanted) for each in kept["networks"]} >= set(found)
    assert [each.keys() for each in made["networks"]] == [each.keys() for each in kept["networks"][: len(found)]]
    assert [each.keys() for each in made["pairs"]["shown"]] == [each.keys() for each in kept["pairs"]["shown"]]
    assert (tmp_path / "new" / "digits.png").read_bytes() == (LESSON / "digits.png").read_bytes()
    sizes = [(folder / "frames.bin").stat().st_size for folder in (tmp_path / "new", LESSON)]
    assert sizes[0] * len(kept["networks"]) == sizes[1] * len(found)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The lesson's page without the site around it."""
    folder = shutil.copytree(LESSON, tmp_path_factory.mktemp("lesson") / "lesson")
    body = markdown((DOCS / "lesson.md").read_text(), extensions=["fenced_code"])
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    (folder / "index.html").write_text(f"<!doctype html>{head}<title>x</title><body class='md-typeset'>{body}</body>")
    with serve_folder(folder) as found:
        yield found


@pytest.fixture
def page(browser, address):
    """All steps ready; afterwards the console has to be empty."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    WebDriverWait(browser, 30, poll_frequency=0.02).until(
        lambda _: len(browser.find_elements(By.CSS_SELECTOR, "[data-ready]")) == len(STEPS)
    )
    yield Page(browser)
    assert browser.get_log("browser") == []


class Page:
    """The lesson by what a person does and sees."""

    def __init__(self, browser):
        self.browser = browser

    def find(self, step, selector):
        return self.browser.find_element(By.CSS_SELECTOR, f"[data-lesson={step}] {selector}")

    def all(self, step, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, f"[data-lesson={step}] {selector}")

    def text(self, step, selector):
        return self.find(step, selector).get_property("textContent")

    def rate(self, step, name):
        return float(self.text(step, f".{name}").removesuffix(" %")) / 100

    def press(self, element, *keys):
        self.browser.execute_script("arguments[0].focus()", element)
        ActionChains(self.browser, duration=0).send_keys(*keys).perform()

    def drawn(self, step):
        return self.browser.execute_script("return arguments[0].toDataURL()", self.find(step, ".map"))

    def click(self, element):
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        ActionChains(self.browser, duration=0).move_to_element(element).click().perform()


def points(about, network, frame=-1):
    values = np.frombuffer((LESSON / "frames.bin").read_bytes(), "<i2") / about["scale"]
    return values.reshape(len(about["networks"]), about["frames"], -1, 2)[network, frame]


def rates(points, labels, threshold):
    """Of all pairs, by hand."""
    left, right = np.triu_indices(len(labels), 1)
    near = np.linalg.norm(points[left] - points[right], axis=1) <= threshold
    same = labels[left] == labels[right]
    return near[~same].mean(), (~near)[same].mean()


@pytest.fixture(scope="module")
def about():
    return json.loads((LESSON / "lesson.json").read_text())


def network(about, loss, margin=0.5, digits=10):
    (found,) = [
        number
        for number, each in enumerate(about["networks"])
        if (each["loss"], each["margin"], each["digits"]) == (loss, margin, digits)
    ]
    return found


def test_the_recording_is_small_and_its_images_are_test_images(about, tenth):
    files = [LESSON / name for name in ("lesson.json", "frames.bin", "digits.png")]
    assert sum(path.stat().st_size for path in files) < 500_000
    labels = np.array(about["labels"])
    assert (np.bincount(labels) == 25).all()
    sprite = np.asarray(Image.open(files[2]))
    side, columns = 28, about["columns"]
    for row, label in enumerate(labels):
        top, left = side * (row // columns), side * (row % columns)
        of_class = tenth.test.images[tenth.test.labels == label][row % 25, 0].numpy()
        assert (sprite[top : top + side, left : left + side] == of_class).all()
    for each in about["networks"]:
        assert each["updates"][0] == 0
        assert each["updates"] == sorted(set(each["updates"]))


def test_margins_and_trainings_differ_as_the_text_says(about):
    """The best margin is one that can be had; the widest is worst; training parts what was a heap."""
    labels = np.array(about["labels"])
    wrong = {}
    for margin in (0.25, 0.5, 1.0, 2.0):
        number = network(about, "contrastive", margin)
        wrong[margin] = sum(rates(points(about, number), labels, about["networks"][number]["threshold"]))
        assert wrong[margin] < sum(rates(points(about, number, 0), labels, 0.5)) / 2
    assert min(wrong, key=wrong.get) in (0.25, 0.5)
    assert max(wrong, key=wrong.get) == 2.0


def test_few_images_are_in_most_errors_as_the_text_says(about):
    labels, number = np.array(about["labels"]), network(about, "contrastive")
    spots = points(about, number)
    left, right = np.triu_indices(len(labels), 1)
    near = np.linalg.norm(spots[left] - spots[right], axis=1) <= about["networks"][number]["threshold"]
    wrong = near != (labels[left] == labels[right])
    counts = np.bincount(left[wrong], minlength=250) + np.bincount(right[wrong], minlength=250)
    worst = np.argsort(-counts)[:25]
    share = (np.isin(left[wrong], worst) | np.isin(right[wrong], worst)).mean()
    assert share == pytest.approx(2 / 3, abs=0.03)


def test_the_threshold_moves_the_rates(page, about):
    slider = page.find("threshold", ".threshold input")
    labels = np.array(about["labels"])
    number = network(about, "contrastive")
    seen = []
    for keys in ((), [Keys.ARROW_RIGHT] * 10, [Keys.HOME], [Keys.END]):
        page.press(slider, *keys)
        threshold = float(page.text("threshold", ".threshold .value"))
        if not keys:
            assert threshold == pytest.approx(about["networks"][number]["threshold"], abs=0.005)
            continue
        expected = rates(points(about, number), labels, threshold)
        shown = [page.rate("threshold", name) for name in ("fmr", "fnmr")]
        assert shown == pytest.approx(expected, abs=0.001)
        assert page.text("threshold", "[role=status]").startswith("False matches: ")
        seen.append(shown)
    assert seen[1][0] < seen[0][0] < seen[2][0]
    assert seen[1][1] > seen[0][1] > seen[2][1]
    page.click(page.find("threshold", ".reset"))
    assert float(page.text("threshold", ".threshold .value")) < 1


def test_the_margin_changes_the_network(page):
    slider = page.find("margin", ".margin input")
    shown = {}
    for keys in ([Keys.HOME], [Keys.ARROW_RIGHT], [Keys.END]):
        page.press(slider, *keys)
        shown[page.text("margin", ".margin .value")] = page.drawn("margin"), page.rate("margin", "fmr")
    assert set(shown) == {"0.25", "0.5", "2"}
    assert len({picture for picture, _ in shown.values()}) == 3
    assert shown["2"][1] > shown["0.5"][1]


def test_play_moves_the_points_and_can_be_paused(page):
    button = page.find("learn", ".play")
    before, near = page.drawn("learn"), page.text("learn", ".near")
    page.press(button, Keys.ENTER)
    assert button.text == "Pause"
    wait = WebDriverWait(page.browser, 30, poll_frequency=0.02)
    wait.until(lambda _: page.drawn("learn") != before)
    page.click(button)
    assert button.text == "Play"
    paused = page.drawn("learn")
    page.press(page.find("learn", ".training input"), Keys.END)
    assert page.drawn("learn") != paused
    assert page.text("learn", ".training .value") == "300 updates"
    assert float(page.text("learn", ".near")) < float(page.text("learn", ".far")) / 3
    page.press(page.find("learn", ".training input"), Keys.HOME)
    assert (page.drawn("learn"), page.text("learn", ".near")) == (before, near)


def test_who_wants_no_motion_gets_the_end_at_once(page):
    page.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    )
    try:
        page.press(page.find("learn", ".play"), Keys.SPACE)
        assert page.text("learn", ".training .value") == "300 updates"
        assert page.text("learn", ".play") == "Play"
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_two_images_are_chosen_by_keyboard_mouse_and_touch(page):
    canvas = page.find("point", ".map")
    page.press(canvas, Keys.ARROW_RIGHT, Keys.ENTER)
    assert "Choose another" in page.text("point", "[role=status]")
    page.press(canvas, *[Keys.ARROW_LEFT] * 3, Keys.ENTER)
    said = page.text("point", ".pair")
    assert re.fullmatch(r"\d and \d: distance \d\.\d\d, (same|different) \((right|wrong, .*match)\)\.", said)
    page.click(page.all("hard", ".card")[0])  # somewhere else: choices of other steps stay
    assert page.text("point", ".pair") == said

    place = """
        const [canvas, image] = arguments;
        const box = canvas.getBoundingClientRect();
        return [box.left, box.top, box.width];
    """
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    left, top, width = page.browser.execute_script(place, canvas, 0)
    about = json.loads((LESSON / "lesson.json").read_text())
    spots = points(about, network(about, "contrastive"))[[0, 200]]
    x, y = left + width / 2 + (width / 2 - 12) * spots[:, 0], top + width / 2 - (width / 2 - 12) * spots[:, 1]
    for across, down in zip(x, y, strict=True):
        touch = [{"x": float(across), "y": float(down)}]
        page.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        page.browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": touch})
        page.browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    WebDriverWait(page.browser, 10, poll_frequency=0.02).until(lambda _: page.text("point", ".pair") != said)
    assert re.match(r"\d and \d: ", page.text("point", ".pair"))


def test_losses_stand_side_by_side(page):
    captions = [each.text for each in page.all("losses", "figcaption")]
    assert captions == ["Contrastive", "Triplet", "Softmax"]
    before = [float(each.text.removesuffix(" %")) for each in page.all("losses", ".fmr")]
    assert before[2] > max(before[:2])
    page.press(page.find("losses", ".margin input"), Keys.END)
    after = [float(each.text.removesuffix(" %")) for each in page.all("losses", ".fmr")]
    assert after[0] > before[0]
    assert after[2] == before[2]  # it has no margin


def test_hard_pairs_are_marked_on_the_map(page, about):
    before = page.drawn("hard")
    card = page.all("hard", ".card")[0]
    page.click(card)
    assert card.get_attribute("aria-pressed") == "true"
    assert page.drawn("hard") != before
    spots, labels = points(about, network(about, "contrastive")), np.array(about["labels"])
    left, right = np.triu_indices(len(labels), 1)
    distance = np.linalg.norm(spots[left] - spots[right], axis=1)
    assert float(card.text) == pytest.approx(distance[labels[left] != labels[right]].min(), abs=0.006)
    told = page.all("hard", ".card")[4].text
    page.click(page.find("hard", "input[value=triplet]"))
    assert page.all("hard", ".card")[4].text != told


def test_stacked_answers_change_with_the_order_and_siamese_ones_do_not(page, about):
    def said(design):
        return page.text("stacked", f".{design} .answer")

    before = said("stacked"), said("siamese")
    page.press(page.find("stacked", ".swap"), Keys.ENTER)
    assert said("stacked") != before[0]
    assert said("siamese") == before[1]
    for pair in about["pairs"]["shown"]:
        assert pair["siamese"][0] == pytest.approx(pair["siamese"][1], abs=1e-4)
    page.press(page.find("stacked", ".slider input"), Keys.END)
    assert page.text("stacked", ".all") == "499,500"
    assert page.text("stacked", ".each") == "1,000"


def test_new_digits_come_in_and_the_threshold_does_not_hold(page, about):
    shown = page.rate("newcomers", "fmr"), page.rate("newcomers", "fnmr")
    assert page.text("newcomers", ".fmr-new") == "-"
    before = page.drawn("newcomers")
    page.press(page.find("newcomers", "input[type=checkbox]"), Keys.SPACE)
    assert page.drawn("newcomers") != before
    assert (page.rate("newcomers", "fmr"), page.rate("newcomers", "fnmr")) == shown
    found = about["networks"][network(about, "contrastive", 0.5, 8)]
    spots, labels = points(about, network(about, "contrastive", 0.5, 8)), np.array(about["labels"])
    known = labels < 8
    assert shown == pytest.approx(rates(spots[known], labels[known], found["threshold"]), abs=0.001)
    assert page.rate("newcomers", "fmr-new") > 3 * shown[0]


CONTROLS = """
    return [...document.querySelectorAll(".lesson button, .lesson input[type=range]")].map((each) => {
        const { width, height } = each.getBoundingClientRect();
        return [each.getAttribute("aria-label") || each.textContent, width, height];
    });
"""


@pytest.mark.parametrize(("width", "scheme"), [(400, "default"), (1280, "slate")])
def test_nothing_is_wider_than_the_page_and_all_can_be_reached(page, width, scheme):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.browser.execute_script("document.body.setAttribute('data-md-color-scheme', arguments[0])", scheme)
    try:
        assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
        for name, *size in page.browser.execute_script(CONTROLS):
            assert min(size) >= 24, (name, size)
            assert name
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
