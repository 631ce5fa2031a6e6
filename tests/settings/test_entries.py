"""Entries of a comparison: read from a word, and named by one."""

import dataclasses
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import siamese_mnist as sm
from siamese_mnist.runs.experiment import run_settings
from siamese_mnist.settings.entries import entry_names
from siamese_mnist.settings.grammar import SETTINGS, parse_entry, read_option, write_value
from siamese_mnist.settings.parts import Parts
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.recipes import Recipe
from siamese_mnist.settings.settings import Settings
from siamese_mnist.testing import check_schedule

CHANGES = {
    "loss": ("loss", st.sampled_from(["triplet", "supcon", "arcface"])),
    "batch_size": ("batch_size", st.integers(1, 999)),
    "backbone-lr": ("backbone_learning_rate", st.floats(1e-6, 0.1)),
    "supervision": ("supervision", st.just("labels")),
    "curve": ("curve", st.booleans()),
    "test_pairs": ("test_pairs", st.integers(2, 500)),
}


def name_of(*table):
    return entry_names(table)


@given(st.dictionaries(st.sampled_from(list(CHANGES)), st.none()).flatmap(
    lambda chosen: st.fixed_dictionaries({name: CHANGES[name][1] for name in chosen})
), st.integers(0, 5))  # fmt: skip
def test_a_word_is_what_its_changes_are(changes, seed):
    text = "siamese:" + ",".join(f"{name}={value}" for name, value in changes.items())
    found = Settings.resolve(text, seed=seed)
    assert found == Settings.resolve(
        "siamese", seed=seed, **{CHANGES[name][0]: value for name, value in changes.items()}
    )
    (name,) = name_of(found)
    assert Settings.resolve(name, seed=seed) == found


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("baseline", {}),
        ("baseline:", {}),
        ("baseline:backbone.blocks=3,backbone.residual=false", {"backbone_options": {"blocks": 3, "residual": False}}),
        ("siamese:backbone=torchvision:resnet18", {"backbone": "torchvision:resnet18"}),
        ("siamese:loss=triplet,loss.margin=0.2", {"loss": "triplet", "loss_options": {"margin": 0.2}}),
        (
            "siamese:recipe=short,augment.rotate=5",
            {"recipe": "short", "augmentation": {"rotate": 5}},
        ),
    ],
)
def test_parts_and_their_options(text, changes):
    found = Settings.resolve(text)
    assert found == Settings.resolve(text.partition(":")[0], **changes)
    assert Settings.resolve(*name_of(found)) == found


def test_an_entrys_own_settings_come_first():
    assert Settings.resolve("siamese:recipe=short", recipe="fast").recipe == "short"
    assert Settings.resolve("siamese", recipe="fast").recipe == "fast"


def test_what_all_share_is_left_out():
    table = [Settings.resolve(text, recipe="short", batch_size=32) for text in ("siamese", "siamese:loss=triplet")]
    assert name_of(*table) == ["siamese", "siamese:loss=triplet"]
    seeds = [Settings.resolve("siamese:batch_size=32", seed=seed) for seed in (0, 1)]
    assert name_of(*seeds) == ["siamese:batch_size=32"] * 2
    assert name_of(seeds[0], Settings.resolve("siamese")) == ["siamese:batch_size=32", "siamese"]


def test_a_variant_that_is_not_installed_still_has_a_name():
    plugged = [
        dataclasses.replace(Settings.resolve(f"siamese:loss={loss}"), variant="plugged")
        for loss in ("triplet", "supcon")
    ]
    assert entry_names(plugged) == ["plugged:loss=triplet", "plugged:loss=supcon"]
    assert entry_names([plugged[0], Settings.resolve("siamese")]) == ["plugged", "siamese"]


PATHS = {
    "recipe": ["report", "short", "fast", "strong"],
    "backbone": ["report", "convnet"],
    "head": ["distance", "comparison", "agreement"],
    "loss": ["contrastive", "triplet", "supcon"],
    "backbone_options": [{"blocks": 3}, {"blocks": 1, "residual": False}],
    "head_options": [{"embedding_dim": 8}],
    "augmentation": [{"rotate": 5}, {"rotate": 10, "stroke": 0.5}],
    "augmentation_fade": [0.1],
    "batch_size": [32, 64],
    "curve": [True, False],
    "dataset": ["mnist-tenth", "glyphs"],
    "test_pairs": [500],
    "supervision": ["labels", "pairs"],
}


def resolved(variant, changes):
    try:
        return Settings.resolve(variant, **changes)
    except sm.UsageError:  # such a combination has no settings to name
        return None


CHANGED = st.sets(st.sampled_from(list(PATHS)), max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({name: st.sampled_from(PATHS[name]) for name in sorted(names)})
)
TABLES = st.lists(
    st.builds(resolved, st.sampled_from(["baseline", "siamese", "siamese-agreement"]), CHANGED), min_size=1, max_size=5
).map(lambda table: [each for each in table if each])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TABLES)
def test_names_tell_settings_apart_and_give_them_back(table):
    names = entry_names(table)
    for name, one in zip(names, table, strict=True):
        for other_name, other in zip(names, table, strict=True):
            assert (name == other_name) == (one == other)
    shared = (
        {
            field: value
            for field, value in _plain(table[0]).items()
            if all(_plain(each)[field] == value for each in table)
        }
        if table
        else {}
    )
    for name, one in zip(names, table, strict=True):
        assert Settings.resolve(name, **shared) == one


def _plain(one):
    """Settings by name in Python, without what a table always tells."""
    values = one.as_dict()
    flat = {**values, **values["parts"], **values["protocol"]}
    return {name: value for name, value in flat.items() if name in SETTINGS}


def test_a_recipe_that_names_a_backbone_alone_hides_nothing(monkeypatch):
    monkeypatch.setattr(sm.RECIPES, "_parts", dict(sm.RECIPES._parts))
    sm.RECIPES.add("tiny", Recipe(protocol=TrainingProtocol(), parts=Parts(backbone="report")), summary="A test's.")
    table = [
        Settings.resolve(f"siamese:backbone=convnet,head=distance,loss={loss}", recipe="tiny")
        for loss in ("contrastive", "triplet")
    ]
    assert entry_names(table) == ["siamese:loss=contrastive", "siamese:loss=triplet"]
    assert entry_names(table[:1]) == ["siamese:recipe=tiny,backbone=convnet,head=distance,loss=contrastive"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "1"}, "epochs must be a whole number, got '1'"),
        ({"epochs": 1.5}, "epochs must be a whole number, got 1.5"),
        ({"epochs": True}, "epochs must be a whole number, got True"),
        ({"seed": "0"}, "seed must be a whole number, got '0'"),
        ({"curve": "yes"}, "curve must be true or false, got 'yes'"),
        ({"curve": 1}, "curve must be true or false, got 1"),
        ({"loss": 3}, "loss must be text, got 3"),
        ({"learning_rate": float("inf")}, "learning_rate must be finite, got inf"),
        ({"backbone_options": "blocks=3"}, "backbone_options must be names with values, got 'blocks=3'"),
        ({"backbone_options": {"residual": 1}}, "option residual must be true or false, got 1"),
    ],
)
def test_types_are_checked(changes, message):
    with pytest.raises(sm.UsageError, match=re.escape(message)):
        Settings.resolve("siamese", **changes)


@pytest.mark.parametrize("variant", [None, 3, ["siamese"]])
def test_an_entry_is_text(variant):
    with pytest.raises(sm.UsageError, match="a variant is named by text"):
        sm.run(variant)


def test_runs_of_0_1_0_lack_what_came_later():
    config = Settings.resolve("siamese").as_dict()
    for name in ("dataset_options", "split", "fold"):
        del config[name]
    assert Settings.from_dict(config) == Settings.resolve("siamese")
    with pytest.raises(sm.UsageError, match="'epochs' is missing"):
        Settings.from_dict(config | {"protocol": {k: v for k, v in config["protocol"].items() if k != "epochs"}})
    with pytest.raises(sm.UsageError, match="'colour' is unknown"):
        Settings.from_dict(config | {"colour": "red"})


@pytest.mark.parametrize("value", ["a,b", 'say "x"', "1", "none", "plain", "[x", [1, "a,b"], 3, 0.5, True, None])
def test_values_are_written_as_they_are_read(value):
    (_, changes) = parse_entry(f"siamese:dataset.option={write_value(value)},epochs=1")
    assert read_option("option", changes["dataset_options"]["option"], None) == value


@pytest.mark.parametrize("name", list(sm.SCHEDULES))
def test_schedules(name):
    check_schedule(name)


def test_a_schedule_that_turns_negative_is_found(monkeypatch):
    monkeypatch.setattr(sm.SCHEDULES, "_parts", dict(sm.SCHEDULES._parts))
    sm.SCHEDULES.add("overshoot", lambda done: 1 - 2 * done, summary="A test's.")
    with pytest.raises(AssertionError, match=r"schedule overshoot: its factor after 50\.1%"):
        check_schedule("overshoot")


def test_compare_gives_rows_of_what_is_there(runs_dir, finished, short):
    rows = sm.compare(["baseline", "siamese"], seeds=1, runs_dir=runs_dir, **short)
    assert [row.entry for row in rows[1:]] == ["baseline", "siamese"]
    assert rows[2]["accuracy"] == finished["siamese"].test.accuracy


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("siamese", "entries must be a list"),
        ([], "entries must be a list"),
        (["siamese", "siamese:epochs=2"], "'siamese' and 'siamese:epochs=2' are the same"),
    ],
)
def test_entries_of_a_comparison(entries, message, tmp_path):
    with pytest.raises(sm.UsageError, match=message):
        sm.compare(entries, runs_dir=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("siamse", "unknown variant 'siamse'; did you mean 'siamese'"),
        ("siamese:los=triplet", "unknown setting 'los'; did you mean 'loss'"),
        ("siamese:loss", "options are written name=value, got 'loss'"),
        ("siamese:epochs=many", "epochs must be a whole number, got 'many'"),
        ("siamese:lss.margin=1", "only dataset, backbone, head, loss, miner, augment have"),
        ("siamese:loss.margn=1", "margn"),
        ("siamese:recipe=fst", "unknown recipe 'fst'; did you mean 'fast'"),
        ("siamese:augment.rotte=1", "unknown distortion 'rotte'"),
    ],
)
def test_mistakes(text, message, tmp_path):
    with pytest.raises(sm.UsageError, match=message):
        run_settings(Settings.resolve(text), runs_dir=tmp_path)


def test_a_recipe_without_a_head_needs_a_variant_with_one(monkeypatch):
    monkeypatch.setattr(sm.RECIPES, "_parts", dict(sm.RECIPES._parts))
    sm.RECIPES.add("headless", Recipe(protocol=TrainingProtocol(), parts=Parts(backbone="report")), summary="A test's.")
    assert Settings.resolve("baseline", recipe="headless").parts.head == "classifier"
    assert Settings.resolve("siamese", recipe="headless", head="comparison").parts.head == "comparison"
    with pytest.raises(sm.UsageError, match="neither variant 'siamese' nor recipe 'headless' has a head; name one"):
        Settings.resolve("siamese", recipe="headless")
