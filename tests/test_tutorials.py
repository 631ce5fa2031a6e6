"""The tutorials run, in short, and their notebooks and pages are what their scripts give."""

import importlib.util
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from .test_docs import place as place
from .test_docs import registries_as_before as registries_as_before

pytest.importorskip("jupytext", reason="the extra notebooks is not installed")
pytest.importorskip("nbclient", reason="the extra notebooks is not installed")
import nbformat

DOCS = Path(__file__).parents[1] / "docs"
SCRIPTS = {path.stem: path for path in sorted((DOCS / "tutorials").glob("*.py"))}
# What stands in the place of what takes long; trainings of the library are cut down by `place`.
SHORTER = {
    "fair-study": [("trials=4", "trials=1"), ("xticks=range(4), xticklabels=range(1, 5)", "xticks=[0]")],
    "lesson": [
        ("EPOCHS = 6", "EPOCHS = 1"),
        ('load_dataset("mnist-tenth")', 'load_dataset("mnist-small")'),
        ("(0, 30, total)", "(0, 3, total)"),
    ],
}


def imported(name):
    """A script of docs as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tutorials():
    return imported("tutorials")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", SCRIPTS)
def test_it_runs(name, tutorials, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gcf()) or plt.close("all"))
    names = {"__name__": name}
    source = "\n\n".join(cell.source for cell in tutorials.read(SCRIPTS[name]).cells if cell.cell_type == "code")
    for old, new in SHORTER.get(name, ()):
        assert old in source, f"{name}: {old!r} is not there any more"
        source = source.replace(old, new)
    exec(compile(source, str(SCRIPTS[name]), "exec"), names)
    assert capsys.readouterr().out
    assert shown or name == "own-loss"


@pytest.mark.parametrize("name", SCRIPTS)
def test_notebook_and_page_are_of_their_script(name, tutorials):
    notebook = nbformat.read(DOCS / "tutorials" / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    written = tutorials.read(SCRIPTS[name])
    old = f"this is old; run: python docs/tutorials.py {name}"
    assert [(cell.cell_type, cell.source) for cell in notebook.cells] == [
        (cell.cell_type, cell.source) for cell in written.cells
    ], old
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    kinds = {output.output_type for cell in code for output in cell.outputs}
    assert kinds <= {"stream", "display_data"}
    assert not [output for cell in code for output in cell.outputs if output.get("name") == "stderr"]
    assert (DOCS / "tutorials" / f"{name}.md").read_text() == tutorials.page(name, notebook), old
    for picture, content in tutorials.pictures(name, notebook).items():
        assert (DOCS / "tutorials" / "images" / picture).read_bytes() == content, old


def test_a_notebook_is_executed_in_a_kernel_of_its_own(tutorials, tmp_path, monkeypatch, capsys):
    script = tmp_path / "short.py"
    script.write_text(
        "# %% [markdown]\n# # Short\n#\n# Text.\n\n# %%\nimport matplotlib.pyplot as plt\n\nprint(2 + 2)\n\n"
        "# %% [markdown]\n# ## A line\n\n# %%\nplt.plot([1, 2])\nplt.show()\n"
    )
    monkeypatch.setattr(tutorials, "FOLDER", tmp_path)
    monkeypatch.setattr(tutorials, "SCRIPTS", {"short": script})
    monkeypatch.setattr(sys, "argv", ["tutorials.py", "short"])
    tutorials.main()
    assert capsys.readouterr().out.startswith("short ")
    page = (tmp_path / "short.md").read_text()
    assert "```text\n4\n```" in page
    assert "![Picture: A line](images/short-0.png)" in page
    assert (tmp_path / "images" / "short-0.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_tutorial_is_named(tutorials, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tutorials.py", "frist-run"])
    with pytest.raises(SystemExit) as stopped:
        tutorials.main()
    assert stopped.value.code == 2
    assert "no tutorial frist-run; there are " in capsys.readouterr().err


def test_the_gallery_is_what_its_script_says():
    gallery = imported("gallery")
    page = (DOCS / "gallery.md").read_text()
    made = page.split("\n\n")[3].removesuffix(" Before the pictures, it runs:")
    assert page == gallery.page(made), "the gallery is old; run: python docs/gallery.py"
    for card in gallery._cards():
        assert (DOCS / gallery._place(card)).is_file()
