"""Runs as event files of TensorBoard."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siamese_mnist.tracking.base import Setting, Tracker, require


class TensorBoardTracker(Tracker):
    """An event file a run for `tensorboard --logdir runs/tensorboard`: curve, settings with figures, a picture."""

    def __init__(self, folder: Path) -> None:
        require("tensorboard", "tensorboard")
        super().__init__(folder)
        self._settings: dict[str, bool | int | float | str] = {}
        self._writer: Any = None

    def start(self, name: str, settings: Mapping[str, Setting]) -> None:
        """Opens an event file in a folder of the run's name."""
        from torch.utils.tensorboard import SummaryWriter

        self._settings = {key: "none" if value is None else value for key, value in settings.items()}
        self._writer = SummaryWriter(str(self.folder / name))

    def point(self, update: int, values: Mapping[str, float]) -> None:
        """Adds a step to the scalars below "curve"."""
        for name, value in values.items():
            self._writer.add_scalar(f"curve/{name}", value, update)

    def figures(self, values: Mapping[str, float]) -> None:
        """Adds scalars below "figures", and the row of the tab HPARAMS that stands for the run."""
        from torch.utils.tensorboard.summary import hparams

        named = {f"figures/{name}": value for name, value in values.items()}
        for summary in hparams(self._settings, named):
            self._writer.file_writer.add_summary(summary)
        for name, value in named.items():
            self._writer.add_scalar(name, value)

    def picture(self, name: str, png: bytes) -> None:
        """Adds an image."""
        import numpy as np
        from PIL import Image

        self._writer.add_image(name, np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), dataformats="HWC")

    def artifact(self, folder: Path) -> None:
        """Names the folder in a text, as event files hold no others."""
        self._writer.add_text("run_dir", str(folder.absolute()))

    def end(self, *, failed: bool = False) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
