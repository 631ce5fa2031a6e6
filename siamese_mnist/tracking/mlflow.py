"""Runs in an MLflow store."""

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siamese_mnist.tracking.base import Setting, Tracker, require

EXPERIMENT = "siamese-mnist"
_BATCH = 1000  # numbers that a store takes at once
_PARAMETERS = 100  # parameters that it takes at once


class MlflowTracker(Tracker):
    """A run of MLflow a run: in the store that MLFLOW_TRACKING_URI names, else in a database beside the runs."""

    def __init__(self, folder: Path) -> None:
        require("mlflow", "mlflow")
        super().__init__(folder)
        self._client: Any = None
        self._experiment = ""
        self._run = ""
        self._points: list[Any] = []

    def start(self, name: str, settings: Mapping[str, Setting]) -> None:
        """Creates a run of the experiment "siamese-mnist"."""
        from mlflow.entities import Param

        if self._client is None:
            self._connect()
        self._run = self._client.create_run(self._experiment, run_name=name).info.run_id
        parameters = [Param(key, "none" if value is None else str(value)) for key, value in settings.items()]
        for first in range(0, len(parameters), _PARAMETERS):
            self._client.log_batch(self._run, params=parameters[first : first + _PARAMETERS])

    def point(self, update: int, values: Mapping[str, float]) -> None:
        """Adds a step to the metrics below "curve"."""
        self._log({f"curve/{name}": value for name, value in values.items()}, update)

    def figures(self, values: Mapping[str, float]) -> None:
        """Adds metrics by their own names."""
        self._log(values, 0)

    def picture(self, name: str, png: bytes) -> None:
        """Keeps it as an artifact."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            path.write_bytes(png)
            self._client.log_artifact(self._run, str(path))

    def artifact(self, folder: Path) -> None:
        """Copies the folder into the artifact "run"."""
        self._client.log_artifacts(self._run, str(folder), artifact_path="run")

    def end(self, *, failed: bool = False) -> None:
        """Sends what is left and ends the run."""
        if self._run:
            run, self._run = self._run, ""
            points, self._points = self._points, []
            if not failed:
                self._send(run, points)
            self._client.set_terminated(run, "FAILED" if failed else "FINISHED")

    def _connect(self) -> None:
        from mlflow import MlflowClient

        address = os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = None
        if not address:
            self.folder.mkdir(parents=True, exist_ok=True)
            address = f"sqlite:///{self.folder.absolute() / 'mlflow.db'}"
            artifacts = (self.folder.absolute() / "artifacts").as_uri()
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells of every table it makes
        self._client = MlflowClient(address)
        known = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = (
            known.experiment_id if known else self._client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        )

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._points += [Metric(name, value, now, step) for name, value in values.items()]
        if len(self._points) >= _BATCH:
            full = len(self._points) // _BATCH * _BATCH
            self._send(self._run, self._points[:full])
            self._points = self._points[full:]

    def _send(self, run: str, points: list[Any]) -> None:
        for first in range(0, len(points), _BATCH):
            self._client.log_batch(run, metrics=points[first : first + _BATCH])
