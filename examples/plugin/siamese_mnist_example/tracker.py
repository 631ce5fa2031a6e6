"""A tracker of its own: runs as lines of JSON."""

import json
from collections.abc import Mapping
from pathlib import Path

import siamese_mnist as sm


class JsonLines(sm.Tracker):
    """A line of JSON a run, in runs/json-lines/runs.jsonl."""

    def start(self, name: str, settings: Mapping[str, bool | int | float | str | None]) -> None:
        """Begins a line."""
        self.line = {"name": name, "settings": dict(settings), "updates": 0}

    def point(self, update: int, values: Mapping[str, float]) -> None:
        """Counts the updates."""
        self.line["updates"] = update

    def figures(self, values: Mapping[str, float]) -> None:
        """Takes the figures."""
        self.line["figures"] = dict(values)

    def picture(self, name: str, png: bytes) -> None:
        """Leaves pictures away."""

    def artifact(self, folder: Path) -> None:
        """Names the folder."""
        self.line["run_dir"] = str(folder)

    def end(self, *, failed: bool = False) -> None:
        """Writes the line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "runs.jsonl").open("a") as file:
            file.write(json.dumps(self.line | {"failed": failed}) + "\n")
