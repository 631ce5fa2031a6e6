"""The same design twice: the Keras original against `siamese-mnist run baseline`, as cold whole processes.

Command (TensorFlow may live in an interpreter of its own, so that it need not share this project's environment):

    python3 -m venv /tmp/tfvenv && /tmp/tfvenv/bin/pip install tensorflow-cpu
    python benchmarks/baseline_speed.py --keras-python /tmp/tfvenv/bin/python

Runs the two in turn, A B A B, `--repeats` times, with the same seed and number of threads for both sides of a repeat,
and prints a table: wall seconds, peak memory and test accuracy (median, least, greatest), and the ratios Keras / ours
taken within each repeat. `--json` prints the same, with every single run, as one JSON object. Progress goes to stderr.

Every process starts from nothing: ours writes into a new temporary folder. By default both record one random batch of
test pairs after every update, as the report does; `--no-validation-batches` leaves that out on both sides (ours with
`--no-curve`). Each side draws its own pairs. Times count only from a machine that does nothing else.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

KERAS_SCRIPT = Path(__file__).resolve().with_name("keras_original.py")
SIDES = ("keras", "ours")
MEASURES = ("wall_seconds", "peak_rss_bytes", "accuracy")
MIB = 2**20


class UsageError(Exception):
    """Something the user can mend; ends in one line and exit status 2."""


class Run(NamedTuple):
    """One finished process."""

    side: str  # "keras" or "ours"
    seed: int
    wall_seconds: float  # of the whole process, imports included
    peak_rss_bytes: int
    accuracy: float  # on the side's own 10,000 test pairs
    versions: dict[str, str]


def check_keras_python(python: str) -> None:
    """Look for TensorFlow without loading it."""
    probe = "import importlib.util as u, sys; sys.exit(0 if u.find_spec('tensorflow') else 3)"
    try:
        status = subprocess.run([python, "-c", probe], capture_output=True).returncode
    except OSError as error:
        raise UsageError(f"cannot run --keras-python {python}: {error.strerror}") from error
    if status:
        raise UsageError(
            f"no tensorflow in {python}; install it there ({python} -m pip install tensorflow-cpu) "
            "or name another interpreter with --keras-python PATH"
        )


def our_command(given: str | None) -> list[str]:
    """The command to measure: `--ours`, or the `siamese-mnist` beside this interpreter, or the one on PATH."""
    words = shlex.split(given) if given is not None else ["siamese-mnist"]
    if not words:
        raise UsageError("--ours is empty")
    search = os.environ.get("PATH", os.defpath)
    if given is None:
        search = os.pathsep.join([str(Path(sys.executable).parent), search])
    program = shutil.which(words[0], path=search)
    if program is None:
        raise UsageError(f"no command {words[0]!r} found; install this project (pip install .) or name one with --ours")
    return [program, *words[1:]]


def thread_environment(threads: int) -> dict[str, str]:
    """This environment with one thread count for both: torch reads the OMP variable, TensorFlow the TF ones."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return os.environ | dict.fromkeys(names, str(threads))


def measure(side: str, seed: int, command: list[str], env: dict[str, str]) -> Run:
    """Run one process to its end; its stdout must be one JSON object with `test.accuracy`.

    Raises:
        RuntimeError: if the process fails or prints something else.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)  # wait4 has reaped it: Popen must not look for it again
        out.seek(0)
        err.seek(0)
        printed, complaint = out.read(), err.read().decode(errors="replace").strip()
    if process.returncode:
        last_line = complaint.splitlines()[-1] if complaint else "nothing on stderr"
        raise RuntimeError(f"{shlex.join(command)} ended with status {process.returncode}: {last_line}")
    try:
        result = json.loads(printed)
        accuracy, versions = float(result["test"]["accuracy"]), result.get("versions", {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuntimeError(f"{shlex.join(command)} did not print JSON with test.accuracy: {error!r}") from error
    rss_unit = 1 if sys.platform == "darwin" else 1024
    return Run(side, seed, wall_seconds, usage.ru_maxrss * rss_unit, accuracy, versions)


def run_all(keras: list[str], ours: list[str], *, repeats: int, first_seed: int, threads: int) -> list[Run]:
    env = thread_environment(threads)
    runs = []
    for seed in range(first_seed, first_seed + repeats):
        with tempfile.TemporaryDirectory(prefix="baseline-speed-") as runs_dir:
            commands = {
                "keras": [*keras, "--seed", str(seed)],
                "ours": [*ours, "--seed", str(seed), "--runs-dir", runs_dir, "--json"],
            }
            for side in SIDES:
                run = measure(side, seed, commands[side], env)
                print(
                    f"seed {seed} {side:5}  {run.wall_seconds:8.2f} s  {run.peak_rss_bytes / MIB:8.0f} MiB  "
                    f"accuracy {run.accuracy:.4f}",
                    file=sys.stderr,
                    flush=True,
                )
                runs.append(run)
    return runs


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summarize(runs: list[Run]) -> dict[str, Any]:
    """Median, least and greatest of every measure of both sides, and of Keras / ours repeat by repeat."""
    by_side = {side: [run for run in runs if run.side == side] for side in SIDES}
    summary: dict[str, Any] = {
        side: {measure: spread([getattr(run, measure) for run in by_side[side]]) for measure in MEASURES}
        | {"versions": by_side[side][0].versions}
        for side in SIDES
    }
    pairs = list(zip(by_side["keras"], by_side["ours"], strict=True))
    summary["ratio_keras_to_ours"] = {
        measure: spread([getattr(keras, measure) / getattr(ours, measure) for keras, ours in pairs])
        for measure in ("wall_seconds", "peak_rss_bytes")
    }
    return summary


def table(summary: dict[str, Any]) -> str:
    rows = []
    for measure, title, unit, digits in (
        ("wall_seconds", "wall seconds", 1, 2),
        ("peak_rss_bytes", "peak RSS, MiB", MIB, 0),
        ("accuracy", "test accuracy", 1, 4),
    ):
        rows += [(title, side, summary[side][measure], unit, digits) for side in SIDES]
        if measure in summary["ratio_keras_to_ours"]:
            rows.append(("  ratio by repeat", "keras / ours", summary["ratio_keras_to_ours"][measure], 1, 2))
    lines = [f"{'':18}{'':14}{'median':>10}{'min':>10}{'max':>10}"]
    for title, side, values, unit, digits in rows:
        cells = (f"{values[key] / unit:10.{digits}f}" for key in ("median", "min", "max"))
        lines.append(f"{title:18}{side:14}" + "".join(cells))
    return "\n".join(lines)


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=positive, default=5, help="runs of each side (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first repeat; the next ones count up")
    parser.add_argument(
        "--threads", type=positive, default=os.cpu_count() or 1, help="for both sides (default: all CPUs)"
    )
    parser.add_argument("--keras-python", default=sys.executable, metavar="PATH", help="interpreter with TensorFlow")
    parser.add_argument("--ours", metavar="COMMAND", help="what to run instead of siamese-mnist")
    parser.add_argument(
        "--validation-batches",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="let both sides record a test batch after every update of phase 2",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    try:
        check_keras_python(args.keras_python)
        ours = our_command(args.ours)
        keras, ours = [args.keras_python, str(KERAS_SCRIPT)], [*ours, "run", "baseline"]
        if not args.validation_batches:
            keras, ours = [*keras, "--no-validation-batches"], [*ours, "--no-curve"]
        runs = run_all(keras, ours, repeats=args.repeats, first_seed=args.seed, threads=args.threads)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    summary = summarize(runs)
    if args.json:
        setting = {
            "machine": {"platform": platform.platform(), "cpus": os.cpu_count()},
            "threads": args.threads,
            "repeats": args.repeats,
            "validation_batches": args.validation_batches,
            "commands": {"keras": keras, "ours": ours},
        }
        print(json.dumps(setting | summary | {"runs": [run._asdict() for run in runs]}, indent=2))
    else:
        batches = "with" if args.validation_batches else "without"
        print(f"{args.repeats} repeats, {args.threads} threads, {batches} validation batches")
        print(table(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
