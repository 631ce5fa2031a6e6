"""The command as a whole: help, mistakes, interruptions and closed pipes."""

import os
import subprocess
import sys

import pytest

from siamese_mnist.runs import experiment

WITHOUT_TORCH = """
import sys
from siamese_mnist_cli.main import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"torch", "numpy", "sklearn", "matplotlib"} & sys.modules.keys()
    assert not heavy, f"{heavy} imported"
"""


def python(*arguments, **changes):
    """Runs this Python with little of the environment that could colour or widen its output."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")}
    given = {"capture_output": True, "text": True, "env": environment, "timeout": 120, **changes}
    return subprocess.run([sys.executable, *arguments], check=False, **given)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "-h"], ["compare", "--help"], ["list", "--help"]])
def test_help_is_there_at_once(arguments):
    """Nothing heavy is imported before a command has work for it."""
    done = python("-c", WITHOUT_TORCH, *arguments)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    assert done.stderr == ""


def test_help_names_the_commands(command):
    done = command("--help")
    assert done.status == 0
    for name in ("run", "compare", "list"):
        assert name in done.out


def test_without_arguments(command):
    done = command()
    assert done.status == 2
    assert done.err == "siamese-mnist: Missing command (--help shows the usage)\n"


def test_as_a_module():
    done = python("-m", "siamese_mnist_cli", "run", "baseline", "--seed", "one")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("siamese-mnist: Invalid value for '--seed'")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rum"], "No such command 'rum'. Did you mean 'run'?"),
        (["--verbose"], "No such option"),
        (["run"], "Missing argument 'entry'"),
        (["run", "baseline", "siamese"], "unexpected extra argument"),
        (["run", "baseline", "--epoch", "3"], "--epochs"),
        (["run", "baseline", "--epochs", "two"], "unable to parse string as an integer, got 'two' (--help"),
        (["run", "baseline", "--epochs=two"], "unable to parse string as an integer, got 'two' (--help"),
        (["list", "--jsn"], "--json"),
        (["compare", "--seeds", "0"], "'--seeds': Input should be greater than or equal to 1, got '0'"),
    ],
)
def test_usage_errors(mistake, arguments, message):
    assert message in mistake(*arguments)


def test_interruption(mistake, monkeypatch, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run_settings", interrupt)
    line = mistake("run", "baseline", "--dataset", "mnist-small", "--runs-dir", tmp_path, status=130)
    assert "interrupted" in line
    assert list(tmp_path.iterdir()) == []


def test_a_programming_error_is_not_hidden(monkeypatch, command, tmp_path):
    """Only a user's mistakes become one line; a bug keeps its traceback."""

    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(experiment, "run_settings", fail)
    with pytest.raises(ZeroDivisionError):
        command("run", "baseline", "--dataset", "mnist-small", "--runs-dir", tmp_path)


@pytest.mark.parametrize("arguments", [["list"], ["--help"]])
def test_a_closed_pipe(arguments):
    """`siamese-mnist list | head -1` ends without a complaint."""
    with subprocess.Popen(
        [sys.executable, "-m", "siamese_mnist_cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) in (0, 1)
