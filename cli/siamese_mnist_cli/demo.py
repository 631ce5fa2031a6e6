"""`siamese-mnist demo`: a page in the browser to draw two digits on."""

import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from siamese_mnist_cli import options
from siamese_mnist_cli.skipped import located


def demo(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run's folder, a bundle, or a variant: its newest run in --runs-dir.",
            show_default="newest run of any variant in --runs-dir",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    runs_dir: options.RunsDir = Path("runs"),
    data_dir: options.DataDir = None,
) -> None:
    """Draw two digits in the browser and see the model's answer change with every stroke.

    The page is served on this machine only and loads nothing from the network. Ctrl-C ends it.
    """
    place = located(run, runs_dir)

    import numpy as np

    from siamese_mnist.demo.answers import open_answers
    from siamese_mnist.demo.server import DemoServer

    answers = open_answers(place, data_dir, np.random.default_rng())
    with DemoServer(answers, port) as server:
        print(server.url, flush=True)
        if browser:
            # A browser in the terminal returns only when the user leaves it, and needs the server meanwhile.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        server.serve_forever()
