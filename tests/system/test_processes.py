"""Workers end with the process that asked for them."""

import signal
import subprocess
import sys

from siamese_mnist.system.processes import without_interrupts

PARENT = """
import os, subprocess, sys, time
from siamese_mnist.system.owners import Owner
me = Owner.this()
code = "import sys, time; from siamese_mnist.system.owners import Owner;"
code += "from siamese_mnist.system.processes import end_with; end_with(Owner.parse(sys.argv[1]));"
code += "print('working', flush=True); sys.stdin.read()"
child = subprocess.Popen([sys.executable, "-c", code, str(me)], stdin=subprocess.PIPE)
time.sleep(600)
"""


def test_a_worker_ends_with_its_asker():
    """Its stdout, which it shares with its parent, closes soon after that was killed."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert parent.stdout.readline() == b"working\n"
    parent.kill()
    assert parent.communicate(timeout=60)[0] == b""


def test_a_worker_whose_asker_has_ended_does_nothing():
    code = "import sys; from siamese_mnist.system.owners import Owner; from dataclasses import replace\n"
    code += "from siamese_mnist.system.processes import end_with\n"
    code += "end_with(replace(Owner.this(), pid=1, started='1')); print('working')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_interrupts_are_held_back_and_come_afterwards():
    events = []
    before = signal.signal(signal.SIGINT, lambda *_: events.append("interrupted"))
    try:
        with without_interrupts():
            signal.raise_signal(signal.SIGINT)
            events.append("inside")
        assert events == ["inside", "interrupted"]
    finally:
        signal.signal(signal.SIGINT, before)
