"""A user's program is type-checked against the package, as strictly as it goes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "typing"


def check(program):
    """What mypy says, from elsewhere than the sources; their cache serves here too, as PyTorch's types take long."""
    command = [sys.executable, "-m", "mypy", f"--config-file={ROOT}/pyproject.toml", f"--cache-dir={ROOT}/.mypy_cache"]
    return subprocess.run([*command, program], check=False, capture_output=True, text=True, cwd=FOLDER)


def test_a_users_program():
    """Every `assert_type` holds, and what is marked as an error is one."""
    done = check("program.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_users_mistake_is_found(tmp_path):
    program = tmp_path / "mistake.py"
    program.write_text('import siamese_mnist as sm\n\nsm.load("run").scores()\n')
    done = check(program)
    assert done.returncode == 1
    assert '"Verifier" has no attribute "scores"' in done.stdout
