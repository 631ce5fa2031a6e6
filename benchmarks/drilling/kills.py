"""Processes that end before their work does, and several at the same work."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from drilling.base import LIMIT_SECONDS, TINY, Drill, Failure, Place, started, survivors, until
from siamese_mnist.inference.gallery import Gallery
from siamese_mnist.inference.galleryfile import changing, open_gallery, save_gallery
from siamese_mnist.inference.verifier import load
from siamese_mnist.runs.store import check_writable, read_run, scan_runs, write_run

_LONG = ("compare", "siamese", "baseline", "--jobs", "2")
_SLOWEST_SECONDS = 240.0


def write_killed(place: Place) -> Iterator[Failure]:
    """`write_run`, killed: the next command that writes there leaves nothing half-written or hidden."""
    good = read_run(next(place.runs.iterdir()))
    weights = {"w": torch.zeros(8 << 20)}
    runs = Path(tempfile.mkdtemp(dir=place.folder))
    while True:
        child = os.fork()
        if child == 0:
            try:
                write_run(runs, "a", result=good, config={}, history=[], weights=weights, scores={})
            finally:
                os._exit(0)
        time.sleep(place.rng.uniform(0, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        check_writable(runs)
        left = [path.name for path in runs.iterdir() if path.name.startswith(".")]
        broken = [path.name for path in runs.iterdir() if len(list(path.iterdir())) != 5]
        for path in runs.iterdir():
            shutil.rmtree(path)
        yield f"left behind: {left}" if left else f"half-written: {broken}" if broken else None


def enrolment_killed(place: Place) -> Iterator[Failure]:
    """A gallery's file, killed while it is written: it is the old one or the new one, and the next writer clears up."""
    verifier = load(next(path for path in sorted(place.runs.iterdir()) if path.name.startswith("siamese")))
    path = Path(tempfile.mkdtemp(dir=place.folder)) / "a.gallery"
    old, new = Gallery(verifier), Gallery(verifier)
    for gallery, name, count in ((old, "old", 1000), (new, "new", 20_000)):
        kept = verifier.prepare(torch.zeros(1, 28, 28, dtype=torch.uint8)).repeat(count, 1)
        gallery.add(kept, [(name, "")] * count)
    while True:
        save_gallery(old, path)
        child = os.fork()
        if child == 0:
            try:
                with changing(path):
                    save_gallery(new, path)
            finally:
                os._exit(0)
        time.sleep(place.rng.uniform(0, 0.08))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        counts = open_gallery(path, verifier).counts()
        with changing(path):
            save_gallery(old, path)
        left = [each.name for each in path.parent.iterdir() if each != path]
        whole = counts in ({"old": 1000}, {"new": 20_000})
        yield f"left behind: {left}" if left else None if whole else f"neither old nor new: {counts}"


def signal_early(place: Place) -> Iterator[Failure]:
    """Ctrl-C or SIGTERM in the first seconds of `run`, most of which are imports."""
    while True:
        runs = Path(tempfile.mkdtemp(dir=place.folder))
        number = place.rng.choice((signal.SIGINT, signal.SIGTERM))
        with started(["run", "siamese", "--runs-dir", runs]) as process:
            until(partial(_answers_signals, process.pid), 60)  # before that Python itself has not started
            time.sleep(place.rng.uniform(0, 4))
            process.send_signal(number)
            yield _ended(process, 128 + number, runs)


def _answers_signals(process: int) -> bool:
    """Whether a process has a handler of its own for SIGTERM."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _ended(process: subprocess.Popen[str], status: int, runs: Path) -> Failure:
    try:
        _, err = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        survivors(process.pid, 0)
        return "not ended after 5 s"
    lines = [line for line in err.splitlines() if not _tells_progress(line)]
    if left := survivors(process.pid):
        return f"{len(left)} processes live on"
    if process.returncode != status or len(lines) != 1:
        return f"status {process.returncode}, {len(lines)} lines: {err[-200:]!r}"
    check_writable(runs)
    return f"left behind: {hidden}" if (hidden := _hidden(runs)) else None


def _tells_progress(line: str) -> bool:
    """Whether a line on stderr says what is being done, rather than how it ended."""
    return line.startswith(("comparing ", "training"))


def _hidden(runs: Path) -> list[str]:
    return [path.name for path in runs.iterdir() if path.name.startswith(".")]


def compare_stopped(place: Place) -> Iterator[Failure]:
    """SIGTERM on `compare`, at any time of its first half minute."""
    while True:
        runs = Path(tempfile.mkdtemp(dir=place.folder))
        with started([*_LONG, "--seeds", "3", "--runs-dir", runs]) as process:
            until(partial(_hidden, runs), place.rng.uniform(1, 30))
            time.sleep(place.rng.uniform(0, 3))
            process.terminate()
            yield _ended(process, 143, runs)


def compare_killed(place: Place) -> Iterator[Failure]:
    """`compare` killed with -9 while its workers train."""
    while True:
        runs = Path(tempfile.mkdtemp(dir=place.folder))
        with started([*_LONG, "--seeds", "3", "--runs-dir", runs]) as process:
            began = until(partial(_workers, runs), 60)
            time.sleep(place.rng.uniform(0, 2))
            process.kill()
            process.communicate()
            left = survivors(process.pid)
        yield "no worker began" if not began else f"{len(left)} processes live on" if left else None


def _workers(runs: Path, least: int = 1) -> list[int]:
    """Processes that claim a run, whose number is in the claim's name; none where there are fewer than `least`."""
    found = [int(path.name.split(".")[2]) for path in runs.glob(".claim-*")]
    return found if len(found) >= least else []


def worker_killed(place: Place) -> Iterator[Failure]:
    """A worker of `compare` killed with -9, as a system short of memory does."""
    while True:
        runs = Path(tempfile.mkdtemp(dir=place.folder))
        with started([*_LONG, "--seeds", "3", "--runs-dir", runs]) as process:
            if not until(partial(_workers, runs, 2), 60):
                process.kill()
                yield "no two workers began"
                continue
            time.sleep(place.rng.uniform(0, 2))
            os.kill(_workers(runs)[0], signal.SIGKILL)
            try:
                _, err = process.communicate(timeout=LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                survivors(process.pid, 0)
                yield "not ended"
                continue
            lines = [line for line in err.splitlines() if not _tells_progress(line)]
            right = process.returncode == 1 and len(lines) == 1 and "--jobs" in lines[0]
            yield None if right and not survivors(process.pid) else f"status {process.returncode}: {err[-300:]!r}"


def four_at_once(place: Place) -> Iterator[Failure]:
    """Four `compare` on one folder: each setting trained once, all tables equal."""
    entries = [f"{variant}:{TINY}" for variant in ("siamese", "baseline")]
    while True:
        runs = Path(tempfile.mkdtemp(dir=place.folder))
        words = ["compare", *entries, "--seeds", "2", "--jobs", "2", "--json", "--runs-dir", runs]
        processes = [started(words) for _ in range(4)]
        tables = []
        for process in processes:
            try:
                out, err = process.communicate(timeout=_SLOWEST_SECONDS)
            except subprocess.TimeoutExpired:
                survivors(process.pid, 0)
                out, err = "", "not ended"
            tables.append(out if process.returncode == 0 else err)
        found = len(scan_runs(runs).runs)
        if found != 4:
            yield f"{found} runs in place of 4"
        elif len(set(tables)) != 1:
            yield f"{len(set(tables))} different tables: {[table[-100:] for table in tables]}"
        else:
            json.loads(tables[0])
            yield f"left behind: {hidden}" if (hidden := _hidden(runs)) else None


DRILLS = [
    Drill("kill -9 in write_run", 300, 20, 40, write_killed),
    Drill("kill -9 of enrol", 300, 20, 40, enrolment_killed),
    Drill("signal during imports", 60, 2, 120, signal_early),
    Drill("SIGTERM on compare", 20, 1, 200, compare_stopped),
    Drill("kill -9 of compare", 5, 1, 50, compare_killed),
    Drill("kill -9 of a worker", 10, 1, 120, worker_killed),
    Drill("four compare at once", 5, 0, 150, four_at_once),
]
