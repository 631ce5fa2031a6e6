"""The page of `benchmarks/speed.py`: its figures as Markdown, and its curves as a picture."""

from pathlib import Path
from typing import Any

from siamese_mnist.visualisation.figures import Figure, save
from siamese_mnist.visualisation.figures.theme import canvas, look, themed

MIB = 2**20
PICTURE = "images/growth.svg"

HEAD = """# Speed and growth

How long things take beside the originals, where the time goes, and what breaks first with more data. All figures come
from `python benchmarks/speed.py --keras-python PYTHON_WITH_TENSORFLOW`, and this page from
`python benchmarks/speed.py --page`. Every time is that of a whole cold process unless said otherwise, and what is
compared ran in turn. Brackets hold the least and the greatest value.
"""
TITLES = {
    "report": "The report's design, in Keras and here",
    "recipes": "A Siamese network in Keras, and the recipes",
    "busy": "Beside one busy program",
    "answers": "How soon one hears something",
    "all-pairs": "All pairs of images",
    "growth": "Growth",
}
NOTES = {
    "report": """`benchmarks/keras_original.py` is the report's model in Keras on TensorFlow. Both sides measure a batch
of test pairs after every update, as the report does. Both see 100,000 pairs twice in batches of 64, in float32.""",
    "recipes": """`benchmarks/keras_siamese.py` is the Siamese network with contrastive loss that the Keras
documentation describes: ten epochs of the 6,000 images, in batches of 16.""",
    "busy": "Another program wants a core all the time. Of all pairs, the call alone is timed.",
    "answers": "Of `compare`, the time until a terminal shows something.",
    "all-pairs": "The call alone: every image is embedded, then compared with every other.",
    "growth": """Each point is a process of its own; the time is that of the step alone, the memory that of the whole
process. What comes last is a line through the last two points (a parabola for all pairs), not a measurement.""",
}
STEPS = {
    "images": "embedding images, recipe `fast`",
    "all-pairs": "all pairs of images, recipe `fast`",
    "pairs": "drawing training pairs of 60,000 images",
    "stacked-pairs": "scoring pairs with `baseline`, which sees every pair anew",
    "classes": "a loss of 256 and all pairs of 2,000 embeddings, head `agreement`",
    "gallery": "100 images against a gallery of so many examples, exact",
    "runs": "`runs_frame` of a folder of so many runs",
}
TAKES_OVER = {
    "images": "Time is linear and memory is the images' own. A GPU (`--device cuda`) takes over the time, parts of the "
    "data the memory.",
    "all-pairs": "The matrix of scores takes over the memory: its square root is the limit. Beyond it one asks for the "
    "nearest only, with `Gallery` and its index.",
    "pairs": "The index of pairs is all that grows. Beyond its memory, train on fewer pairs, or on labels "
    "(`--supervision labels`), which needs no pairs.",
    "stacked-pairs": "Time breaks first, as nothing is shared between pairs. A Siamese design takes over: it sees "
    "every image once.",
    "classes": "The matrix of class probabilities is images by classes. For thousands of classes the `distance` head "
    "with a loss on pairs takes over, which knows no classes.",
    "gallery": "The exact search is linear in the gallery. The approximate index (`pip install siamese-mnist[index]`) "
    "takes over.",
    "runs": "Reading result.json of every run. Clusters train them (`--engine dask` or `ray`); a folder for each study "
    "keeps the reading short.",
}
LIMITS = """## Where the time goes, and what the limit is

`run baseline`: {phases}

- Phase 1 is 188 updates of a small network on one core. Its first block is one convolution, the statistics of whose
  norms follow from the moments of the images; the second is three convolutions forwards and six backwards. Shared
  between two cores, these would wait for each other most of the time beside a busy program.
- The features of 100,000 training and 10,000 test pairs, and in the second epoch once more of the 20,000 for which
  there is no room, are two convolutions of 1.7 MFLOP a pair together, 0.22 TFLOP in all.
- 3,126 updates of the head are three products of 50 MFLOP each, 0.5 TFLOP in all, and Adam on 393,000 weights, which
  reads and writes 11 MB an update. The faster a processor multiplies, the more all else weighs, and the less there is
  to win over Keras.

The arithmetic is float32 throughout, with the same batches in the same order as the plain loop. Two cores share pieces
of fixed size and wait for each other once an update, so the figures do not depend on their number.
"""


def page(results: dict[str, Any]) -> str:
    """All pieces that were measured, in order."""
    parts = [HEAD]
    for name in TITLES:
        if name not in results:
            continue
        piece = results[name]
        parts.append(f"## {TITLES[name]}\n\n{NOTES[name]}\n\n{_conditions(piece)}\n\n{TABLES[name](piece['found'])}")
        if name == "report":
            parts.append(LIMITS.format(phases=_phases(piece["found"])))
    return "\n".join(parts).rstrip() + "\n"


def _conditions(piece: dict[str, Any]) -> str:
    machine = piece["machine"]
    features = f" with {', '.join(machine['features'])}" if machine["features"] else ""
    repeats = f", {piece['repeats']} repeats" if piece["repeats"] > 1 else ""
    quick = " **A quick try, no measurement.**" if piece["quick"] else ""
    return f"{machine['processor']}{features}, {machine['cores']} cores, {piece['date']}{repeats}.{quick}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _spread(values: dict[str, float], digits: int = 1, unit: float = 1.0) -> str:
    median, least, most = (f"{values[key] / unit:,.{digits}f}" for key in ("median", "min", "max"))
    return median if least == most else f"{median} ({least} to {most})"


def _sides(found: dict[str, Any]) -> str:
    first = next(iter(found))
    rows = [
        [
            f"`{side}`" if " " in side else side.capitalize(),
            _spread(values["seconds"]),
            "" if side == first else _spread(values["first_by_this"], 2),
            _spread(values["peak_rss_bytes"], 0, MIB),
            ", ".join(f"{each:.3f}" for each in values.get("accuracy", [])),
        ]
        for side, values in found.items()
    ]
    return _table(["", "seconds", f"{first.capitalize()} / this", "peak memory, MiB", "pair accuracy by seed"], rows)


def _busy(found: dict[str, Any]) -> str:
    rows = [
        [f"`{name}`" if name.startswith("run") else name, *(_spread(values[key], 2) for key in values)]
        for name, values in found.items()
    ]
    return _table(["", "seconds alone", "seconds beside it", "ratio"], rows)


def _answers(found: dict[str, Any]) -> str:
    return _table(["", "seconds"], [[f"`{name}`", _spread(values["seconds"], 2)] for name, values in found.items()])


def _all_pairs(found: dict[str, Any]) -> str:
    rows = [
        [name, f"{values['images']:,}", _spread(values["seconds"], 2), _spread(values["peak_rss_bytes"], 0, MIB)]
        for name, values in found.items()
    ]
    return _table(["", "images", "seconds", "peak memory, MiB"], rows)


def write(results: dict[str, Any], path: Path) -> None:
    """Writes the page, and its picture of growth into a folder beside it."""
    if "growth" in results:
        picture = path.parent / PICTURE
        picture.parent.mkdir(parents=True, exist_ok=True)
        save(curves(results["growth"]["found"]), picture)
    path.write_text(page(results))


@themed
def curves(found: dict[str, Any]) -> Figure:
    """Seconds and memory against the size, a line for each thing that grows."""
    figure, panels = canvas(6.0, 2, sharex=True)
    titles = {"seconds": ("seconds of the step", 1.0), "peak_rss_bytes": ("peak memory of the process, GiB", 2.0**30)}
    for axes, (key, (title, unit)) in zip(panels, titles.items(), strict=True):
        for number, (axis, points) in enumerate(found.items()):
            shown = look(number)
            axes.loglog(
                [point["size"] for point in points],
                [point[key] / unit for point in points],
                color=shown.colour,
                linestyle=shown.line,
                marker=shown.marker,
                markersize=4,
                label=axis.replace("-", " ") if axes is panels[0] else None,
            )
        axes.set_title(title)
    panels[-1].set_xlabel("size")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure


def _growth(found: dict[str, Any]) -> str:
    parts = [f"![Seconds and memory against size, a line for each of the axes below]({PICTURE})\n"]
    for axis, points in found.items():
        rows = [
            [f"{point['size']:,}", f"{point['seconds']:.3f}", f"{point['peak_rss_bytes'] / MIB:,.0f}"]
            for point in points
        ]
        parts.append(f"### {axis.replace('-', ' ').capitalize()}: {STEPS[axis]}\n")
        parts.append(_table(["size", "seconds", "peak memory, MiB"], rows))
        if len(points) > 1:
            far = 1000 * points[-1]["size"] if axis != "all-pairs" else 10 * points[-1]["size"]
            seconds, memory = projected(points, far), projected(points, far, "peak_rss_bytes")
            parts.append(f"By that course {far:,} would take {_duration(seconds)} and {memory / 2**30:,.1f} GiB.")
        parts.append(TAKES_OVER[axis] + "\n")
    return "\n".join(parts)


def _duration(seconds: float) -> str:
    for limit, unit, name in ((120, 1, "seconds"), (7200, 60, "minutes"), (2 * 86400, 3600, "hours")):
        if seconds < limit:
            return f"{seconds / unit:,.0f} {name}"
    return f"{seconds / 86400:,.0f} days"


def _phases(found: dict[str, Any]) -> str:
    ours = found["run baseline"]
    if "phases" not in ours:
        return "not measured."
    first, second = ours["phases"]
    rest = ours["seconds"]["median"] - first - second
    return (
        f"phase 1 takes {first:.1f} s, phase 2 with its features {second:.1f} s, and {rest:.1f} s go to imports, data, "
        "scores in both orders, figures and files."
    )


TABLES = {
    "report": _sides,
    "recipes": _sides,
    "busy": _busy,
    "answers": _answers,
    "all-pairs": _all_pairs,
    "growth": _growth,
}


def projected(points: list[dict[str, Any]], size: float, key: str = "seconds") -> float:
    """What a size would take, along the line through the last two points; at most quadratic growth is seen that way."""
    last, before = points[-1], points[-2] if len(points) > 1 else points[-1]
    if last is before:
        return float(last[key]) * size / last["size"]
    slope = (last[key] - before[key]) / (last["size"] - before["size"])
    if last["axis"] == "all-pairs":
        return float(last[key]) * (size / last["size"]) ** 2
    return float(last[key] + max(0.0, slope) * (size - last["size"]))
