"""The drills in short; `python benchmarks/drills.py` runs them in full."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRILLS = Path(__file__).parents[1] / "benchmarks" / "drills.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the drills read /proc")
def test_drills():
    words = [sys.executable, DRILLS, "--short", "--minutes", "0.8", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    rows = found["drills"]
    assert {row["drill"]: row["what"] for row in rows if row["failures"]} == {}
    assert all(row["tries"] for row in rows if row["wanted"])
    assert found["peak_bytes"] < 2 << 30
    assert done.returncode == 0


def test_an_unknown_drill():
    done = subprocess.run([sys.executable, DRILLS, "--only", "x"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no drill is called 'x'" in done.stderr
