"""The command as a whole: help, mistakes, interruptions and closed pipes."""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from siamese_mnist_cli.app import app

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
    assert done.status == 0
    assert done.err == ""
    assert done.out.strip() == command("--help").out.strip()


def test_version(command):
    done = command("--version")
    assert (done.status, done.out) == (0, f"siamese-mnist {version('siamese-mnist')}\n")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("run pseudo", {"pseudo-siamese"}),
        ("compare siamese baseline-s", {"baseline-symmetric"}),
        ("run siamese --loss contr", {"contrastive"}),
        ("compare --recipe s", {"short", "strong"}),
        ("list da", {"datasets"}),
    ],
)
def test_names_complete_in_a_shell(words, names):
    program = WITHOUT_TORCH.replace("try:", "sys.argv = ['siamese-mnist']\ntry:")
    asked = {
        "_SIAMESE_MNIST_COMPLETE": "complete_bash",
        "COMP_WORDS": f"siamese-mnist {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    done = python("-c", program, env=os.environ | asked)
    assert done.stderr == ""
    assert set(done.stdout.split()) == names


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


SIGNAL_IN_AN_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "torch":
            os.kill(os.getpid(), signal.SIG{})
            raise ImportError("the signal was not answered")
sys.meta_path.insert(0, Finder())
sys.argv = ["siamese-mnist", "run", "siamese"]
from siamese_mnist_cli.main import main
main()
"""


WITHOUT_PYTORCH = """
import sys
sys.modules["torch"] = None
from siamese_mnist_cli.main import main
main()
"""


MISNAMED = {
    "run": ["siamees"],
    "compare": ["siamees"],
    "study": ["siamees"],
    "stress": ["nosuch"],
    "evaluate": ["nosuch.csv"],
    "report": ["nosuch"],
    "figures": ["nosuch"],
    "predict": ["nosuch", "a.png", "b.png"],
    "explain": ["nosuch", "a.png", "b.png"],
    "enrol": ["new", "someone", "a.png", "--run", "nosuch"],
    "identify": ["nosuch", "a.png"],
    "demo": ["nosuch"],
    "bundle": ["nosuch", "digits.zip"],
    "export": ["nosuch"],
    "list": ["nosuch"],
}
NAMELESS = {"audit", "runs"}


def test_every_command_is_misnamed_something():
    assert MISNAMED.keys() | NAMELESS == typer.main.get_command(app).commands.keys()


@pytest.mark.parametrize("command", MISNAMED)
def test_a_name_that_is_none_is_told_without_pytorch(command, tmp_path):
    done = python("-c", WITHOUT_PYTORCH, command, *MISNAMED[command], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.search("siamees|nosuch", done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "status"), [("INT", 130), ("TERM", 143)])
def test_a_signal_during_imports(name, status):
    done = python("-c", SIGNAL_IN_AN_IMPORT.format(name))
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "siamese-mnist: interrupted; finished runs are kept, nothing else was written\n"


SIGNAL_AS_COMMANDS_ARE_READ = """
import os, signal, sys, typer.main
typer.main.get_command = lambda *_: os.kill(os.getpid(), signal.SIG{})
sys.argv = ["siamese-mnist", "list"]
from siamese_mnist_cli.main import main
main()
"""


@pytest.mark.parametrize(("name", "status"), [("INT", 130), ("TERM", 143)])
def test_a_signal_while_commands_are_read(name, status):
    done = python("-c", SIGNAL_AS_COMMANDS_ARE_READ.format(name))
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == "siamese-mnist: interrupted; finished runs are kept, nothing else was written\n"


def test_a_full_disk():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = python("-m", "siamese_mnist_cli", "list", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "siamese-mnist: the output cannot be used (No space left on device); name another place\n"


WITH_A_NAME = [
    ["predict", "NAME", "a.png", "b.png"],
    ["predict", "siamese", "NAME", "b.png"],
    ["predict", "siamese", "--pairs", "NAME"],
    ["bundle", "NAME", "out"],
    ["bundle", "RUN", "NAME"],
    ["export", "RUN", "--output", "NAME"],
    ["demo", "NAME", "--no-browser"],
    ["report", "NAME"],
    ["report", "RUN", "--output", "NAME"],
    ["figures", "RUN", "--output", "NAME"],
    ["compare", "--csv", "NAME"],
    ["evaluate", "NAME"],
    ["run", "siamese", "--runs-dir", "NAME"],
    ["run", "siamese", "--dataset", "mnist", "--data-dir", "NAME"],
]


def filled(words, name, run):
    """The words of a command with a path and a run in their places."""
    if "siamese" in words and words[0] == "predict":
        words = [*words, "--runs-dir", str(Path(run).parent)]
    return [str(name) if word == "NAME" else str(run) if word == "RUN" else word for word in words]


@pytest.mark.parametrize("name", ["a" * 300, "a" * 5000, "a\0b"])
@pytest.mark.parametrize("words", WITH_A_NAME, ids=" ".join)
def test_names_that_no_file_can_have(mistake, finished, tmp_path, monkeypatch, words, name):
    monkeypatch.chdir(tmp_path)
    line = mistake(*filled(words, name, finished["siamese"].run_dir))
    assert line.isprintable()
    assert [path.name for path in tmp_path.iterdir() if path.name != "runs"] == []


@contextlib.contextmanager
def nobody():
    """Does without root's right to everything for a while."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture(scope="module")
def open_run(finished):
    """A run that every user can read, in a folder beside one that no user can look into."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        here.chmod(0o755)
        (here / "closed").mkdir(mode=0)
        yield Path(shutil.copytree(finished["siamese"].run_dir, here / "runs" / "run"))


@pytest.mark.parametrize("words", WITH_A_NAME, ids=" ".join)
def test_a_folder_that_nobody_may_look_into(mistake, open_run, monkeypatch, words):
    monkeypatch.chdir(open_run.parent)
    mistake(*filled(words, "a" * 300, open_run))  # imports what this user alone may be able to read
    with nobody():
        line = mistake(*filled(words, open_run.parents[1] / "closed" / "a.csv", open_run))
    assert "permission denied" in line.lower()
    assert [path.name for path in open_run.parent.iterdir() if path.name != "runs"] == ["run"]


def test_control_characters_are_escaped(mistake):
    assert "a\\x1b]0;b\\x07 c " in mistake("evaluate", "a\x1b]0;b\x07\nc")


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
