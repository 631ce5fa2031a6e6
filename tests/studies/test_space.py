"""What is tuned: declared ranges, the caller's, and what an entry sets itself."""

from typing import Annotated

import pytest

import siamese_mnist as sm
from siamese_mnist.registry import Range, space_of
from siamese_mnist.settings.settings import Settings
from siamese_mnist.studies.space import tuned_entries

SHORT = {"recipe": "short"}


def tuned(entry, own=None, **changes):
    return tuned_entries([entry], {name: Range.parse(each) for name, each in (own or {}).items()}, changes, 0)[0]


def space(entry, own=None, **changes):
    return {name: str(each) for name, each in tuned(entry, own, **changes).space.items()}


def test_a_loss_declares_what_is_tuned():
    assert space("siamese:loss=triplet", **SHORT) == {"learning_rate": "0.0003..0.03", "loss.margin": "0.01..0.5"}
    assert space("baseline") == {"learning_rate": "0.0003..0.03"}
    assert set(space("siamese:loss=cross-batch-memory", **SHORT)) == {"learning_rate", "loss.neg_margin"}


def test_what_is_set_is_not_tuned():
    assert "loss.margin" not in space("siamese:loss=triplet,loss.margin=0.2", **SHORT)
    assert "learning_rate" not in space("siamese:loss=triplet", learning_rate=0.01, **SHORT)
    assert "loss.margin" not in space("siamese:loss=triplet", loss_options={"margin": 0.2}, **SHORT)


def test_a_range_of_ones_own_comes_first():
    own = {"learning-rate": "1e-4..1", "loss.margin": "0.1..0.2", "batch_size": "16..64"}
    found = tuned("siamese:loss=triplet,loss.margin=0.4", own, **SHORT)
    assert {name: str(each) for name, each in found.space.items()} == {
        "learning_rate": "0.0001..1",
        "loss.margin": "0.1..0.2",
        "batch_size": "16..64",
    }
    assert found.space["batch_size"].whole
    assert not found.space["loss.margin"].whole


def test_a_margin_for_another_distance_is_not_declared():
    assert "loss.neg_margin" not in space("siamese:loss=contrastive,loss.distance=cosine", **SHORT)


def test_the_step_size_of_the_backbone_follows():
    found = tuned("siamese", **SHORT)
    assert found.chosen({"learning_rate": 0.006}) == "siamese:learning_rate=0.006,backbone_learning_rate=0.006"
    assert tuned("siamese:backbone_lr=0.001", **SHORT).rate_ratio is None
    assert tuned("siamese").rate_ratio is None  # the report's backbone is frozen


@pytest.mark.parametrize("entry", ["siamese", "siamese:loss=arcface,augment.rotate=5", "siamese:loss=circle"])
def test_a_chosen_entry_is_what_was_tried(entry):
    found = tuned(entry, **SHORT)
    values = {name: each.low for name, each in found.space.items()}
    assert Settings.resolve(found.chosen(values), **SHORT) == found.resolve(values)
    assert found.as_it_stands().keys() == values.keys()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"learning_rate": "-1..1"}, "learning_rate must be > 0, got -1"),
        ({"loss.nothing": "0..1"}, "has no option 'nothing'"),
        ({"learnin_rate": "0.1..1"}, "did you mean 'learning_rate'?"),
        ({"seed": "0..9"}, "decides which pairs are tested"),
        ({"test_pairs": "100..900"}, "it is None, no number"),
        ({"pair_seed": "0..9"}, "decides which pairs are tested"),
        ({"batch_size": "8.5..64"}, "batch_size must be a whole number"),
        ({"loss.distance": "0..1"}, "no number"),
        ({"colour.hue": "0..1"}, "only dataset, backbone, head, loss, miner, augment"),
    ],
)
def test_mistakes(own, message):
    with pytest.raises(sm.UsageError) as raised:
        tuned("siamese:loss=triplet", own, **SHORT)
    assert message in str(raised.value)


def test_an_entry_without_anything_to_tune_is_told():
    with pytest.raises(sm.UsageError, match="leaves nothing to tune"):
        tuned("baseline:learning_rate=0.01")
    with pytest.raises(sm.UsageError, match="are the same"):
        tuned_entries(["siamese", "siamese:loss=contrastive"], {}, {}, 0)


@pytest.mark.parametrize("text", ["1", "2..1", "a..b", "1..2..3", "0..inf", "1..1"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(sm.UsageError, match=r"a range is written low\.\.high"):
        Range.parse(text)


def test_ranges_know_their_scale():
    assert Range.parse("1e-4..1e-2").log
    assert not Range.parse("0.1..0.5").log
    assert not Range.parse("0..5").log
    assert Range.parse("16..128").whole
    assert str(Range.parse("1e-4..1e-2")) == "0.0001..0.01"


def test_functions_and_classes_declare_alike():
    def part(*, one: Annotated[float, Range(0.1, 1.0)] = 0.5, other: int = 3):
        pass

    class Part:
        def __init__(self, *, one: Annotated[float, Range(0.1, 1.0)] = 0.5, other: int = 3):
            pass

    assert space_of(part) == space_of(Part) == {"one": Range(0.1, 1.0)}
