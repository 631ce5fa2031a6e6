"""`siamese-mnist demo`: a run to a page, and mistakes."""

import os
import queue
import signal
import socket
import subprocess
import sys
import urllib.request
import webbrowser

import pytest

from siamese_mnist.demo.server import DemoServer


@pytest.fixture
def interrupted(monkeypatch):
    """Lets the server start and ends it at once, as Ctrl-C does: the servers that ran."""
    servers = []

    def serve(server, *_):
        servers.append(server)
        raise KeyboardInterrupt

    monkeypatch.setattr(DemoServer, "serve_forever", serve)
    return servers


def about(server):
    return server.answers.about


@pytest.mark.parametrize(("named", "variant"), [([], "siamese"), (["baseline"], "baseline"), (["siamese"], "siamese")])
def test_which_run(command, interrupted, runs_dir, named, variant):
    done = command("demo", *named, "--runs-dir", runs_dir, "--no-browser")
    assert done.status == 130
    assert done.out == f"{interrupted[0].url}\n"
    assert done.err.count("\n") == 1
    assert about(interrupted[0])["variant"] == variant


def test_a_run_folder_and_a_bundle(command, interrupted, finished, tmp_path):
    run = finished["siamese"].run_dir
    command("bundle", run, tmp_path / "digits.zip")
    for named in (run, tmp_path / "digits.zip"):
        assert command("demo", named, "--no-browser").status == 130
    assert [about(each)["accuracy"] for each in interrupted] == [finished["siamese"].test.accuracy] * 2


def test_the_browser(command, interrupted, runs_dir, monkeypatch):
    opened = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", opened.put)
    command("demo", "--runs-dir", runs_dir, "--no-browser")
    done = command("demo", "--runs-dir", runs_dir)
    assert f"{opened.get(timeout=60)}\n" == done.out == f"{interrupted[1].url}\n"
    assert opened.empty()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "make one with `siamese-mnist run siamese --recipe fast`"),
        (["siamese"], "no run of 'siamese'"),
        (["nothing"], "'nothing' is neither a run"),
        (["--port", "70000"], "Invalid value for '--port'"),
    ],
)
def test_mistakes(mistake, tmp_path, arguments, message):
    assert message in mistake("demo", *arguments, "--runs-dir", tmp_path, "--no-browser")


def test_a_taken_port(mistake, runs_dir):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} cannot be used" in mistake("demo", "--runs-dir", runs_dir, "--port", port, "--no-browser")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(finished, tmp_path, number):
    """The whole command in a process of its own: a page, then the signal's status and one line.

    There the small data set of the runs is unknown, and the built-in digits stand in for it.
    """
    arguments = ["demo", finished["siamese"].run_dir, "--no-browser"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "siamese_mnist_cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
        # A process in the background of a script would ignore the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(url, timeout=60) as page:
            assert b"Same or different?" in page.read()
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    assert err.startswith("siamese-mnist: interrupted")
    assert err.count("\n") == 1
