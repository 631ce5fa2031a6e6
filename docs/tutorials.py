"""The tutorials and the lesson, executed: a notebook with its outputs and a page for each script of docs/tutorials.

    python docs/tutorials.py
    python docs/tutorials.py first-run own-loss

A script in the percent format is the only source. Needs the extra `siamese-mnist[notebooks]`.
"""

from __future__ import annotations

import argparse
import base64
import importlib.util
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from siamese_mnist.system.machine import made_by

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(__file__).with_suffix("")
SCRIPTS = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
_KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def main() -> None:
    """Executes what is named, or all, and prints the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SCRIPTS)}; all if none is named")
    names = parser.parse_args().names
    if unknown := set(names) - set(SCRIPTS):
        parser.error(f"no tutorial {', '.join(sorted(unknown))}; there are {', '.join(SCRIPTS)}")
    if missing := [name for name in ("jupytext", "nbclient", "ipykernel") if importlib.util.find_spec(name) is None]:
        parser.error(f"{missing[0]} is missing; install the extra siamese-mnist[notebooks]")
    for name in names or SCRIPTS:
        start = time.perf_counter()
        notebook = executed(read(SCRIPTS[name]))
        seconds = time.perf_counter() - start
        notebook.metadata["made"] = f"{made_by(f'python docs/tutorials.py {name}')} It took {seconds:.0f} s."
        write(name, notebook, FOLDER)
        print(f"{name:<14} {seconds:5.1f} s", flush=True)


def read(script: Path) -> NotebookNode:
    """The notebook of a script, without outputs and with the same ids every time."""
    import jupytext
    from nbformat import NotebookNode

    notebook = jupytext.read(script, fmt="py:percent")
    notebook.metadata = NotebookNode(_KERNEL)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def executed(notebook: NotebookNode) -> NotebookNode:
    """The same with outputs, from a kernel of its own in an empty folder."""
    from nbclient import NotebookClient
    from traitlets.config import Config

    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            coalesce_streams=True,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}}),  # no open ports
        )
        client.execute(env={**os.environ, "PYTHONWARNINGS": "ignore:IProgress not found"})  # tqdm's, who lacks widgets
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of every cell
    return notebook


def write(name: str, notebook: NotebookNode, folder: Path) -> None:
    """Writes the notebook, its page and the pictures of the page."""
    import nbformat

    nbformat.write(notebook, folder / f"{name}.ipynb")
    for old in (folder / "images").glob(f"{name}-*.png"):
        old.unlink()
    (folder / "images").mkdir(exist_ok=True)
    for picture, content in pictures(name, notebook).items():
        (folder / "images" / picture).write_bytes(content)
    (folder / f"{name}.md").write_text(page(name, notebook))


def pictures(name: str, notebook: NotebookNode) -> dict[str, bytes]:
    """The pictures among the outputs, by file name."""
    found = [output.data["image/png"] for output in _outputs(notebook) if "image/png" in output.get("data", {})]
    return {f"{name}-{number}.png": base64.b64decode(each) for number, each in enumerate(found)}


def page(name: str, notebook: NotebookNode) -> str:
    """The notebook as a page of the site."""
    names = iter(pictures(name, notebook))
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source.strip()}\n```")
        for output in cell.outputs:
            if output.output_type == "stream":
                parts.append(f"```text\n{output.text.rstrip()}\n```")
            elif "image/png" in output.get("data", {}):
                parts.append(f"![{_caption(parts)}](images/{next(names)})")
    links = f"[The notebook of this page]({name}.ipynb){{ download }}, with these outputs."
    title, rest = parts[0].split("\n", 1)
    return "\n\n".join([title, links, rest.strip(), *parts[1:], notebook.metadata["made"]]) + "\n"


def _caption(parts: list[str]) -> str:
    """What a picture is of: the heading that it stands under."""
    headings = re.findall(r"^#+ (.+)$", "\n".join(part for part in parts if not part.startswith("```")), re.MULTILINE)
    return f"Picture: {headings[-1]}"


def _outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


if __name__ == "__main__":
    main()
