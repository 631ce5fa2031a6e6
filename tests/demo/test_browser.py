"""The page in a real browser: drawn on, replayed onto, used by keyboard, served both ways."""

import base64
import json

import numpy as np
import pytest
import torch

from siamese_mnist.data.pairs import draw_pairs
from siamese_mnist.demo.drawings import SIDE, seen
from siamese_mnist.demo.page import page_files

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.interaction import POINTER_TOUCH
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from ..pages import axe_source, findings, restored
from .conftest import serve_folder

PAIRS = 50
NORMALISATION_TOLERANCE = 1  # grey levels of 255; the two round sums of float32 and float64
SCORE_TOLERANCE = 0.02  # of scores about -12 to 12; the page shows three decimals

SETTLED = """
const answer = document.getElementById("answer");
const settled = () => new Promise((resolve) => {
  const look = () => {
    if (answer.getAttribute("aria-busy") === "false") { watch.disconnect(); resolve(); }
  };
  const watch = new MutationObserver(look);
  watch.observe(answer, { attributes: true });
  look();
});
const decode = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const encode = (pixels) => btoa(Array.from(pixels, (value) => String.fromCharCode(value)).join(""));
"""

# Pairs through the page's own way of putting an image onto a field, and what the page then says.
REPLAY = f"""
{SETTLED}
const [pairs, done] = arguments;
(async () => {{
  const {{ pads }} = await import(new URL("main.js", document.baseURI));
  const said = [];
  for (const [left, right] of pairs) {{
    pads.left.place({{ height: 28, width: 28, pixels: decode(left) }});
    pads.right.place({{ height: 28, width: 28, pixels: decode(right) }});
    await settled();
    said.push({{
      verdict: document.getElementById("word").textContent,
      score: Number(document.getElementById("score").textContent.replace("\\u2212", "-")),
      drawings: [encode(pads.left.pixels()), encode(pads.right.pixels())],
    }});
  }}
  return said;
}})().then(done, (error) => done(String(error)));
"""

# One image, and another as soon as the first is answered, while its nearest digits are asked for.
OVERTAKE = f"""
{SETTLED}
const [first, second, done] = arguments;
(async () => {{
  const {{ pads }} = await import(new URL("main.js", document.baseURI));
  const seen = document.querySelector("[data-side=left] .seen");
  await new Promise((resolve) => {{
    const watch = new MutationObserver(() => {{
      watch.disconnect();
      pads.left.place({{ height: 28, width: 28, pixels: decode(second) }});
      resolve();
    }});
    watch.observe(seen, {{ attributes: true, attributeFilter: ["aria-label"] }});
    pads.left.place({{ height: 28, width: 28, pixels: decode(first) }});
  }});
  await settled();
}})().then(() => done(null), (error) => done(String(error)));
"""

NORMALISE = f"""
{SETTLED.replace('document.getElementById("answer")', "null")}
const [drawings, side, done] = arguments;
(async () => {{
  const {{ normalise }} = await import("/normalise.js");
  return drawings.map((drawing) => {{
    const found = normalise(decode(drawing), side, 28, 28);
    return found && encode(found.pixels);
  }});
}})().then(done, (error) => done(String(error)));
"""

ANSWERS = ("Same", "Different")
SEVEN = [(-50, -80), (50, -80), (0, 60), (-10, 100)]
ONE = [(20, -100), (5, 0), (-10, 100)]


class Page:
    """The page in the browser, by what a person does and sees."""

    def __init__(self, browser):
        self.browser = browser

    def settled(self):
        WebDriverWait(self.browser, 60, poll_frequency=0.02).until(
            lambda browser: browser.find_element(By.ID, "answer").get_attribute("aria-busy") == "false"
        )
        return self

    def text(self, name):
        return self.settled().browser.find_element(By.ID, name).get_property("textContent")

    def canvas(self, side):
        return self.browser.find_element(By.CSS_SELECTOR, f"#{side} canvas")

    def draw(self, side, points):
        """Draws a line with the mouse; points are pixels of the drawing, from its centre."""
        canvas = self.canvas(side)
        scale = canvas.size["width"] / SIDE
        (first, *others) = [(round(x * scale), round(y * scale)) for x, y in points]
        actions = ActionChains(self.browser, duration=0).move_to_element_with_offset(canvas, *first).click_and_hold()
        for point in others:
            actions.move_to_element_with_offset(canvas, *point)
        actions.release().perform()

    def press(self, *keys):
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def press_button(self, name):
        self.browser.find_element(By.ID, name).click()

    def touch(self, side, points):
        """Draws a line with a finger."""
        canvas = self.canvas(side)
        scale = canvas.size["width"] / SIDE
        finger = ActionBuilder(self.browser, mouse=PointerInput(POINTER_TOUCH, "finger"), duration=0)
        (first, *others) = [(round(x * scale), round(y * scale)) for x, y in points]
        finger.pointer_action.move_to(canvas, *first).pointer_down()
        for point in others:
            finger.pointer_action.move_to(canvas, *point)
        finger.pointer_action.pointer_up()
        finger.perform()

    def focused(self):
        return self.browser.switch_to.active_element

    def tab_to(self, element):
        for _ in range(40):
            if self.focused() == element:
                return
            self.press(Keys.TAB)
        raise AssertionError("Tab does not reach it")

    def nearest(self, side):
        self.settled()
        return [each.text for each in self.browser.find_elements(By.CSS_SELECTOR, f"[data-side={side}] .nearest li")]


def asked(browser):
    """URLs that pages asked for since the last look."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]


@pytest.fixture(params=["served", "static"])
def address(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def page(browser, address):
    """A fresh page; afterwards, the console has to be empty and every request of this origin."""
    browser.get("about:blank")
    asked(browser)
    browser.get_log("browser")
    browser.get(address)
    found = Page(browser).settled()
    found.press_button("own-pair")
    yield found.settled()
    found.settled()
    assert browser.get_log("browser") == []
    origin = address.removesuffix("live/")
    requests = asked(browser)
    assert len(requests) > 5
    assert [url for url in requests if not url.startswith((origin, "data:"))] == []


def test_strokes(page):
    assert page.text("word") == "Draw a digit on each side"
    page.draw("left", SEVEN)
    assert page.text("word") == "Draw a digit on the right"
    assert page.nearest("left") == ["7"] * 8
    assert page.nearest("right") == []
    page.draw("right", SEVEN)
    assert page.text("word") == "Same"
    assert page.text("sign") == "="
    assert page.text("live").startswith("Same, probability of same ")
    page.browser.find_element(By.CSS_SELECTOR, "#right .clear").click()
    assert page.text("word") == "Draw a digit on the right"
    assert page.nearest("right") == []
    page.draw("right", ONE)
    assert page.text("word") == "Different"
    assert page.text("sign") == "≠"
    assert page.nearest("right") == ["1"] * 8
    assert page.text("swapped") == "the same answer and score"


def test_replayed_pairs(page, fast, tenth):
    """Test digits as drawings; the page has to say what the verifier says of the very same drawings."""
    images, labels = tenth.test.images[:, 0].numpy(), tenth.test.labels
    pairs = draw_pairs(labels, PAIRS, generator=torch.Generator().manual_seed(0))
    rows = torch.stack([pairs.left, pairs.right], 1).tolist()
    given = [[base64.b64encode(images[row].tobytes()).decode() for row in pair] for pair in rows]
    said = page.browser.execute_async_script(REPLAY, given)
    assert isinstance(said, list), said
    assert pairs.same.sum() == PAIRS // 2
    answers = np.array([each["verdict"] for each in said])
    assert set(answers) == {"Same", "Different"}
    assert ((answers == "Same") == pairs.same.numpy()).sum() >= 47

    drawings = [[np.frombuffer(base64.b64decode(each), np.uint8) for each in one["drawings"]] for one in said]
    left, right = (np.stack([seen(each[side].reshape(SIDE, SIDE), (28, 28)) for each in drawings]) for side in (0, 1))
    scores = fast.verifier.score(left, right)
    np.testing.assert_allclose([each["score"] for each in said], scores, atol=SCORE_TOLERANCE)


def test_nearest_digits_are_of_the_last_drawing(page, tenth):
    """An answer that comes late does not stand for a newer drawing."""
    images, labels = tenth.test.images[:, 0].numpy(), tenth.test.labels
    one, nought = (base64.b64encode(images[labels == label][0].tobytes()).decode() for label in (1, 0))
    assert page.browser.execute_async_script(OVERTAKE, one, nought) is None
    assert page.nearest("left") == ["0"] * 8


def test_keyboard_only(page):
    left, right = page.canvas("left"), page.canvas("right")
    page.tab_to(left)
    page.press("0")
    assert page.text("word") == "Draw a digit on the right"
    page.tab_to(right)
    page.press("0")
    assert page.text("word") in ANSWERS  # random test digits of one class: nearly always the same
    page.press(Keys.DELETE)
    assert page.text("word") == "Draw a digit on the right"
    # A one of twelve steps up, in the middle of the field.
    page.press(*[Keys.ARROW_DOWN] * 6, Keys.SPACE)
    state = page.browser.find_element(By.CSS_SELECTOR, "#right .state")
    assert state.text == "Pen down"
    page.press(*[Keys.ARROW_UP] * 12, Keys.SPACE)
    assert state.text == "Pen up"
    page.press(*[Keys.ARROW_LEFT] * 9)
    assert page.text("word") == "Different"
    assert page.nearest("right") == ["1"] * 8
    buttons = page.browser.find_elements(By.CSS_SELECTOR, "#left .samples button")
    assert [each.text for each in buttons] == list("0123456789")
    page.browser.execute_script("document.activeElement.blur()")
    page.tab_to(buttons[1])
    page.press(Keys.ENTER)
    assert page.text("word") in ANSWERS
    assert len(page.nearest("left")) == 8
    clear = page.browser.find_element(By.CSS_SELECTOR, "#left .clear")
    page.browser.execute_script("document.activeElement.blur()")
    page.tab_to(clear)
    page.press(Keys.SPACE)
    assert page.text("word") == "Draw a digit on the left"
    assert page.focused() == left


def test_a_pair_to_guess(page, fast):
    """First the reader says, then the model; the answer is not given away before."""
    expected = fast.puzzles()
    for number, guess in enumerate(("say-different", "say-same")):
        page.press_button("next" if number else "again")
        assert page.text("word") == "The same digit, or not? You first."
        shown = page.browser.find_elements(By.CSS_SELECTOR, "#figures, #insight, #mapping, #morphing, #decide, #enrol")
        assert len(shown) == 6
        assert not any(each.is_displayed() for each in shown)
        if number:
            page.browser.execute_script("document.activeElement.blur()")
            page.tab_to(page.browser.find_element(By.ID, guess))
            page.press(Keys.ENTER)
        else:
            page.press_button(guess)
        assert page.text("word") in ANSWERS
        labels = expected[number].labels
        assert (labels[0] == labels[1]) == bool(number)
        truth = f"Both show {labels[0]}" if number else f"Left is {labels[0]}, right is {labels[1]}"
        said = "same" if number else "different"
        told = page.text("told")
        assert told.startswith(f"You said {said}, the model {page.text('word').lower()}. {truth}. ")
        assert f"you {number + 1} of {number + 1}" in told
    assert {*expected[0].labels} == {4, 9}
    page.draw("left", SEVEN)
    assert page.text("told") == ""
    assert not page.browser.find_element(By.ID, "after").is_displayed()


def place(page, images, rows):
    """Puts test images onto the fields."""
    given = [[base64.b64encode(images[row].tobytes()).decode() for row in rows]]
    (said,) = page.browser.execute_async_script(REPLAY, given)
    return said


def test_sliders(page, fast, tenth):
    """Threshold and prior, by keyboard and mouse: rates, probability and answer follow."""
    images, labels = tenth.test.images[:, 0].numpy(), tenth.test.labels.numpy()
    place(page, images, np.flatnonzero(labels == 1)[:2])
    prior, bar = (page.browser.find_element(By.ID, name) for name in ("prior", "bar"))
    points = fast.about["choices"]["points"]

    def said():
        return {name: page.text(name) for name in ("word", "probability", "threshold", "false-matches", "misses")}

    first = said()
    assert first["word"] == "Same"
    page.tab_to(bar)
    page.press(Keys.END)
    high = said()
    assert (high["word"], high["false-matches"], high["probability"]) == (
        "Different",
        "0.0\u00a0%",
        first["probability"],
    )
    page.press(Keys.HOME)
    low = said()
    assert (low["word"], low["misses"]) == ("Same", "0.0\u00a0%")
    assert float(low["false-matches"].split("\u00a0")[0]) > 50
    page.press_button("reset")
    assert said() == first
    page.tab_to(prior)
    page.press(Keys.HOME)
    rare = said()
    assert page.text("prior-text") == "1.0\u00a0%"
    assert rare["threshold"] == f"{points[0]['threshold']:.3f}"
    assert percent(rare["probability"]) <= percent(first["probability"])
    ActionChains(page.browser).drag_and_drop_by_offset(prior, round(prior.size["width"] * 0.45), 0).perform()
    assert percent(page.text("prior-text")) > 90
    assert percent(said()["misses"]) < percent(rare["misses"])


def percent(text):
    return {"over": 99.95, "under": 0.05}.get(text.split()[0]) or float(text.split("\u00a0")[0])


def test_three_answers(page, fast, tenth):
    """A score within the band of a bound gets no answer, and the bound is stated."""
    choices, images = fast.about["choices"], tenth.test.images[:200, 0].numpy()
    bands = choices["points"][choices["own"]]["bands"]
    row = next(row for row, band in enumerate(bands) if band and band["high"] > band["low"])
    left, right = np.triu_indices(len(images), 1)
    scores = fast.verifier.score_rows(images, left, right)
    inside = np.abs(scores - (bands[row]["low"] + bands[row]["high"]) / 2).argmin()
    place(page, images, [left[inside], right[inside]])
    assert page.text("word") in ANSWERS
    options = Select(page.browser.find_element(By.ID, "bound"))
    options.select_by_value(str(row))
    assert (page.text("word"), page.text("sign")) == ("Unsure", "?")
    assert f"At most {100 * choices['bounds'][row]:.1f}\u00a0% of the answers are wrong" in page.text("expected")
    place(page, images, [0, 0])
    assert page.text("word") == "Same"
    options.select_by_value("")
    assert "At most" not in page.text("expected")


def test_from_one_digit_to_the_other(page):
    page.draw("left", SEVEN)
    page.draw("right", ONE)
    assert page.text("word") == "Different"
    slider = page.browser.find_element(By.ID, "step")
    assert page.text("morph-text").startswith("0.0\u00a0% of the way: same, probability of same over 99")
    page.tab_to(slider)
    page.press(*[Keys.ARROW_RIGHT] * 12)
    assert page.text("morph-text").startswith("50.0\u00a0% of the way: ")
    page.press(Keys.END)
    end = page.text("morph-text")
    assert end.startswith("100.0\u00a0% of the way: different")
    last, whole = (float(text.replace("\u2212", "-")) for text in (end.split("score ")[1], page.text("score")))
    assert last == pytest.approx(whole, abs=SCORE_TOLERANCE)
    page.press_button("play")
    wait = WebDriverWait(page.browser, 60, poll_frequency=0.05)
    wait.until(lambda _: 0 < int(slider.get_property("value")) < 24)
    wait.until(lambda _: slider.get_property("value") == "24")


ASKED = f"""
{SETTLED}
const [name, given, done] = arguments;
(async () => {{
  const engine = await import(new URL("engine.js", document.baseURI));
  return engine[name](...given.map(decode));
}})().then(done, (error) => done(String(error)));
"""


def test_why_and_where(page, fast, tenth):
    """The maps and the place of a drawing are the library's own."""
    drawings = [np.kron(image, np.ones((10, 10), np.uint8)) for image in tenth.test.images[[2, 5], 0].numpy()]
    given = [base64.b64encode(each.tobytes()).decode() for each in drawings]
    left, right = (seen(each, (28, 28)) for each in drawings)
    found = page.browser.execute_async_script(ASKED, "why", given)
    for side, expected in fast.why(left, right)._asdict().items():
        np.testing.assert_allclose(found[side], expected, atol=2 * SCORE_TOLERANCE)
    place = page.browser.execute_async_script(ASKED, "nearest", given[:1])["place"]
    np.testing.assert_allclose(place, fast.place(left), atol=0.01)
    look = page.browser.execute_async_script(ASKED, "look", given[:1])["look"]
    assert look["label"] == tenth.test.labels[2]
    assert look["familiar"] == pytest.approx(fast.neighbours.look(left).familiar, abs=1e-3)


def test_why_is_shown(page):
    page.draw("left", SEVEN)
    page.draw("right", ONE)
    page.settled()
    assert page.browser.find_element(By.ID, "map").get_attribute("aria-label") == (
        "Map of training images: the left drawing lies among images of 7, the right drawing lies among images of 1"
    )
    page.press_button("why")
    page.settled()
    canvases = page.browser.find_elements(By.CSS_SELECTOR, ".because")
    assert all(each.is_displayed() for each in canvases)
    reasons = [each.text for each in page.browser.find_elements(By.CSS_SELECTOR, ".reason")]
    assert all("most for different: " in each for each in reasons)
    page.press_button("why")
    page.settled()
    assert not any(each.is_displayed() for each in canvases)


HASH = [[(-35, -85), (-35, 85)], [(35, -85), (35, 85)], [(-85, -30), (85, -30)], [(-85, 30), (85, 30)]]


def test_a_symbol_of_ones_own(page):
    """Drawn twice with a mouse and a finger and named, it is recognised; a digit is not it."""
    page.settled()
    keep, field = (page.browser.find_element(By.ID, name) for name in ("keep-button", "name"))

    def sketch(strokes, shift, way):
        for stroke in strokes:
            getattr(page, way)("mine", [(x + shift, y - shift) for x, y in stroke])
        WebDriverWait(page.browser, 60).until(
            lambda browser: browser.find_element(By.ID, "enrol").get_attribute("aria-busy") == "false"
        )

    page.browser.execute_script("arguments[0].scrollIntoView()", field)
    assert not keep.is_enabled()
    field.send_keys("hash")
    sketch(HASH, 0, "draw")
    assert "name it and keep it" in page.text("how")
    keep.click()
    assert page.text("how") == "Draw hash once more and keep it."
    sketch(HASH, 6, "touch")
    keep.click()
    assert page.text("who") == ""
    sketch(HASH, -5, "draw")
    assert page.text("who") == "hash"
    page.browser.find_element(By.CSS_SELECTOR, "#mine .clear").click()
    sketch([SEVEN], 0, "touch")
    assert page.text("who") == "unknown"
    assert page.text("how").startswith("Nearest is a training image of 7")
    page.browser.find_element(By.CSS_SELECTOR, "#symbols button").click()
    assert page.text("who") == ""


def test_touch(page):
    page.touch("left", SEVEN)
    page.touch("right", SEVEN)
    assert page.text("word") == "Same"
    assert page.nearest("right") == ["7"] * 8


@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_is_wider_than_the_page(page, width):
    page.draw("left", SEVEN)
    page.draw("right", ONE)
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
        sizes = [each.rect for each in page.browser.find_elements(By.CSS_SELECTOR, "button") if each.is_displayed()]
        assert min(min(each["width"], each["height"]) for each in sizes) >= 24
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_axe_finds_nothing_serious(page):
    axe = axe_source()
    page.draw("left", SEVEN)
    page.draw("right", ONE)
    page.press_button("why")
    page.settled()
    page.browser.find_element(By.CSS_SELECTOR, "summary").click()
    page.browser.execute_script(axe)
    try:
        assert findings(page.browser) == []
    finally:
        restored(page.browser)


@pytest.fixture(scope="module")
def normalised(browser, tmp_path_factory):
    """The page's own normalisation of drawings, in the browser."""
    folder = tmp_path_factory.mktemp("page")
    for name, content in page_files("browser").items():
        (folder / name).write_bytes(content)

    def call(drawings):
        given = [base64.b64encode(each.tobytes()).decode() for each in drawings]
        found = browser.execute_async_script(NORMALISE, given, SIDE)
        assert isinstance(found, list), found
        return [each and np.frombuffer(base64.b64decode(each), np.uint8).reshape(28, 28) for each in found]

    with serve_folder(folder) as address:
        browser.get(f"{address}/normalise.js")
        yield call


def enlarged(image, side, top, left, *, ink=255):
    """A digit as a drawing: its field scaled to a square of some side, placed somewhere."""
    from PIL import Image

    scaled = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), np.float32)
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[top : top + side, left : left + side] = np.rint(scaled * ink / 255)
    return drawing


def agree(found, drawings):
    for one, drawing in zip(found, drawings, strict=True):
        expected = seen(drawing, (28, 28))
        assert (one is None) == (expected is None)
        if one is not None:
            assert np.abs(one.astype(int) - expected).max() <= NORMALISATION_TOLERANCE


def test_normalisation_of_digits(normalised, tenth):
    images = tenth.test.images[:, 0].numpy()
    rng = np.random.default_rng(0)
    drawings = [enlarged(image, SIDE, 0, 0) for image in images[:30]]
    for image in images[30:80]:
        side = int(rng.integers(70, SIDE))
        top, left = rng.integers(0, SIDE - side + 1, 2)
        drawings.append(enlarged(image, side, top, left, ink=int(rng.integers(100, 256))))
    drawings += [np.where(each > 127, 255, 0).astype(np.uint8) for each in drawings[:10]]
    agree(normalised(drawings), drawings)


def test_normalisation_of_odd_drawings(normalised, tenth):
    digit = enlarged(tenth.test.images[0, 0].numpy(), 200, 40, 40)
    speck, far, faint, dot, lines, full, over = (np.zeros((SIDE, SIDE), np.uint8) for _ in range(7))
    speck[:], far[:], faint[:] = digit, digit, digit
    speck[5:9, 5:9] = 255
    far[5:45, 5:25] = 255
    faint[:60] = np.maximum(digit[:60], 20)
    dot[100:122, 50:72] = 255
    lines[:, 3:25] = 200
    full[:] = 255
    over[:120] = 255
    over[:, :90] = over[:, -90:] = 255
    barely, nothing = np.full((SIDE, SIDE), 3, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    drawings = [speck, far, faint, dot, lines, lines.T.copy(), full, over, barely, nothing]
    found = normalised(drawings)
    agree(found, drawings)
    assert [each is None for each in found] == [False] * 8 + [True] * 2
    np.testing.assert_array_equal(found[0], normalised([digit])[0])
    assert (found[1] != found[0]).any()
