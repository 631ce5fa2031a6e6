"""The pages: every snippet runs or parses, generated pages are what their scripts give, the site is whole.

Blocks of a page run in their order, in a folder of the page's own with a few images. A block with a `title` is a file:
an excerpt of one in the repository, or one that is written for the blocks after it. Trainings are cut down, see `_cut`.
"""

import argparse
import ast
import contextlib
import dataclasses
import importlib.util
import io
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from xml.etree import ElementTree

import joblib
import pytest
import typer
from PIL import Image
from siamese_mnist_cli.app import app

import siamese_mnist as sm
from siamese_mnist.data import Dataset, load_dataset
from siamese_mnist.runs.experiment import run_name
from siamese_mnist.runs.store import list_runs
from siamese_mnist.settings.registries import REGISTRIES
from siamese_mnist.settings.settings import Settings

from .demo.conftest import browser as browser
from .demo.conftest import serve_folder
from .pages import axe_source, resized, restored, themed, troubles

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.name: path for path in [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]}
PLUGIN = ROOT / "examples" / "plugin"

# By how a command starts: why it does not run here. Its program, options and files are checked all the same.
NOT_RUN = {
    "make": "makes an environment and installs packages from an index; its targets must exist",
    "pip install": "installs from an index; names, extras and folders must exist",
    "siamese-mnist audit": "judges the curves of thirty whole trainings",
    "siamese-mnist compare --engine": "needs a cluster",
    "dask": "serves until it is stopped",
    "ray": "serves until it is stopped",
    "siamese-mnist demo": "serves until it is stopped",
    "python -m uvicorn": "serves until it is stopped; tests/inference/test_serving.py asks it",
    "mkdocs serve": "serves until it is stopped; test_site builds the site",
    "python docs/commands.py": "writes into docs; test_command_reference compares what it would write",
    "python docs/headline.py": "trains a dozen runs",
    "python docs/hero.py": "writes into docs, from a run of its own",
    "python docs/diagrams.py": "writes into docs; test_diagrams compares what it would write",
    "python docs/gallery.py": "writes into docs; trains four networks at full length",
    "python docs/lesson.py": "writes into docs; trains twelve networks",
    "python docs/tutorials.py": "writes into docs; test_tutorials runs them in short",
    "python benchmarks/speed.py": "needs TensorFlow, and half an hour of a quiet machine",
    "python benchmarks/designs.py": "trains some seventy runs",
    "python benchmarks/losses.py": "trains some four hundred runs",
    "python benchmarks/recipes.py": "trains some ninety runs, half of them the longest",
    "python benchmarks/questions.py": "trains some sixty runs",
}
# Less work in snippets: page, text, what stands in its place.
SHORTER = [
    ("studies.md", "--recipe short --trials 12", "--recipe short --trials 3"),
    ("stress.md", "explanations.py siamese\n", "explanations.py siamese --pairs 6\n"),
    ("using.md", "draw_pairs(labels, 2000", "draw_pairs(labels[:20], 60"),
    ("using.md", "epochs=3", "epochs=1"),
]
VIEWS = {"shifts", "slants"}  # options of a backbone that make an evaluation many times as long
# Inline code that is a whole command.
INLINE = re.compile(r"`((?:siamese-mnist|python|make|pip|mkdocs) [^`]+)`")


class Snippet(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    title: str | None
    text: str


class Command(NamedTuple):
    """A command of a console block, and the output that the page shows for it."""

    words: list[str]
    output: Path | None  # file that stdout goes to
    shown: list[str]


def snippets(text: str) -> Iterator[Snippet]:
    for found in re.finditer(r"^( *)```(\w*)(.*)\n((?:.*\n)*?)\1```$", text, re.MULTILINE):
        indent, language, rest, body = found.groups()
        title = re.search(r'title="(.*?)"', rest)
        lines = [line.removeprefix(indent) for line in body.splitlines(keepends=True)]
        yield Snippet(
            text[: found.start()].count("\n") + 1, language, title.group(1) if title else None, "".join(lines)
        )


def prose(text: str) -> str:
    return re.sub(r"^( *)```\w*.*\n(?:.*\n)*?\1```$", "", text, flags=re.MULTILINE)


def console(text: str) -> list[Command]:
    """The commands of a console block, `&&` taken apart."""
    commands: list[Command] = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.startswith("$ "):
            assert commands, f"a console block starts with a command, '$ ...', not with {line!r}"
            commands[-1].shown.append(line)
            continue
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, "&&"]:
            if word != "&&":
                words.append(word)
                continue
            output = None
            if ">" in words:
                words, (name,) = words[: words.index(">")], words[words.index(">") + 1 :]
                output = Path(name)
            assert not set(words) & set("|&;<"), f"no rule for {line!r}"
            commands.append(Command(words, output, []))
            words = []
    return commands


def check_words(words: list[str], monkeypatch) -> None:
    """Fails where a program, an option or a file that a command names does not exist."""
    program, *rest = words
    if program == "siamese-mnist":
        group = typer.main.get_command(app)
        if rest and rest[0] not in ("-h", "--help", *(each for option in group.params for each in option.opts)):
            assert rest[0] in group.commands, f"no command {rest[0]!r}: {words}"
            if rest[1:] and not set(rest) & {"-h", "--help"}:
                group.commands[rest[0]].make_context(rest[0], rest[1:])
    elif program == "python" and rest[0] == "-m":
        assert importlib.util.find_spec(rest[1]), words
    elif program == "python":
        parse_only(rest, monkeypatch)
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(rest) <= set(targets), words
    elif program == "pip":
        assert rest[0] == "install", words
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for what in rest[1:]:
            name, _, extra = what.rstrip("]").partition("[")
            assert name == "siamese-mnist" or (ROOT / name / "pyproject.toml").is_file(), words
            assert set(extra.split(",")) <= {"", *extras}, words
    elif program == "mkdocs":
        assert rest in (["serve"], ["build", "--strict"]), words
    else:
        assert program in ("dask", "ray"), f"no rule for {words}"


class Parsed(Exception):
    """Stops a script once its options are read."""


def parse_only(words: list[str], monkeypatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *given):
        parse(self, *given)
        raise Parsed

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(Parsed):
            script(words, patch)


def script(words: list[str], monkeypatch) -> int:
    """Runs a script of the repository in this process: its exit status."""
    path = ROOT / words[0]
    assert path.is_file(), words
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.syspath_prepend(str(path.parent))
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def run_command(each: Command, command, monkeypatch) -> SimpleNamespace | None:
    line = shlex.join(each.words)
    check_words(each.words, monkeypatch)
    if any(f"{line} ".startswith(f"{start} ") for start in NOT_RUN):
        return None
    if each.words[0] == "siamese-mnist":
        words = list(each.words[1:])
        if "--seeds" in words:
            place = words.index("--seeds") + 1
            words[place] = str(min(2, int(words[place])))
        return command(*words)
    assert each.words[0] == "python", f"no rule for {line}; add one, or name it in NOT_RUN with the reason"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), monkeypatch.context() as patch:
        status = script(each.words[1:], patch)
    return SimpleNamespace(status=status, out=out.getvalue(), err=err.getvalue())


def check_shown(shown: list[str], done: SimpleNamespace) -> None:
    """Compares what a page shows with what comes out: errors word by word, else the words before the figures."""
    refused = " ".join(shown).startswith("siamese-mnist: ")
    assert done.status == (2 if refused else 0), done.err
    if refused:
        assert " ".join(" ".join(shown).split()) == " ".join(done.err.split())
        return
    actual = done.out + done.err
    for line in shown:
        label = re.split(r"  +|\d|: ", line.strip())[0].strip()
        if label in ("", "same", "different", "...") or not label[0].isalpha():
            continue
        assert label in actual, f"{line!r} is shown, but the command prints {actual!r}"


def shorter(page: str, text: str) -> str:
    for name, old, new in SHORTER:
        if name == page:
            text = text.replace(old, new)
    return text


def run_python(snippet: Snippet, page: str, names: dict) -> None:
    tree = ast.parse("\n" * snippet.line + shorter(page, snippet.text), page)
    exec(compile(tree, page, "exec"), names)


RUN = re.compile(r"runs/((.+)-\w+-s\d+-[0-9a-f]{8})")


def link_runs(text: str) -> None:
    """Puts a run behind every name of one that a snippet uses: a cut-down training has another name."""
    for name, variant in RUN.findall(text):
        found = [run for run in list_runs("runs") if run.variant == variant]
        if found and not Path("runs", name).exists():
            Path("runs", name).symlink_to(Path(found[-1].run_dir).name)


FULL = Settings.resolve
TINY = "mnist-tiny"


@sm.DATASETS.register(TINY)
def load_tiny(root=None, download=False):  # noqa: ARG001
    """First 200 training and 100 test images of MNIST."""
    train, test, classes = load_dataset("mnist-tenth")
    return Dataset(train.select(slice(200)), test.select(slice(100)), classes)


def _cut(settings: Settings) -> Settings:
    """The same on few images and pairs, seen in one view, for a fraction of a second."""
    protocol, parts = settings.protocol, settings.parts
    once = {name: value for name, value in parts.backbone_options.items() if name not in VIEWS}
    alike = {name: value for name, value in parts.head_options.items() if name != "views"}
    test_pairs = protocol.test_pairs or (300 if protocol.test_protocol == "random" else None)
    return dataclasses.replace(
        settings,
        dataset=TINY if settings.dataset == "mnist-tenth" else settings.dataset,
        parts=dataclasses.replace(parts, backbone_options=once, head_options=alike),
        protocol=dataclasses.replace(
            protocol,
            train_pairs=min(protocol.train_pairs, 640),
            test_pairs=test_pairs and min(test_pairs, 300),
            pretrain_epochs=min(protocol.pretrain_epochs, 1),
            epochs=1,
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def registries_as_before():
    """What the snippets register is gone afterwards; built-in parts, which register once, stay."""
    registries = REGISTRIES.values()
    for registry in registries:
        registry.parts()
    before = [dict(registry._parts) for registry in registries]
    yield
    for registry, parts in zip(registries, before, strict=True):
        registry._parts = parts


@pytest.fixture
def place(tmp_path, monkeypatch, small):
    """A folder with images dark on light, and trainings cut down; gives the names of the runs that were asked for."""
    (tmp_path / "folder").mkdir()
    for number, name in enumerate(["left", "right", "a", "b", "other", "folder/a", "folder/b"]):
        Image.fromarray(255 - small.test.images[number, 0].numpy()).save(tmp_path / f"{name}.png")
    (tmp_path / "pairs.csv").write_text("left,right\nleft.png,right.png\n")
    (tmp_path / "scores.csv").write_text("left,right,same,score\na,b,1,0.9\na,c,0,0.4\nb,c,0,0.2\nc,d,1,0.7\n")
    monkeypatch.chdir(tmp_path)
    asked = set()

    def resolve(_, *given, **named):
        settings = FULL(*given, **named)
        asked.add(run_name(settings))
        return _cut(settings)

    monkeypatch.setattr(Settings, "resolve", classmethod(resolve))
    # Other processes would not know the small data set.
    monkeypatch.setattr("siamese_mnist.runs.jobs.possible_jobs", lambda: 1)
    with joblib.parallel_config(backend="sequential"):
        yield asked


@pytest.fixture
def plugin(monkeypatch):
    """The example plugin as if it were installed."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    groups = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, entries in groups.items():
        registry = getattr(sm, group.rpartition(".")[2].upper())
        registry.parts()
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))
        for name, value in entries.items():
            registry.add(name, EntryPoint(name, value, group).load(), origin="siamese-mnist-example 0.1.0")


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("page", PAGES)
def test_snippets(page, place, command, monkeypatch, capsys):
    """Everything in a page that can be run, in order."""
    text = PAGES[page].read_text()
    fences = re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)
    assert len(fences) == 2 * len([*snippets(text)]), f"{page}: a block is not closed, or not fenced by three backticks"
    names: dict = {}
    for snippet in snippets(text):
        where = f"{page}, line {snippet.line}"
        link_runs(snippet.text)
        source = ROOT / snippet.title if snippet.title else None
        if source and source.is_file():
            assert snippet.text in source.read_text(), f"{where}: this is not what {snippet.title} says now"
        elif source:
            Path(snippet.title).write_text(snippet.text)
        elif snippet.language == "python":
            run_python(snippet, page, names)
        elif snippet.language == "console":
            for each in console(shorter(page, snippet.text)):
                done = run_command(each, command, monkeypatch)
                if done is not None:
                    check_shown(each.shown, done)
                if done is not None and each.output:
                    each.output.write_text(done.out)
        elif snippet.language == "toml":
            tomllib.loads(snippet.text)
        elif snippet.language == "json":
            json.loads(snippet.text)
        else:
            assert snippet.language == "text", f"{where}: no rule for a block of {snippet.language or 'no language'!r}"
            assert not re.search(r"^\$ ", snippet.text, re.MULTILINE), f"{where}: commands belong in a console block"
        capsys.readouterr()
    for name, _ in RUN.findall(text):
        assert name in place, f"{page}: no command of this page makes {name}; it makes {sorted(place)}"


SIGNED = re.compile(r"([+-]\d+\.\d+)(?: to |, )([+-]\d+\.\d+)")
SIDES = re.compile(r"\b(better|worse|no difference shown|not shown|no side is shown)\b")


@pytest.mark.parametrize("page", PAGES)
def test_a_side_is_taken_exactly_where_the_interval_leaves_out_0(page):
    """In every row of a table that has a verdict beside the interval of a difference."""
    for line in PAGES[page].read_text().splitlines():
        verdict, interval = SIDES.search(line), SIGNED.search(line)
        if line.startswith("|") and verdict and interval:
            low, high = interval.groups()
            assert (verdict[1] in ("better", "worse")) == (low[0] == "+" or high[0] == "-"), line


@pytest.mark.parametrize("page", PAGES)
def test_inline_commands(page, monkeypatch, capsys):
    """Commands within sentences and tables have a program, options and files that exist."""
    for found in INLINE.findall(prose(PAGES[page].read_text())):
        words = [re.sub(r"^[A-Z][A-Z_]*$", "1", word) for word in shlex.split(found)]
        check_words(words, monkeypatch)
        capsys.readouterr()


def test_exceptions_are_needed():
    """What is excused from running is on some page."""
    text = "\n".join(path.read_text() for path in PAGES.values())
    assert not [start for start in NOT_RUN if start not in text]
    assert not [cut for cut in SHORTER if cut[1] not in PAGES[cut[0]].read_text()]


def test_command_reference():
    page = runpy.run_path(str(DOCS / "commands.py"))["page"]()
    assert (DOCS / "commands.md").read_text() == page, "the command reference is old; run: python docs/commands.py"
    names = typer.main.get_command(app).commands
    sections = re.split(r"^## siamese-mnist ", page, flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0] for section in sections] == list(names)


@pytest.mark.parametrize("name", typer.main.get_command(app).commands)
def test_command_reference_has_what_help_has(name, command, terminal):
    terminal(300)
    (section,) = re.findall(rf"^## siamese-mnist {name}\n.*?(?=^## |\Z)", PAGES["commands.md"].read_text(), re.M | re.S)
    told = re.sub(r"\x1b\[[\d;]*m", "", command(name, "--help").out)
    told = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", told)) - {"--help"}
    assert told == set(re.findall(r"(?<![\w-])--[a-z][\w-]+", section))


def test_diagrams():
    diagrams = runpy.run_path(str(DOCS / "diagrams.py"))["DIAGRAMS"]
    folder = DOCS / "images" / "designs"
    assert {path.stem for path in folder.iterdir()} == set(diagrams)
    for name, draw in diagrams.items():
        drawn = draw().svg()
        assert (folder / f"{name}.svg").read_text() == drawn, "a diagram is old; run: python docs/diagrams.py"
        assert ElementTree.fromstring(drawn).find("{*}title").text


def test_pictures_have_alternative_texts():
    for name, path in PAGES.items():
        for words, target in re.findall(r"!\[(.*?)\]\((.*?)\)", path.read_text()):
            assert len(words) > 20, f"{name}: {target}"
            assert (path.parent / target).is_file(), f"{name}: {target}"


def test_links_outside_the_site():
    """Links of the pages that the site's builder does not see."""
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)", PAGES[name].read_text()):
            assert target.startswith("https://") or (ROOT / target).exists(), f"{name}: {target}"


def test_architecture_names_every_room_and_its_modules_in_the_order_of_the_layers():
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", PAGES["architecture.md"].read_text(), re.MULTILINE)
    table = {room: re.findall(r"`(\w+)`", told) for room, told in rows}
    folder = ROOT / "siamese_mnist"
    assert set(table) == _names(folder) | {"siamese_mnist_cli"}
    for room, told in table.items():
        assert sorted(told) == sorted(_names(folder / room)), room
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {
        name.rpartition(".")[2]: number
        for number, layer in enumerate(next(each["layers"] for each in contracts if each["type"] == "layers"))
        for name in layer.split(" | ")
    }
    order = [layers[name] for name in table if name in layers]
    assert order == sorted(order)


def _names(folder: Path) -> set[str]:
    """Modules and packages in a folder."""
    return {path.parent.name for path in folder.glob("*/__init__.py")} | {
        path.stem for path in folder.glob("*.py") if path.stem != "__init__"
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    done = subprocess.run(build, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site(site):
    pages = {path.parent.name for path in site.glob("*/index.html")}
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= pages
    assert not [*site.rglob("*.py")]
    assert (site / "images" / "designs" / "siamese.svg").is_file()


def test_site_needs_no_network(site):
    """Pages load nothing from elsewhere; links that a reader follows are another matter."""
    loads = re.compile(r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|<link[^>]+rel=["']?(?:stylesheet|
        preload|preconnect|icon)[^>]+href=["']?(?:https?:)?//|url\(["']?(?:https?:)?//|@import""", re.X)  # fmt: skip
    for path in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]:
        assert not loads.search(path.read_text()), path


COPY = "button[data-clipboard-target]"
PRESS_COPY = """
    const copied = [];
    document.execCommand = () => copied.push(document.activeElement.value);
    for (const button of document.querySelectorAll("button[data-clipboard-target]"))
        if (document.querySelector(button.dataset.clipboardTarget).textContent.startsWith("$ ")) button.click();
    return copied;
"""


def test_what_is_copied_from_a_terminal_is_its_commands(site, browser):
    """The button of every block of a terminal, on every page that has one, gives commands and nothing else."""
    from selenium.webdriver.support.ui import WebDriverWait

    with serve_folder(site) as address:
        for path in sorted(DOCS.glob("*.md")):
            blocks = re.findall(r"^```console\n(.*?)^```", path.read_text(), re.M | re.S)
            if not blocks:
                continue
            browser.get(f"{address}/{'' if path.stem == 'index' else path.stem + '/'}")
            typed = ["".join(re.findall(r"^\$ ((?:.*\\\n)*.*\n)", block, re.M)) for block in blocks]
            WebDriverWait(browser, 20).until(lambda shown: shown.find_elements("css selector", COPY))
            copied = browser.execute_script(PRESS_COPY)
            assert [text.split() for text in copied] == [text.split() for text in typed], path.name


def test_every_page_is_whole_at_any_width_light_and_dark(site, browser):
    """Nothing is too wide, missing or complained about, and axe-core finds nothing serious, the live page included."""
    axe = axe_source()
    found = {}
    with serve_folder(site) as address:
        try:
            for path in sorted(site.rglob("index.html")):
                page = f"{path.parent.relative_to(site).as_posix()}/"
                found[page] = troubles(browser, f"{address}/{'' if page == './' else page}", axe)
        finally:
            restored(browser)
    assert {page: each for page, each in found.items() if each} == {}


FIRST_LOAD_BYTES = 1_500_000
LOADED = """
    return performance.getEntriesByType("resource").map((each) => each.name).concat(location.href);
"""


def test_the_first_page_is_light_and_moves(site, browser):
    """What it loads before anything is touched; the pair on it moves, except where motion is unwanted."""
    from selenium.webdriver.support.ui import WebDriverWait

    with serve_folder(site) as address:
        try:
            resized(browser, 1280)
            themed(browser, "light", still=False)
            browser.get(f"{address}/")
            mark = browser.find_element("class name", "hero-mark")
            place = mark.get_attribute("style")
            wait = WebDriverWait(browser, 60, poll_frequency=0.05)
            wait.until(lambda _: mark.get_attribute("style") not in ("", place))
            wait.until(lambda _: browser.find_element("class name", "hero-word").text == "Different")
            loaded = {
                url.removeprefix(address).partition("?")[0].partition("#")[0] for url in browser.execute_script(LOADED)
            }
            assert {"/", "/images/hero.png", "/images/headline.svg"} <= loaded
            files = [site / url.lstrip("/") for url in loaded]
            size = sum((path / "index.html" if path.is_dir() else path).stat().st_size for path in files)
            assert size < FIRST_LOAD_BYTES, size
            themed(browser, "light")
            browser.get(f"{address}/")
            button = browser.find_element("class name", "hero-pause")
            wait.until(lambda _: button.is_displayed())
            assert button.text == "Play"
        finally:
            restored(browser)


def test_the_address_of_the_repository(tmp_path, monkeypatch):
    """It comes from git alone, without what may be secret in it; pages have a line to clone only where it is known."""
    hooks = SimpleNamespace(**runpy.run_path(str(DOCS / "hooks.py")))
    monkeypatch.setitem(hooks.repository.__globals__, "_ROOT", tmp_path)
    page = "one\n<!-- clone -->\ntwo"
    assert hooks.on_page_markdown(page, {"repo_url": None}) == "one\n\ntwo"
    for command in (["init", "-q"], ["remote", "add", "origin", "https://me:secret@example.org/us/digits.git"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    config = {"repo_url": None}
    hooks.on_config(config)
    assert config == {"repo_url": "https://example.org/us/digits", "edit_uri": "edit/main/docs/"}
    assert "$ git clone https://example.org/us/digits && cd digits\n" in hooks.on_page_markdown(page, config)
    subprocess.run(["git", "remote", "set-url", "origin", "/srv/digits.git"], cwd=tmp_path, check=True)
    assert hooks.repository() is None


def test_every_public_name_is_in_the_api_reference(site):
    anchors = re.findall(r'id="(siamese_mnist[\w.]*)"', (site / "api" / "index.html").read_text())
    missing = [name for name in sm.__all__ if not any(anchor.endswith(f".{name}") for anchor in anchors)]
    assert not missing
