"""Every figure of docs/speed.md: whole cold processes in turn, with medians, ratios and curves of growth.

    python3 -m venv keras-env && keras-env/bin/pip install tensorflow-cpu
    python benchmarks/speed.py --keras-python keras-env/bin/python
    python benchmarks/speed.py --only growth          # one piece anew; the others' figures stay
    python benchmarks/speed.py --page                 # writes docs/speed.md from the figures

Each piece is written to `--results` as soon as it is measured, so that what was interrupted goes on with `--missing`.
What is compared runs in turn, A B A B, with the same seed and cores for all sides of a repeat; ratios are taken within
a repeat. Times count only from a machine that does nothing else. `--quick` measures next to nothing, for tests.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baseline_speed import UsageError, check_keras_python, our_command, thread_environment
from speed_page import MIB, projected, write

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
KERAS = {"report": "keras_original.py", "recipes": "keras_siamese.py"}
GROWTH = {
    "images": (1_000, 10_000, 100_000, 1_000_000),
    "all-pairs": (1_000, 3_000, 10_000, 30_000),
    "pairs": (100_000, 1_000_000, 10_000_000, 100_000_000),
    "stacked-pairs": (1_000, 10_000, 100_000, 1_000_000),
    "classes": (10, 100, 1_000, 10_000),
    "gallery": (1_000, 10_000, 100_000, 1_000_000),
    "runs": (1, 10, 100, 1_000),
}
MOST_REPEATS = {"busy": 3, "growth": 1}
MOST_SECONDS = 60.0  # a point that would take longer, by the last two, is left out


@dataclass(frozen=True)
class Cold:
    """One finished process."""

    seconds: float
    peak_rss_bytes: int
    printed: dict[str, Any] | None  # JSON on stdout


@dataclass(frozen=True)
class Options:
    """What all pieces need to know."""

    ours: list[str]
    keras_python: str | None
    repeats: int
    cores: int
    quick: bool
    work: Path

    @property
    def env(self) -> dict[str, str]:
        """As many threads for PyTorch and TensorFlow as there are cores."""
        return thread_environment(self.cores)


def cold(command: list[str], env: dict[str, str]) -> Cold:
    """Runs one process to its end.

    Raises:
        RuntimeError: if it fails otherwise than by a mistake of its user.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)  # wait4 has reaped it
        out.seek(0)
        err.seek(0)
        text, complaint = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if process.returncode not in (0, 2):
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {complaint[-300:]}")
    try:
        printed = json.loads(text)
    except ValueError:
        printed = None
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Cold(seconds, peak, printed if isinstance(printed, dict) else None)


def first_output(command: list[str], env: dict[str, str]) -> float:
    """Seconds until a terminal shows something of a process, which is ended then."""
    terminal, end = os.openpty()
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=end, stderr=end, env=env)
    select.select([terminal], [], [], MOST_SECONDS)
    seconds = time.perf_counter() - start
    process.terminate()
    process.wait()
    os.close(end)
    os.close(terminal)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def in_turn(options: Options, sides: dict[str, Callable[[int], Cold]]) -> dict[str, Any]:
    """Every side `repeats` times in turn; seconds, memory, accuracy, and seconds relative to the first side."""
    found: dict[str, list[Cold]] = {side: [] for side in sides}
    for seed in range(options.repeats):
        for side, run in sides.items():
            found[side].append(run(seed))
            tell(f"  {side}, seed {seed}: {found[side][-1].seconds:.2f} s")
    first = found[next(iter(sides))]
    summary: dict[str, Any] = {}
    for side, runs in found.items():
        summary[side] = {
            "seconds": spread([run.seconds for run in runs]),
            "peak_rss_bytes": spread([run.peak_rss_bytes for run in runs]),
            "first_by_this": spread([a.seconds / b.seconds for a, b in zip(first, runs, strict=True)]),
        }
        tested = [run.printed["test"]["accuracy"] for run in runs if run.printed and "test" in run.printed]
        if tested:
            summary[side]["accuracy"] = tested
        named = [run.printed["versions"] for run in runs if run.printed and "versions" in run.printed]
        if named:
            summary[side]["versions"] = named[0]
        parts = [run.printed for run in runs if run.printed and "phase1" in run.printed]
        if parts:
            summary[side]["phases"] = [
                statistics.median(part[phase]["train_seconds"] for part in parts) for phase in ("phase1", "phase2")
            ]
    return summary


def ours(options: Options, *words: str) -> Callable[[int], Cold]:
    """A `siamese-mnist run` of a seed, in a new folder."""
    less = ["--train-pairs", "2000", "--test-pairs", "500"] if options.quick else []

    def run(seed: int) -> Cold:
        with tempfile.TemporaryDirectory(prefix="siamese-mnist-speed-") as folder:
            words_ = [*options.ours, "run", *words, *less, "--seed", str(seed), "--runs-dir", folder, "--json"]
            return cold(words_, options.env)

    return run


def keras(options: Options, piece: str) -> dict[str, Callable[[int], Cold]]:
    """Keras's side, if there is a TensorFlow; without one in a quick measurement only."""
    python = options.keras_python
    if python is None:
        return {}
    script = str(HERE / KERAS[piece])
    return {"keras": lambda seed: cold([python, script, "--seed", str(seed)], options.env)}


def report(options: Options) -> dict[str, Any]:
    """The report's own design against `run baseline`."""
    return in_turn(options, keras(options, "report") | {"run baseline": ours(options, "baseline")})


def recipes(options: Options) -> dict[str, Any]:
    """The Siamese network in Keras against the recipes `fast` and `strong`."""
    names = ("fast",) if options.quick else ("fast", "strong")
    sides = {f"run siamese --recipe {name}": ours(options, "siamese", "--recipe", name) for name in names}
    return in_turn(options, keras(options, "recipes") | sides)


@contextmanager
def busy_program() -> Iterator[None]:
    """Another program that wants a core all the time, as long as this one lives."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"]
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def busy(options: Options) -> dict[str, Any]:
    """The same beside one busy program."""
    works = {
        "run siamese --recipe fast": ours(options, "siamese", "--recipe", "fast"),
        "run baseline": ours(options, "baseline"),
        "all pairs of 10,000, fast": grown(options, "all-pairs", 1000 if options.quick else 10_000, "fast"),
    }
    if not options.quick:
        works["run siamese --recipe strong"] = ours(options, "siamese", "--recipe", "strong")
    found = {}
    for name, work in works.items():
        ratios, alone, beside = [], [], []
        for seed in range(options.repeats):
            alone.append(inner_seconds(work(seed)))
            with busy_program():
                beside.append(inner_seconds(work(seed)))
            ratios.append(beside[-1] / alone[-1])
            tell(f"  {name}: {alone[-1]:.2f} s alone, {beside[-1]:.2f} s beside a busy program")
        found[name] = {"alone": spread(alone), "beside": spread(beside), "beside_by_alone": spread(ratios)}
    return found


def inner_seconds(done: Cold) -> float:
    """Seconds of the step alone where the process tells them, else of all."""
    return float(done.printed["seconds"]) if done.printed and "axis" in done.printed else done.seconds


def trained(options: Options, name: str) -> Path:
    """A run to measure with, trained once."""
    folder = options.work / name
    if not (found := sorted(folder.glob("siamese-*/result.json")) + sorted(folder.glob("baseline-*/result.json"))):
        tell(f"  training {name} once")
        entry = ["baseline"] if name == "baseline" else ["siamese", "--recipe", name]
        less = ["--train-pairs", "2000", "--test-pairs", "500"] if options.quick else []
        cold([*options.ours, "run", *entry, *less, "--runs-dir", str(folder), "--json"], options.env)
        found = sorted(folder.glob("*/result.json"))
    return found[0].parent


def grown(options: Options, axis: str, size: int, name: str) -> Callable[[int], Cold]:
    """One step at one size, see `growth.py`."""
    command = [sys.executable, str(HERE / "growth.py"), axis, str(size), "--run", str(trained(options, name))]
    return lambda _seed: cold(command, options.env)


def answers(options: Options) -> dict[str, Any]:
    """How soon one hears something."""
    run = str(trained(options, "fast"))
    with tempfile.TemporaryDirectory(prefix="siamese-mnist-speed-") as folder:
        pictures = [str(Path(folder, f"{number}.png")) for number in range(2)]
        write = "import siamese_mnist as sm; from PIL import Image; import sys\n"
        write += "for i, p in enumerate(sys.argv[1:]): Image.fromarray(sm.load_dataset('mnist-tenth').test.images[i, 0]"
        write += ".numpy()).save(p)"
        subprocess.run([sys.executable, "-c", write, *pictures], check=True)
        commands = {
            "predict RUN A.png B.png": (["predict", run, *pictures], False),
            "run siamees (misspelt)": (["run", "siamees"], False),
            "list variants": (["list", "variants"], False),
            "list recipes": (["list", "recipes"], False),
            "list datasets": (["list", "datasets"], False),
            "compare, first output": (["compare", "baseline", "siamese", "--runs-dir", folder], True),
        }
        found: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.repeats):
            for name, (words, stop) in commands.items():
                command = [*options.ours, *words]
                seconds = first_output(command, options.env) if stop else cold(command, options.env).seconds
                found[name].append(seconds)
    return {name: {"seconds": spread(values)} for name, values in found.items()}


def all_pairs(options: Options) -> dict[str, Any]:
    """All pairs of 10,000 images, the call alone."""
    size = 500 if options.quick else 10_000
    found = {}
    for name in ("fast",) if options.quick else ("fast", "report"):
        work = grown(options, "all-pairs", size, name)
        done = [work(0) for _ in range(options.repeats)]
        found[f"siamese, recipe {name}"] = {
            "images": size,
            "seconds": spread([inner_seconds(each) for each in done]),
            "peak_rss_bytes": spread([each.peak_rss_bytes for each in done]),
        }
    return found


def growth(options: Options) -> dict[str, Any]:
    """Time and memory against the size, until a point would take too long."""
    found: dict[str, Any] = {}
    for axis, sizes in GROWTH.items():
        if options.quick:
            sizes = (max(1, sizes[0] // 5),)
        points: list[dict[str, Any]] = []
        for size in sizes:
            if len(points) > 1 and projected(points, size) > MOST_SECONDS:
                break
            done = grown(options, axis, size, "baseline" if axis == "stacked-pairs" else "fast")(0)
            assert done.printed is not None
            points.append(done.printed)
            tell(f"  {axis} {size:,}: {done.printed['seconds']:.3f} s, {done.peak_rss_bytes / MIB:.0f} MiB")
        found[axis] = points
    return found


PIECES: dict[str, Callable[[Options], dict[str, Any]]] = {
    "report": report,
    "recipes": recipes,
    "busy": busy,
    "answers": answers,
    "all-pairs": all_pairs,
    "growth": growth,
}


def tell(line: str) -> None:
    """Progress goes to stderr."""
    print(line, file=sys.stderr, flush=True)


def processor() -> str:
    """The processor as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def features() -> list[str]:
    """What of the processor's arithmetic matters here."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    return [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {name}" in flags]


def measure(name: str, options: Options, results: Path) -> None:
    """Measures one piece and writes it beside the others."""
    tell(name)
    options = dataclasses.replace(options, repeats=min(options.repeats, MOST_REPEATS.get(name, options.repeats)))
    clock = time.perf_counter()
    found = PIECES[name](options)
    piece = {
        "date": datetime.date.today().isoformat(),
        "machine": {"processor": processor(), "features": features(), "cores": options.cores},
        "repeats": options.repeats,
        "quick": options.quick,
        "minutes": round((time.perf_counter() - clock) / 60, 1),
        "found": found,
    }
    kept = json.loads(results.read_text()) if results.is_file() else {}
    kept[name] = piece
    unfinished = results.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(kept, indent=1) + "\n")
    unfinished.replace(results)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PIECES, help="a piece; may be repeated")
    parser.add_argument("--missing", action="store_true", help="only pieces that the results lack")
    parser.add_argument("--page", action="store_true", help="write the page from the results and measure nothing")
    parser.add_argument("--quick", action="store_true", help="one repeat of next to nothing")
    parser.add_argument("--repeats", type=int, default=5, help="of every comparison (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="for every process (default: all)")
    parser.add_argument("--keras-python", metavar="PATH", help="interpreter with TensorFlow; without it, no Keras")
    parser.add_argument("--ours", metavar="COMMAND", help="what to measure instead of siamese-mnist")
    parser.add_argument("--results", type=Path, default=DOCS / "speed.json")
    parser.add_argument("--output", type=Path, default=DOCS / "speed.md", help="the page")
    parser.add_argument("--work", type=Path, default=HERE.parent / "build" / "speed", help="runs to measure with")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    if args.page:
        write(json.loads(args.results.read_text()), args.output)
        return 0
    try:
        if args.repeats < 1:
            raise UsageError(f"--repeats must be >= 1, got {args.repeats}")
        if args.keras_python:
            check_keras_python(args.keras_python)
        options = Options(
            ours=our_command(args.ours),
            keras_python=args.keras_python,
            repeats=1 if args.quick else args.repeats,
            cores=args.cores,
            quick=args.quick,
            work=args.work / ("quick" if args.quick else "full"),
        )
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    kept = json.loads(args.results.read_text()) if args.results.is_file() else {}
    for name in args.only or PIECES:
        if not (args.missing and name in kept):
            measure(name, options, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
