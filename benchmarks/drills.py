"""Drills: what may befall the program, by the hundred, with counts; nothing may hang, break, or stay behind.

    python benchmarks/drills.py [--minutes 15] [--only NAME] [--short] [--seed 0] [--json] [--output docs/drills.md]

Processes are killed, stopped and started side by side; runs folders, bundles, images, score files and paths are of
other hands; the demo server is asked by two hundred at once. Every drill has a share of the minutes, in proportion to
what it takes in full; one that could not be tried in full is marked. The exit status is 1 if any try failed.
"""

import argparse
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from itertools import islice
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # children are forked, which threads do not survive

from drilling import folders, foreign, kills, paths, serving
from drilling.base import LIMIT_BYTES, LIMIT_SECONDS, TINY, Drill, Place, digit_files, started
from study import publish

from siamese_mnist.system.machine import made_by

DRILLS = [*kills.DRILLS, *folders.DRILLS, *foreign.DRILLS, *paths.DRILLS, *serving.DRILLS]


_SLACK = 1.5  # of a share: what is over or under in one drill goes to those after it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--only", help="drills whose name holds this")
    parser.add_argument("--short", action="store_true", help="a few tries of each, under 90 seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--output", type=Path, help="page to write the counts to")
    options = parser.parse_args()
    chosen = [drill for drill in DRILLS if (options.only or "") in drill.name]
    if not chosen:
        sys.exit(f"no drill is called {options.only!r}; there are: {', '.join(drill.name for drill in DRILLS)}")
    if sys.platform != "linux":
        sys.exit("the drills read /proc and fork; run them on Linux")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets its background jobs ignore it, and children
    end = time.monotonic() + 60 * options.minutes
    rows = []
    with tempfile.TemporaryDirectory(prefix="drills-", ignore_cleanup_errors=True) as folder:
        runs = _good_runs(Path(folder))
        _warm_up(Path(folder), runs)
        for number, drill in enumerate(chosen):
            place = Place(_open_folder(folder), random.Random(options.seed), runs, timed=not options.short)
            left = sum(each.seconds for each in chosen[number:])
            share = (end - time.monotonic()) * min(1, _SLACK * drill.seconds / left)
            rows.append(_drilled(drill, place, drill.few if options.short else drill.tries, share))
            if not options.json:
                print(_line(rows[-1]), flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if options.json:
        print(json.dumps({"drills": rows, "peak_bytes": peak}))
    else:
        print(f"the largest process had {peak >> 20} MiB, of {LIMIT_BYTES >> 20} allowed")
    if options.output:
        publish(_page(chosen, rows, peak, options.minutes), options.output)
    sys.exit(peak > LIMIT_BYTES or any(row["failures"] for row in rows))


def _open_folder(parent: str) -> Path:
    """A new folder that another user can look into."""
    folder = Path(tempfile.mkdtemp(dir=parent))
    for path in (folder, folder.parent):
        path.chmod(0o755)
    return folder


def _warm_up(folder: Path, runs: Path) -> None:
    """Runs commands in this process, so that forked ones, of whatever user, have imported what they need."""
    from siamese_mnist_cli.main import main as command

    import siamese_mnist.demo.server
    import siamese_mnist.inference.onnx  # noqa: F401

    scores = folder / "scores.csv"
    scores.write_text(
        "left,right,same,score\n" + "\n".join(f"{row},{row + 1},{row % 2},{row % 5}" for row in range(30))
    )
    for words in (
        ["list", "variants"],
        ["compare", f"siamese:{TINY}", "--seeds", "1", "--runs-dir", runs],
        ["report", next(runs.iterdir()), "--output", folder / "report.html"],
        ["predict", next(runs.iterdir()), *digit_files(folder)],
        ["evaluate", scores, "--fit-on-test"],
    ):
        with suppress(SystemExit), redirect_stdout(io.StringIO()):
            command([str(word) for word in words])


def _good_runs(folder: Path) -> Path:
    words = ["compare", *(f"{variant}:{TINY}" for variant in ("siamese", "baseline")), "--seeds", "1"]
    process = started([*words, "--jobs", "1", "--runs-dir", folder / "runs"])
    _, err = process.communicate()
    if process.returncode:
        sys.exit(f"no good runs to start from: {err}")
    return folder / "runs"


def _drilled(drill: Drill, place: Place, tries: int, seconds: float) -> dict[str, Any]:
    """Tries of a drill, as many as wanted or as fit into some seconds."""
    start = time.monotonic()
    done, failures = 0, []
    for failure in islice(drill.run(place), tries):
        done += 1
        if failure is not None:
            failures.append(failure)
        if time.monotonic() - start > seconds:
            break
    return {
        "drill": drill.name,
        "tries": done,
        "wanted": tries,
        "failures": len(failures),
        "seconds": round(time.monotonic() - start, 1),
        "what": failures[:20],
    }


def _page(drills: Sequence[Drill], rows: Sequence[dict[str, Any]], peak: int, minutes: float) -> str:
    table = "\n".join(
        f"| {drill.name} | {_sentence(drill)} | {row['tries']:,} | {row['failures']} |"
        for drill, row in zip(drills, rows, strict=True)
    )
    return f"""# What may befall it

Whole or not at all: a run, a bundle, a page or a table exists complete or does not exist, whatever befalls the program.
No process lives on, and what others put into a folder or a file ends in one line. This page counts how often that was
tried, and how often it failed.

{made_by(f"python benchmarks/drills.py --minutes {minutes:g} --output docs/drills.md")}

| drill | what befalls the program, and what has to hold | tries | failures |
| --- | --- | ---: | ---: |
{table}

Every command has to end within {LIMIT_SECONDS:.0f} seconds, without a traceback, with a status of its own and without a
control character in its output. The largest process had {peak >> 20:,} MiB, of {LIMIT_BYTES >> 20:,} allowed. Where the
drills are run by root, closed paths are met as the user `nobody`, since nothing is closed to root.

`python benchmarks/drills.py --short` tries a little of each and is among the tests. `python benchmarks/fuzz.py` damages
images, bundles and runs folders at random, thousands of times a minute.
"""


def _sentence(drill: Drill) -> str:
    return (drill.run.__doc__ or "").partition("\n")[0].rstrip(".")


def _line(row: dict[str, Any]) -> str:
    short = "" if row["tries"] >= row["wanted"] else f" of {row['wanted']}"
    line = f"{row['drill']:<26}{row['tries']:>5}{short} tries, {row['failures']} failures, {row['seconds']} s"
    return "\n".join([line, *(f"    {what}" for what in row["what"])])


if __name__ == "__main__":
    main()
