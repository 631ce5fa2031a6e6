"""The HTML page: its content, its mistakes, and what a browser makes of it."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from siamese_mnist.errors import UsageError
from siamese_mnist.runs.comparison import choose_runs, compare
from siamese_mnist.runs.store import RunError
from siamese_mnist.visualisation.html import page, write_pictures, write_report

from ..demo.conftest import browser as browser
from ..pages import axe_source, restored, troubles

VOID = {"meta", "link", "br", "img", "input", "hr"}
CHROMIUM = shutil.which("chromium")


class Reader(HTMLParser):
    """Elements of a page in order, and whether they are closed in turn."""

    def __init__(self):
        super().__init__()
        self.elements, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def runs(runs_dir):
    return choose_runs([], runs_dir)


@pytest.fixture(scope="module")
def html(runs):
    return page(runs)


@pytest.fixture(scope="module")
def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.fixture
def copied(runs_dir, tmp_path):
    """A changeable copy of the folder of runs: its path and a function that changes a result.json."""
    folder = tmp_path / "runs"
    shutil.copytree(runs_dir, folder)

    def change(which, **values):
        (path,) = folder.glob(f"{which}-*/result.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        return path.parent

    return folder, change


def test_table_and_verdicts(html, read, runs):
    _, *rows = compare(runs)
    for row in rows:
        assert f'<th scope="row">{row["variant"]}</th>' in html
        assert f"{row['accuracy']:.4f}" in html
        low, high = row["accuracy_interval"]
        assert f"{low:.4f} to {high:.4f}" in html
    assert rows[1]["verdict"] in html
    assert f"{rows[1]['difference']:+.4f}" in html
    assert all(head["scope"] in ("row", "col") for head in read.all("th"))


def test_every_picture_is_there_and_named(read):
    names = [figure["id"] for figure in read.all("figure")]
    assert names[:2] == ["together-roc", "together-det"]
    assert len(names) == len(set(names)) == 2 + 9 + 10
    labelled = [svg["aria-label"] for svg in read.all("svg")]
    assert len(labelled) == len(names)
    assert all(len(label) > 20 for label in labelled)


def test_ids_are_unique_and_links_lead_somewhere(html, read):
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"].removeprefix("#") for link in read.all("a")} <= set(ids)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(ids)


def test_nothing_from_elsewhere(read):
    for tag, attributes in read.elements:
        assert tag not in ("script", "iframe", "object")
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))


def test_seeds_are_told(copied):
    folder, _ = copied
    before = next(folder.glob("siamese-*"))
    shutil.copytree(before, folder / "siamese-short-s1")
    path = folder / "siamese-short-s1" / "result.json"
    result = json.loads(path.read_text())
    result["seed"] = result["config"]["seed"] = 1
    path.write_text(json.dumps(result))
    shutil.copytree(next(folder.glob("baseline-*")), folder / "baseline-short-s1")
    change_to_one = folder / "baseline-short-s1" / "result.json"
    result = json.loads(change_to_one.read_text())
    result["seed"] = result["config"]["seed"] = 1
    change_to_one.write_text(json.dumps(result))
    chosen = choose_runs([], folder)
    assert [(run.variant, run.seed) for run in chosen] == [
        ("baseline", 0),
        ("baseline", 1),
        ("siamese", 0),
        ("siamese", 1),
    ]
    text = page(chosen)
    assert "baseline seed 0 (the first of 2), siamese seed 0 (the first of 2)" in text
    assert "sd 0.0000" in text
    assert "the seeds of an entry differ in: initial values and batch order" in text


def test_newest_run_of_each_seed(copied):
    folder, _ = copied
    older = next(folder.glob("siamese-*"))
    newer = shutil.copytree(older, folder / "newer")
    (newer / "result.json").touch()
    assert [Path(run.run_dir).name for run in choose_runs([], folder)][1] == "newer"
    named = choose_runs([older, older], folder)
    assert [Path(run.run_dir) for run in named] == [older]


def test_names_are_escaped(copied):
    folder, change = copied
    config = json.loads(next(folder.glob("siamese-*/result.json")).read_text())["config"]
    change("siamese", config=config | {"variant": "<b>&\"'"})
    reader = Reader()
    reader.feed(page(choose_runs([], folder)))
    assert not reader.all("b")
    assert any("<b>&\"'" in text for text in reader.text)


def test_two_losses_of_one_variant_are_told_apart(copied):
    folder, _ = copied
    path = shutil.copytree(next(folder.glob("siamese-*")), folder / "other") / "result.json"
    result = json.loads(path.read_text())
    result["config"]["parts"]["loss"] = "triplet"
    path.write_text(json.dumps(result))
    runs = choose_runs([], folder)
    names = [row["entry"] for row in compare(runs)[1:]]
    assert names == ["baseline", "siamese", "siamese:loss=triplet"]
    shown = page(runs)
    assert all(f'<th scope="row">{name}</th>' in shown for name in names)
    places = {place.name for place in write_pictures(runs, folder / "pictures", "svg")}
    assert {"siamese-scores.svg", "siamese-loss-triplet-scores.svg"} <= places


def test_written_whole(runs, tmp_path):
    place = tmp_path / "new" / "a.html"
    assert write_report(runs[:1], place) == place
    first = place.read_bytes()
    write_report(runs[:1], place)
    assert place.read_bytes() == first, "the same runs give the same page"
    assert [path.name for path in place.parent.iterdir()] == ["a.html"]
    assert place.stat().st_mode & 0o777 == 0o644


def test_picture_files(runs, tmp_path):
    places = list(write_pictures(runs, tmp_path / "p", "svg"))
    assert {place.name for place in places} == {path.name for path in (tmp_path / "p").iterdir()}
    assert len(places) == 2 + 9 + 10
    assert {"det.svg", "baseline-hardest.svg", "siamese-embeddings.svg"} <= {place.name for place in places}


@pytest.mark.parametrize("name", [".", "file/a.html"])
def test_unwritable(runs, tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write .* --output"):
        write_report(runs, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_runs(tmp_path):
    with pytest.raises(UsageError, match="no complete run below"):
        choose_runs([], tmp_path)
    with pytest.raises(RunError, match="not a complete run"):
        choose_runs([tmp_path / "none"], tmp_path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "mnist"}, r"\(mnist-small\) and .* \(mnist\) have different data sets"),
        ({"test": {}}, r"result\.json cannot be read \(test\.pairs: "),
        ({"config": {"variant": "siamese"}}, r"config\.recipe is missing"),
    ],
)
def test_runs_that_do_not_belong_together(copied, values, words):
    folder, change = copied
    places = [*folder.glob("baseline-*"), change("siamese", **values)]
    with pytest.raises(UsageError, match=words):
        choose_runs(places, folder)


def test_other_test_pairs(copied):
    folder, change = copied
    (path,) = folder.glob("siamese-*/result.json")
    test = json.loads(path.read_text())["test"]
    places = [*folder.glob("baseline-*"), change("siamese", test=test | {"pairs_digest": "0"})]
    with pytest.raises(UsageError, match="different test pairs"):
        choose_runs(places, folder)


@pytest.mark.parametrize("name", ["test", "phase1", "throughput", "decision", "parameters"])
def test_damaged_result(copied, name):
    folder, change = copied
    (path,) = folder.glob("siamese-*/result.json")
    change("siamese", **{name: {}})
    with pytest.raises(RunError, match=rf"result\.json cannot be read \({name}\..*; train the run again"):
        choose_runs([path.parent], folder)
    assert [run.variant for run in choose_runs([], folder)] == ["baseline"]


def browse(address, profile, *arguments):
    """Runs Chromium without a window: its stdout and stderr."""
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-default-apps --enable-logging=stderr"
    )
    alone = "--host-resolver-rules=MAP * ~NOTFOUND"  # nothing is asked of anybody, not even by Chromium itself
    command = [CHROMIUM, *quiet.split(), alone, f"--user-data-dir={profile}", *arguments, address]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def measured(html):
    """The page with a script that writes the size and the ink of every figure into an attribute."""
    script = """<script>
    document.body.dataset.height = document.documentElement.scrollHeight;
    document.querySelectorAll("details").forEach(each => { each.open = true; });
    const told = [...document.querySelectorAll("figure > svg")].map(svg => {
      const box = svg.getBoundingClientRect();
      return [box.width, box.height, getComputedStyle(svg.querySelector("text")).fill];
    });
    const overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    const ground = getComputedStyle(document.body).backgroundColor;
    document.body.dataset.told = JSON.stringify({figures: told, overflow, ground});
    </script></body>"""
    return html.replace("default-src 'none'; ", "default-src 'none'; script-src 'unsafe-inline'; ").replace(
        "</body>", script
    )


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    ("arguments", "ground", "ink"),
    [
        (["--window-size=1280,1000"], "rgb(253, 253, 254)", "rgb(26, 28, 30)"),
        (["--window-size=500,800", "--force-dark-mode"], "rgb(22, 24, 29)", "rgb(231, 233, 236)"),
    ],
    ids=["light and wide", "dark and narrow"],
)
def test_in_a_browser(html, tmp_path, arguments, ground, ink):
    """Every figure is seen, in the theme's colours and within the page's width."""
    (tmp_path / "page.html").write_text(measured(html), encoding="utf-8")
    done = browse((tmp_path / "page.html").as_uri(), tmp_path / "profile", "--dump-dom", *arguments)
    assert "CONSOLE" not in done.stderr
    reader = Reader()
    reader.feed(done.stdout)
    told = json.loads(reader.all("body")[0]["data-told"])
    assert len(told["figures"]) == 2 + 9 + 10
    for width, height, fill in told["figures"]:
        assert width > 250
        assert height > 150
        assert fill == ink
    assert told["overflow"] <= 0
    assert told["ground"] == ground
    assert "1280" not in arguments[0] or int(reader.all("body")[0]["data-height"]) < 4000


def test_the_page_is_whole_at_any_width_light_and_dark(html, browser, tmp_path):
    place = tmp_path / "page.html"
    place.write_text(html.replace("<details>", "<details open>"), encoding="utf-8")
    try:
        assert troubles(browser, place.as_uri(), axe_source()) == []
    finally:
        restored(browser)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_no_request_leaves_the_page(html, tmp_path):
    """Chromium's own record of its network: what the page asks for, apart from what Chromium asks for by itself."""
    assert requests(html, tmp_path / "whole") == []
    image = '<img src="http://elsewhere.invalid/a.png" alt="">'
    leaking = html.replace('http-equiv="Content-Security-Policy"', "").replace("</main>", f"{image}</main>")
    assert requests(leaking, tmp_path / "leaking") == ["http://elsewhere.invalid/a.png"], "the record tells nothing"


def requests(html, folder):
    """Addresses that a page asks for."""
    folder.mkdir()
    place, log = folder / "page.html", folder / "net.json"
    place.write_text(html, encoding="utf-8")
    done = browse(place.as_uri(), folder / "profile", "--dump-dom", f"--log-net-log={log}")
    events = (event.get("params", {}) for event in json.loads(log.read_text())["events"])
    # A page from a file has the origin "null"; Chromium's own requests have none.
    asked = [event["url"] for event in events if "url" in event and event.get("initiator") == "null"]
    assert asked or "CONSOLE" not in done.stderr
    return asked
