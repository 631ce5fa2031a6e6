"""Saved models: found, read, and put to use for one pair of pictures without PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from siamese_mnist.data.brightness import Brightness
from siamese_mnist.data.preprocessing import preprocessing_of
from siamese_mnist.data.typical import Typical
from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Calibration, Decision
from siamese_mnist.inference.judge import Judge, finite
from siamese_mnist.kinds import DESIGNS, ROLES
from siamese_mnist.runs.bundle import is_bundle, read_bundle
from siamese_mnist.runs.reading import (
    RunError,
    read_arrays,
    read_calibration,
    read_config,
    read_run,
    read_scorer,
    read_weights,
)
from siamese_mnist.runs.result import prior_of
from siamese_mnist.runs.scorer import Scorer
from siamese_mnist.runs.store import find_newest
from siamese_mnist.settings.recipes import VARIANTS
from siamese_mnist.settings.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor


def locate(name: str | None, runs_dir: str | Path) -> Path:
    """The run or bundle that a user means: a path, or a variant, of which it is the newest run below `runs_dir`.

    Without a name it is the newest run of any variant.

    Raises:
        UsageError: if it is none of these, or there is no such run.
    """
    if name is None:
        (newest,) = find_newest(None, runs_dir).runs
        if newest is None:
            raise UsageError(
                f"no run in {runs_dir}; make one with `siamese-mnist run siamese --recipe fast`, or name another "
                "--runs-dir"
            )
        return Path(newest.run_dir)
    if is_bundle(name) or (Path(name) / "result.json").is_file():
        return Path(name)
    if name not in VARIANTS:
        if Path(name).exists():
            raise RunError(f"{name} is neither a complete run nor a bundle: it has no result.json and no bundle.json")
        raise UsageError(
            f"{name!r} is neither a run, nor a bundle, nor a variant; `siamese-mnist run VARIANT` makes a run. "
            f"Known variants: {', '.join(VARIANTS)}."
        )
    (found,) = find_newest(name, runs_dir).runs
    if found is None:
        raise UsageError(
            f"no run of {name!r} in {runs_dir}; make one with `siamese-mnist run {name}`, or name another --runs-dir"
        )
    return Path(found.run_dir)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A run or a bundle, read but for its weights as PyTorch's tensors.

    Attributes:
        place: its path.
        config: what its model is made of.
        values: of the decision: threshold, slope and prior.
        calibration: scored pairs that the decision was fitted on, where they are kept.
        scorer: content of `scorer.json`, where there is one.
        arrays: reads the weights by name.
        weights: reads the weights as PyTorch's tensors by name.
    """

    place: str | Path
    config: Mapping[str, Any]
    values: Mapping[str, Any]
    calibration: Calibration | None
    scorer: bytes | None
    arrays: Callable[[], Mapping[str, NDArray[Any]]]
    weights: Callable[[], Mapping[str, Tensor]]

    @classmethod
    def at(cls, place: str | Path) -> Saved:
        """Reads a run or a bundle; nothing is unpickled.

        Raises:
            RunError: if it is not a complete run of this version, or damaged.
            BundleError: if it is a bundle of a newer format, or damaged.
        """
        if is_bundle(place):
            bundle = read_bundle(place)
            return cls(
                place=place,
                config=bundle.config,
                values=bundle.decision,
                calibration=bundle.calibration,
                scorer=bundle.scorer,
                arrays=lambda: bundle.arrays,
                weights=lambda: bundle.weights,
            )
        result = read_run(place)
        return cls(
            place=place,
            config=read_config(place),
            values=dataclasses.asdict(result.decision),
            calibration=read_calibration(place, unseen=result.decision.fitted_on != "training images"),
            scorer=read_scorer(place),
            arrays=lambda: read_arrays(place),
            weights=lambda: read_weights(place),
        )

    @property
    def mend(self) -> str:
        """What to do about damage."""
        return f"train the run {'that this bundle is of ' if is_bundle(self.place) else ''}again"

    def decision(self) -> Decision:
        """Threshold and calibration; what they raise is open, as others may have written them."""
        values = self.values
        return Decision(
            float(values["threshold"]), float(values["slope"]), float(values.get("prior", prior_of(self.config)))
        )

    def settings(self) -> Settings:
        """What the model was trained with; what they raise is open, too."""
        return settings_of(self.config)

    def takes(self) -> dict[str, Any]:
        """Arguments of a `Judge` that say which images it takes; what they raise is open, too."""
        height, width = self.config["image_size"]
        return {
            "image_size": (height, width),
            "channels": int(self.config.get("channels", 1)),  # earlier runs have grey images only
            "preprocessing": preprocessing_of(self.config),
            "brightness": Brightness.from_config(self.config),
            "typical": Typical.from_config(self.config),
            "calibration": self.calibration,
        }


_BESIDE = ("preprocessing", "brightness", "typical", "image_size", "channels", "classes", "origins")


def settings_of(config: Mapping[str, Any]) -> Settings:
    """The settings that a run's or bundle's `config.json` holds.

    Raises:
        UsageError: if they are not of this version.
    """
    return Settings.from_dict({name: value for name, value in config.items() if name not in _BESIDE})


class RecordedJudge(Judge):
    """A saved model that scores one pair of pictures as it is written down in `scorer.json`, without PyTorch.

    Args:
        saved: what it is read from.
        scorer: the operations.
        arrays: the weights by name.
    """

    def __init__(self, saved: Saved, scorer: Scorer, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(saved.decision(), **saved.takes())
        self._scorer = scorer
        self._arrays = arrays
        self._embedded: dict[bytes, NDArray[np.float32]] = {}  # of the images that were scored, by their pixels

    def score_rows(self, images: NDArray[np.uint8], left: ArrayLike, right: ArrayLike) -> NDArray[np.float32]:
        """Scores (P,) of pairs of rows of images, pair by pair; see `Judge.score_rows`.

        Raises:
            ScorerError: if an operation cannot be done.
        """
        pairs = list(zip(np.asarray(left).tolist(), np.asarray(right).tolist(), strict=True))
        known: dict[tuple[int, int], float] = {}
        for one, other in pairs:
            if (one, other) not in known:
                scores, embeddings = self._scorer.replay(images[[one, other]], self._arrays)
                known[one, other], known[other, one] = scores.tolist()
                if embeddings is not None:
                    self._embedded |= {images[row].tobytes(): embeddings[at] for at, row in enumerate((one, other))}
        return finite(np.array([known[pair] for pair in pairs], dtype=np.float32))

    def embeddings(self, images: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Embeddings (N, E) of images (N, C, H, W); None of designs without, and of images that were not scored."""
        found = [self._embedded.get(image.tobytes()) for image in images]
        return None if any(each is None for each in found) else np.stack([each for each in found if each is not None])


def recorded(saved: Saved) -> RecordedJudge | None:
    """A saved model without PyTorch; None where it has no scorer, its settings cannot be read, or a part is missing.

    Raises:
        ScorerError: if its scorer is damaged or of another model.
        RunError: if its weights are damaged.
    """
    if saved.scorer is None:
        return None
    scorer = Scorer.parse(saved.scorer)
    arrays = saved.arrays()
    scorer.check(saved.config, arrays)
    try:
        # The package of a part may be missing, which is told as everywhere.
        DESIGNS.check_name(saved.config["design"])
        for role, registry in ROLES.items():
            if name := saved.config["parts"][role]:
                registry.check_name(name.partition(":")[0])
        return RecordedJudge(saved, scorer, arrays)
    except Exception:  # what a config.json of other hands raises, PyTorch's way tells
        return None
