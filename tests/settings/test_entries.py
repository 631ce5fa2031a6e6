"""Entries of a comparison: read from a word, and named by one."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

import siamese_mnist as sm
from siamese_mnist.runs.experiment import run_settings
from siamese_mnist.settings.entries import entry_names
from siamese_mnist.settings.protocol import TrainingProtocol
from siamese_mnist.settings.recipes import Parts, Recipe
from siamese_mnist.settings.settings import Settings

CHANGES = {
    "loss": ("loss", st.sampled_from(["triplet", "supcon", "arcface"])),
    "batch_size": ("batch_size", st.integers(1, 999)),
    "backbone-lr": ("backbone_learning_rate", st.floats(1e-6, 0.1)),
    "supervision": ("supervision", st.just("labels")),
    "curve": ("curve", st.booleans()),
    "test_pairs": ("test_pairs", st.integers(2, 500)),
}


def name_of(*settings):
    return entry_names(settings)


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
    settings = [Settings.resolve(text, recipe="short", batch_size=32) for text in ("siamese", "siamese:loss=triplet")]
    assert name_of(*settings) == ["siamese", "siamese:loss=triplet"]
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
