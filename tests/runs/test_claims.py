"""Several programs on one folder of runs: each setting is trained once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from siamese_mnist.runs import jobs
from siamese_mnist.runs.claims import claim
from siamese_mnist.runs.jobs import ensure_runs
from siamese_mnist.runs.provenance import run_name
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.owners import SILENT_SECONDS, Owner
from siamese_mnist.training.phases import silent

ME = Owner.this()


def claimed_by(folder, name, owner):
    path = folder / f".claim-{owner}-0-{name}"
    path.touch()
    return path


def test_one_of_two(tmp_path):
    with claim(tmp_path, "a") as first, claim(tmp_path, "a") as second, claim(tmp_path, "a-b") as another:
        assert (first, second, another) == (None, ME, None)
    assert list(tmp_path.iterdir()) == []


def test_a_claim_of_an_ended_process_is_nobodys(tmp_path):
    code = "import os, sys; from pathlib import Path; from siamese_mnist.runs.claims import claim\n"
    code += "with claim(Path(sys.argv[1]), 'a'): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with claim(tmp_path, "a") as other:
        assert other is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("silence", "free"), [(0.9, False), (1.1, True)])
def test_a_claim_of_another_machine_counts_while_it_beats(tmp_path, silence, free):
    owner = Owner("another", 1, "1")
    path = claimed_by(tmp_path, "a", owner)
    now = path.stat().st_mtime
    os.utime(path, (now, now - silence * SILENT_SECONDS))
    with claim(tmp_path, "a") as other:
        assert other == (None if free else owner)


def test_what_another_process_trains_is_waited_for(tmp_path, short, finished, monkeypatch):
    wanted = [Settings.resolve(variant, **short) for variant in ("siamese", "baseline")]
    path = claimed_by(tmp_path, run_name(wanted[0]), ME)
    events = []

    def train(settings, **_):
        events.append(settings.variant)
        return finished[settings.variant]

    def told(line):
        events.append(line)
        shutil.copytree(finished["siamese"].run_dir, tmp_path / Path(finished["siamese"].run_dir).name)
        path.unlink()

    monkeypatch.setattr(jobs, "run_settings", train)
    monkeypatch.setattr(jobs, "_WAIT_SECONDS", 0)
    runs = list(ensure_runs(wanted, runs_dir=tmp_path, progress=lambda _: silent, notice=told))
    assert [run.variant for run in runs] == ["siamese", "baseline"]
    waiting = f"waiting for {run_name(wanted[0])}: process {ME.pid} of this machine trains it"
    assert events == ["baseline", waiting], "what is free is trained meanwhile, and the other one is not"


def test_what_another_process_gave_up_is_trained(tmp_path, short, finished, monkeypatch):
    settings = Settings.resolve("siamese", **short)
    path = claimed_by(tmp_path, run_name(settings), ME)
    monkeypatch.setattr(jobs, "run_settings", lambda *_, **__: finished["siamese"])
    monkeypatch.setattr(jobs, "_WAIT_SECONDS", 0)
    options = {"runs_dir": tmp_path, "progress": lambda _: silent, "notice": lambda _: path.unlink()}
    assert list(ensure_runs([settings], **options)) == [finished["siamese"]]
