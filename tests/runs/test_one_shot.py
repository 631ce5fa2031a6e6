"""One-shot episodes of runs: within and across alphabets on Omniglot's layout, by the same and by another writer."""

import numpy as np
import pytest
import torch
from PIL import Image

import siamese_mnist as sm
from siamese_mnist.data import LabeledImages
from siamese_mnist.runs.image_scores import ImageScores
from siamese_mnist.runs.one_shot import one_shot_figures

ALPHABETS = {"images_background": ["Greek", "Hebrew"], "images_evaluation": ["Tibetan", "Bengali"]}


@pytest.fixture
def omniglot(tmp_path):
    """Four characters an alphabet by three drawers: a bar that stands elsewhere in every character."""
    number = 0
    for half, names in ALPHABETS.items():
        for name in names:
            for character in range(4):
                number += 1
                folder = tmp_path / "omniglot-py" / half / name / f"character{character + 1:02}"
                folder.mkdir(parents=True)
                for drawer in (1, 2, 3):
                    picture = np.full((105, 105), 255, np.uint8)
                    picture[10 * (number % 8) + drawer :][:10, 10 : 90 - 5 * drawer] = 0
                    Image.fromarray(picture).convert("1").save(folder / f"{number:04}_{drawer:02}.png")
    return tmp_path


def test_an_omniglot_folder_trains_and_tells_within_and_across_alphabets(omniglot):
    run = sm.run(
        "siamese",
        recipe="short",
        dataset="omniglot",
        data_dir=omniglot,
        train_pairs=60,
        test_pairs=20,
        runs_dir=omniglot / "runs",
    )
    assert len(run.split.test_classes) == 8
    assert run.decision.fitted_on == "validation images of new classes"
    kinds = [(each.ways, each.writer, each.one_family) for each in run.one_shot]
    assert kinds == [(8, "any", False), (4, "other", True)]
    assert run.identification.names == 8


def test_who_knows_alphabets_alone_is_at_chance_within_them(omniglot):
    """Across alphabets it is told apart what the model sees; within one nothing of it is left."""

    class KnowsAlphabets:
        embeds = False

        def score_pairs(self, images, left, right):
            shown = [by_image[images[row].numpy().tobytes()] for row in torch.cat([left, right]).tolist()]
            half = len(left)
            same = torch.tensor([one == other for one, other in zip(shown[:half], shown[half:], strict=True)])
            return same + 0.5 * torch.rand(half, generator=noise)

    noise = torch.Generator().manual_seed(0)
    split = sm.split_dataset(sm.load_dataset("omniglot", omniglot))
    names = [split.test_classes[label].partition("/")[0] for label in split.test.labels.tolist()]
    by_image = {
        (image.float() / 255).numpy().tobytes(): name for image, name in zip(split.test.images, names, strict=True)
    }
    across, within = one_shot_figures(ImageScores(KnowsAlphabets(), split.test.images), split.test, split.test_classes)
    assert (across.one_family, within.one_family) == (False, True)
    assert across.accuracy == pytest.approx(1 / 4, abs=0.06), "eight classes, four of each alphabet"
    assert within.accuracy == pytest.approx(1 / 4, abs=0.06), "chance"


class Perfect:
    """Knows the class of an image from its pixels."""

    embeds = False

    def score_pairs(self, images, left, right):
        return -(images[left] - images[right]).abs().amax((1, 2, 3))


def test_what_is_told_apart_is_named():
    labels = torch.arange(6).repeat_interleave(4)
    images = (labels * 40).byte().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    data = LabeledImages(images, labels, torch.arange(24) % 4 // 2)
    found = one_shot_figures(ImageScores(Perfect(), data.images), data, tuple("abcdef"))
    assert [(each.ways, each.writer, each.accuracy) for each in found] == [(6, "other", 1.0), (6, "same", 1.0)]
    none = one_shot_figures(
        ImageScores(Perfect(), data.images), data._replace(groups=torch.arange(24)), tuple("abcdef")
    )
    assert none == [], "no writer wrote two"
