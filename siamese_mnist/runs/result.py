"""What a run found, as frozen values; JSON only at the edge."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from annotated_types import Ge, Gt, Le, Len

from siamese_mnist.errors import UsageError
from siamese_mnist.evaluation import Decision
from siamese_mnist.settings.settings import Settings
from siamese_mnist.system.text import unprintable

FORMAT = 2
"""Number of the form of `result.json`; runs of siamese-mnist 0.1.0 have none and count as 1."""

Rate = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(0), Le(1 << 53)]
Amount = Annotated[float, Ge(0)]
Speed = Annotated[float, Gt(0)]
Confusion = Annotated[Sequence[Annotated[Sequence[Count], Len(2, 2)]], Len(2, 2)]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a result; a field can also be read by its JSON key: `result["test"]["accuracy"]`."""

    __pydantic_config__: ClassVar[dict[str, bool]] = {"strict": True, "allow_inf_nan": False}

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(f"no field {name!r}; there are: {', '.join(self._names())}")
        return getattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def _names(cls) -> list[str]:
        return [each.name for each in dataclasses.fields(cls)]


@dataclass(frozen=True, kw_only=True)
class Split(Section):
    """How the data set was split.

    Attributes:
        name: name in `SPLITS`; "images" is the data set's own division.
        fold: which fold, from 0.
        test_classes: names of the test classes where they were not trained on, else None.
    """

    name: str = "images"
    fold: Count = 0
    test_classes: Sequence[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Parameters(Section):
    """Numbers in each part, moving statistics counted."""

    backbone: Count
    pretraining_head: Count
    head: Count


@dataclass(frozen=True, kw_only=True)
class DrawnPairs(Section):
    """The pairs trained on, and their SHA-256."""

    pairs: Count
    pairs_digest: str


@dataclass(frozen=True, kw_only=True)
class Phase1(Section):
    """Pretraining on single images; `accuracy` is that of single test images, None without phase 1."""

    epochs: Count
    accuracy: Rate | None
    train_seconds: Amount


@dataclass(frozen=True, kw_only=True)
class Phase2(Section):
    """Training on pairs; `supervision` says what a batch was made of, "pairs" or "labels"."""

    epochs: Count
    supervision: str
    train_seconds: Amount


@dataclass(frozen=True, kw_only=True)
class FittedDecision(Decision, Section):
    """Threshold and calibration, how many pairs they were fitted on, and of which images.

    Attributes:
        pairs: number of pairs.
        fitted_on: "validation images", which were not trained on, "validation images of new classes", whose classes
            were not, either, "classes that a member left out", scored by this member of an ensemble alone, "left-out
            training images", each scored by a model that had not seen it, or "training images".
    """

    pairs: Count
    fitted_on: str = "training images"


@dataclass(frozen=True, kw_only=True)
class ClassFigures(Section):
    """Figures of one answer, "same" or "different"."""

    precision: Rate
    recall: Rate
    f1: Rate


@dataclass(frozen=True, kw_only=True)
class ClassPairs(Section):
    """Test pairs by the classes of their two images; accuracy is None where there are no pairs."""

    accuracy: Sequence[Sequence[Rate | None]]
    pairs: Sequence[Sequence[Count]]


@dataclass(frozen=True, kw_only=True)
class PairFigures(Section):
    """Figures on the test pairs, see `evaluation.evaluate`.

    Attributes:
        others: metrics without a field of their own, by name; in JSON they stand among the fields. `figures[name]`
            reads a field or one of them.
    """

    pairs: Annotated[int, Ge(2), Le(1 << 53)]
    pairs_digest: str
    accuracy: Rate
    same: ClassFigures
    different: ClassFigures
    confusion_matrix: Confusion
    roc_auc: Rate
    average_precision: Rate
    equal_error_rate: Rate
    true_match_rate: Mapping[str, Rate]
    log_loss: Amount
    brier_score: Rate
    expected_calibration_error: Rate
    threshold: float
    swap_agreement: Rate
    largest_swap_difference: Rate
    digit_pairs: ClassPairs | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.others[name] if name in self.others else super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return name in self.others or super().__contains__(name)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object, other metrics among the fields."""
        values = super().as_dict()
        others: dict[str, Any] = values.pop("others")
        return values | others

    @classmethod
    def nested(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object with what has no field of its own under `others`."""
        known = [name for name in cls._names() if name != "others"]
        others = {name: value for name, value in values.items() if name not in known}
        return {**{name: values[name] for name in known if name in values}, "others": others}


@dataclass(frozen=True, kw_only=True)
class OneShot(Section):
    """N-way one-shot episodes on test classes that were not trained on: each image is named from one example a class.

    Attributes:
        ways: N, classes of an episode; 1 / N is chance.
        writer: who wrote the images to be named: "other" than the examples' writer, the "same", or "any".
        one_family: whether the classes of an episode are of one family, as characters are of one alphabet.
        accuracy: share of images named right.
        accuracy_interval: its 95 % interval, over classes and writers.
        episodes: how many were drawn.
    """

    ways: Count
    writer: str
    one_family: bool
    accuracy: Rate
    accuracy_interval: Annotated[Sequence[Rate], Len(2, 2)]
    episodes: Count


@dataclass(frozen=True, kw_only=True)
class OpenSet(Section):
    """Naming with strangers about, at a limit on the share of them that is given a name (FPIR, ISO/IEC 19795-1).

    Attributes:
        names: how many are enrolled.
        limit: on the false positive identification rate.
        false_positive: share of strangers that is given a name, at most the limit.
        detection: share of images of enrolled classes that is given the right name (DIR).
        detection_interval: its 95 % interval for one gallery, over classes.
    """

    names: Count
    limit: Rate
    false_positive: Rate
    detection: Rate
    detection_interval: Annotated[Sequence[Rate], Len(2, 2)]


@dataclass(frozen=True, kw_only=True)
class Identification(Section):
    """Naming images of classes that were not trained on from one example each; means over galleries.

    Attributes:
        names: how many classes a gallery has.
        galleries: how many were drawn.
        cmc: cumulative match characteristic: share of images whose own class is among the first k, for k = 1 to
            `names`.
        rank_1_interval: 95 % interval of the first of these for one gallery, over classes.
        open_set: rates where half of these classes are strangers, one for each limit.
    """

    names: Count
    galleries: Count
    cmc: Annotated[Sequence[Rate], Len(2)]
    rank_1_interval: Annotated[Sequence[Rate], Len(2, 2)]
    open_set: Sequence[OpenSet]


@dataclass(frozen=True, kw_only=True)
class Throughput(Section):
    """Speeds of phase 2 and of scoring the test pairs."""

    train_pairs_per_second: Speed
    score_pairs_per_second: Speed


@dataclass(frozen=True, kw_only=True)
class RunResult(Section):
    """What `result.json` holds: settings, figures and costs of one run.

    Attributes:
        format: number of the form, see `FORMAT`.
        variant: name of the variant.
        dataset: name of the data set.
        split: how it was split.
        seed: seed of initial values and batch order.
        config: the settings as JSON, see `Settings.as_dict`.
        versions: of Python and the packages that a result depends on.
        machine: processor and cores in words; None in runs of 0.1.0.
        parameters: numbers in each part.
        train: the training pairs.
        phase1: pretraining.
        phase2: training on pairs.
        collapsed: a sentence if all images have nearly the same embedding, else None.
        decision: threshold and calibration.
        test: figures on the test pairs.
        one_shot: episodes of each kind, where the test classes are new; else none.
        identification: among the test classes, where these are new; else None.
        throughput: speeds.
        total_seconds: from loading the data to the last figure.
        peak_rss_bytes: largest resident memory, None where the system does not tell.
        run_dir: folder of the run.
    """

    format: Annotated[int, Ge(1)] = FORMAT
    variant: str
    dataset: str
    split: Split = Split()
    seed: Count
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: str | None = None
    parameters: Parameters
    train: DrawnPairs
    phase1: Phase1
    phase2: Phase2
    collapsed: str | None
    decision: FittedDecision
    test: PairFigures
    one_shot: Sequence[OneShot] = field(default_factory=list)
    identification: Identification | None = None
    throughput: Throughput
    total_seconds: Amount
    peak_rss_bytes: Count | None
    run_dir: str

    def __post_init__(self) -> None:
        for name, kind in _CONFIG.items():
            if not isinstance(self.config.get(name), kind):
                raise ValueError(f"config.{name} is missing or of the wrong type")
        if "siamese_mnist" not in self.versions:
            raise ValueError("versions.siamese_mnist is missing")

    @property
    def settings(self) -> Settings | None:
        """The settings as a typed value, or None where this version or its plugins cannot resolve them."""
        try:
            return Settings.from_dict(self.config)
        except UsageError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object."""
        return {**super().as_dict(), "test": self.test.as_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The result that a JSON object describes.

        Raises:
            ValueError: if a field is missing, of another type or out of range, or holds a control character, naming
                it; or if a newer siamese-mnist wrote it.
        """
        found = values.get("format", 1)
        if isinstance(found, int) and found > FORMAT:
            raise ValueError(f"written by a newer siamese-mnist, in format {found}; this one reads up to {FORMAT}")
        if odd := next(unprintable({name: values[name] for name in values if name != "run_dir"}), None):
            raise ValueError(f"{odd}: holds a control character")
        test, decision = values.get("test"), values.get("decision")
        given = {"format": 1, **values, "test": PairFigures.nested(test) if isinstance(test, Mapping) else test}
        if isinstance(decision, Mapping):
            given["decision"] = {"prior": prior_of(values.get("config")), **decision}
        return cls._validated(given)

    @classmethod
    def _validated(cls, values: Mapping[str, Any]) -> Self:
        from pydantic import ValidationError

        try:
            result: Self = _adapter().validate_json(json.dumps(values))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place, reason = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{place}: {reason}" if place else reason) from error
        return result


@dataclass(frozen=True, kw_only=True)
class Diverged:
    """What there is in place of a result where the training diverged: nothing is kept of it.

    Attributes:
        settings: what was trained.
        reason: one line that names phase, update and the setting to change.
    """

    settings: Settings
    reason: str

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings as JSON, as a result has them."""
        return self.settings.as_dict()


def prior_of(config: Any) -> float:
    """Share of same pairs that a run's decision was fitted on, of runs of before, which do not say it."""
    protocol = config.get("protocol") if isinstance(config, Mapping) else None
    fraction = protocol.get("same_fraction") if isinstance(protocol, Mapping) else None
    return fraction if isinstance(fraction, float) else 0.5


_CONFIG = {
    "variant": str,
    "recipe": str,
    "dataset": str,
    "seed": int,
    "design": str,
    "parts": Mapping,
    "protocol": Mapping,
}


@cache
def _adapter() -> Any:
    """Pydantic's reader of a result; made when the first is read, as it costs a tenth of a second."""
    from pydantic import TypeAdapter

    return TypeAdapter(RunResult)
