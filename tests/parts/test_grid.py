"""Every registered part keeps its contract, alone and in every combination that is offered."""

import re

import pytest
import torch

import siamese_mnist as sm
from siamese_mnist import testing
from siamese_mnist.parts.heads import StackedHead
from siamese_mnist.registry import UnknownPartError, options_of
from siamese_mnist.settings.settings import Settings

BUILT_IN_HEADS = [part.name for part in sm.HEADS.parts() if part.origin == "built in"]
LOSSES = [part.name for part in sm.LOSSES.parts() if part.origin == "built in"]
HEAD_SUPERVISIONS = {"agreement": ("labels",), "distance": ("pairs", "labels")}


def narrow(recipe, backbone=None):
    """Options that make a recipe's convolutional trunk quick."""
    return {"width": 4} if (backbone or sm.RECIPES[recipe].parts.backbone) == "convnet" else {}


def quick(recipe, **less):
    """Options that make a recipe's own parts quick: narrow, of two networks at most, and what else is to be `less`."""
    parts, less = sm.RECIPES[recipe].parts, {"members": 2, **less}
    backbone, head = (
        {name: value for name, value in less.items() if options.get(name, value) != value}
        for options in (parts.backbone_options, parts.head_options)
    )
    return {"backbone_options": narrow(recipe) | backbone, "head_options": head}


def needs_loss(head):
    return sm.HEADS[head].losses and not sm.HEADS[head].loss_optional


def made(loss):
    return sm.create_loss(loss, {}, None, {}, classes=10, embedding_dim=48)


LOSS_HEADS = [name for name in BUILT_IN_HEADS if sm.HEADS[name].losses]


@pytest.mark.parametrize("in_channels", [1, 2])
@pytest.mark.parametrize("name", ["report", "convnet", "torchvision:resnet18", "torchvision:squeezenet1_1"])
def test_backbone_keeps_its_contract(name, in_channels):
    testing.check_backbone(name, in_channels=in_channels)


SWITCHES = [
    (name, option)
    for name in ("report", "convnet")
    for option, default in options_of(sm.BACKBONES[name]).items()
    if isinstance(default, bool)
]


@pytest.mark.parametrize(("name", "option"), SWITCHES)
def test_backbone_keeps_its_contract_whatever_is_switched(name, option):
    testing.check_backbone(name, **{option: not options_of(sm.BACKBONES[name])[option]})


@pytest.mark.parametrize("options", [{"members": 3}, {"members": 2, "halves": True}, {"members": 2, "deep": True}])
def test_members_of_a_backbone_keep_its_contract(options):
    testing.check_backbone("convnet", **options)


@pytest.mark.parametrize("options", [{}, {"hidden_dim": 0}, {"projected": False, "whitened": True}])
@pytest.mark.parametrize("loss", LOSSES)
def test_members_of_a_head_learn_nothing_of_classes_that_they_leave_out(loss, options):
    testing.check_head("distance", loss=loss, members=4, **options)


@pytest.mark.parametrize("name", BUILT_IN_HEADS)
def test_head_keeps_its_contract(name):
    testing.check_head(name, loss="contrastive" if needs_loss(name) else None)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_keeps_its_contract(name):
    testing.check_loss(name)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("head", LOSS_HEADS)
def test_every_loss_trains_with_every_head_that_takes_one(head, loss):
    testing.check_parts(backbone="convnet", backbone_options={"width": 4}, head=head, loss=loss)


RECIPES = [part.name for part in sm.RECIPES.parts() if part.origin == "built in" and not part.name.endswith("-test")]
DESIGNS = [part.name for part in sm.DESIGNS.parts() if part.origin == "built in"]
VARIANTS = [part.name for part in sm.VARIANTS.parts() if part.origin == "built in"]


@pytest.mark.parametrize("name", RECIPES)
def test_no_recipe_asks_for_a_float_type_that_some_processors_only_imitate(name):
    assert sm.RECIPES[name].protocol.precision in {"float32", "fastest"}


SUPERVISIONS = {name: made(name).supervisions for name in LOSSES}
FAMILIES = ["report", "convnet", "torchvision:squeezenet1_1"]


@pytest.mark.parametrize("curve", [True, False], ids=["curve", "no curve"])
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_under_every_recipe_and_supervision(loss, recipe, curve):
    head = "agreement" if sm.RECIPES[recipe].parts.head == "agreement" else "distance"
    for supervision in SUPERVISIONS[loss]:
        if supervision in HEAD_SUPERVISIONS[head]:
            testing.check_settings(
                Settings.resolve(
                    "siamese",
                    recipe=recipe,
                    **quick(recipe),
                    head=head,
                    loss=loss,
                    supervision=supervision,
                    curve=curve,
                )
            )


@pytest.mark.parametrize("recipe", ["report", "short"])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_loss_sees_the_test_images(loss, recipe):
    testing.check_blind(Settings.resolve("siamese", recipe=recipe, **quick(recipe), loss=loss))


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_trains_on_every_backbone_and_sees_no_test_image(variant, backbone, recipe):
    """A recipe that a variant cannot follow refuses it before anything is trained."""
    try:
        settings = Settings.resolve(
            variant, recipe=recipe, backbone=backbone, backbone_options=narrow(recipe, backbone)
        )
        testing.check_settings(settings)
    except sm.UsageError as error:
        assert re.search("cannot train on|does not fit|members must divide|compares 3 views", str(error))  # noqa: PT017
        return
    testing.check_blind(settings)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "siamese-agreement"])
@pytest.mark.parametrize("backbone", FAMILIES)
def test_every_design_and_backbone_trains_by_muon(variant, backbone):
    recipe = "alike" if sm.VARIANTS[variant].design != "stacked" else "report"
    settings = Settings.resolve(
        variant,
        recipe=recipe,
        backbone=backbone,
        backbone_options=narrow(recipe, backbone),
        backbone_learning_rate=1e-3,
        backbone_optimizer="muon",
    )
    testing.check_settings(settings)


@pytest.mark.parametrize("backbone", FAMILIES)
@pytest.mark.parametrize(
    ("design", "head"),
    [
        (design, head)
        for design in DESIGNS
        for head in BUILT_IN_HEADS
        if issubclass(sm.HEADS[head], sm.DESIGNS[design].head_base)
    ],
)
def test_every_head_works_in_every_design_that_takes_it(design, head, backbone):
    testing.check_parts(design=design, backbone=backbone, head=head, loss="contrastive" if needs_loss(head) else None)


@pytest.mark.parametrize(
    ("design", "head"),
    [
        (design, head)
        for design in DESIGNS
        for head in BUILT_IN_HEADS
        if issubclass(sm.HEADS[head], sm.DESIGNS[design].head_base)
    ],
)
def test_design_keeps_its_contract(design, head):
    testing.check_design(design, head=head, loss="contrastive" if needs_loss(head) else None)


@pytest.mark.parametrize("head", [name for name in BUILT_IN_HEADS if name not in LOSS_HEADS])
def test_heads_with_their_own_loss_train(head):
    design = "stacked" if issubclass(sm.HEADS[head], StackedHead) else "siamese"
    testing.check_parts(design=design, backbone="report", head=head)


def test_library_offers_what_it_says():
    assert len(LOSSES) >= 30
    assert len(BUILT_IN_HEADS) >= 6
    assert len(sm.MINERS) >= 5
    assert len(sm.BACKBONES) >= 3


MINED = [name for name in LOSSES if made(name).takes_miner]


@pytest.mark.parametrize("miner", sm.MINERS)
@pytest.mark.parametrize("name", MINED)
def test_every_mined_loss_trains(name, miner):
    for recipe in RECIPES:
        head = "agreement" if sm.RECIPES[recipe].parts.head == "agreement" else "distance"
        try:
            settings = Settings.resolve(
                "siamese",
                recipe=recipe,
                **quick(recipe, slants=False, views=1),  # which miners never see
                head=head,
                loss=name,
                miner=miner,
                supervision="labels",
            )
            testing.check_settings(settings)
        except sm.UsageError as error:
            assert "needs a loss with a Euclidean distance" in str(error)  # noqa: PT017
            return


@pytest.mark.parametrize("miner", sm.MINERS)
@pytest.mark.parametrize("name", MINED)
def test_every_miner_serves_every_loss_that_takes_one(name, miner):
    try:
        loss = sm.create_loss(name, {}, miner, {}, classes=10, embedding_dim=48)
    except sm.UsageError as error:
        assert "needs a loss with a Euclidean distance" in str(error)  # noqa: PT017
        return
    embeddings, labels = testing._features()
    with testing.torch.random.fork_rng():
        testing.torch.manual_seed(0)
        value = loss.of_labels(embeddings.requires_grad_(), labels)
    value.backward()
    assert value.isfinite()
    assert embeddings.grad.isfinite().all()
    assert loss.supervisions == ("labels",)


@pytest.mark.parametrize(
    ("name", "miner"),
    [("triplet", "batch-hard"), ("contrastive", "multi-similarity"), ("multi-similarity", "pair-margin")],
)
def test_mined_loss_is_the_librarys(name, miner):
    from pytorch_metric_learning import distances, losses, miners

    cosine = distances.CosineSimilarity()
    theirs, picker = {
        "triplet": (losses.TripletMarginLoss(), miners.BatchHardMiner()),
        "contrastive": (
            losses.ContrastiveLoss(neg_margin=0.5),
            miners.MultiSimilarityMiner(distance=distances.LpDistance()),
        ),
        "multi-similarity": (
            losses.MultiSimilarityLoss(),
            miners.PairMarginMiner(pos_margin=0.8, neg_margin=0.2, distance=cosine),
        ),
    }[name]
    images, labels = testing._images()
    embeddings = images.flatten(1)
    mined = sm.create_loss(name, {}, miner, {}, classes=10, embedding_dim=48).of_labels(embeddings, labels)
    plain = sm.create_loss(name, {}, None, {}, classes=10, embedding_dim=48).of_labels(embeddings, labels)
    testing.torch.testing.assert_close(mined, theirs(embeddings, labels, picker(embeddings, labels)))
    assert not testing.torch.isclose(mined, plain)


def test_miner_and_explicit_pairs_exclude_each_other(tmp_path):
    with pytest.raises(sm.UsageError, match="'contrastive with miner batch-hard' cannot train on pairs"):
        sm.run("siamese", loss="contrastive", miner="batch-hard", supervision="pairs", runs_dir=tmp_path)


def test_miner_that_could_not_work_is_refused():
    with pytest.raises(sm.UsageError, match="takes no miner"):
        sm.create_loss("arcface", {}, "batch-hard", {}, classes=10, embedding_dim=8)
    with pytest.raises(sm.UsageError, match="needs a loss with a Euclidean distance"):
        sm.create_loss("supcon", {}, "angular", {}, classes=10, embedding_dim=8)


def test_distance_that_does_not_fit_is_refused():
    with pytest.raises(sm.UsageError, match="cannot use distance 'euclidean'; use cosine"):
        sm.create_loss("arcface", {"distance": "euclidean"}, None, {}, classes=10, embedding_dim=8)


def test_unknown_torchvision_model_is_refused():
    with pytest.raises(sm.UsageError, match="no classification model 'resnet19'"):
        sm.create_backbone("torchvision:resnet19")
    with pytest.raises(UnknownPartError, match="torchvision"):
        sm.create_backbone("torchvison:resnet18")


def test_a_grouped_loss_gets_the_pairs_of_an_image_together():
    from siamese_mnist.runs.experiment import build_model
    from siamese_mnist.settings.settings import Settings
    from siamese_mnist.training.batches import PairBatches

    settings = Settings.resolve("siamese", loss="triplet", supervision="pairs", train_pairs=20_000, epochs=1)
    parts = {name: getattr(settings.parts, name) for name in settings.parts.__dataclass_fields__}
    model = build_model(design="siamese", **parts, image_size=(28, 28), classes=10).eval()
    train = sm.load_dataset("mnist-tenth").train
    data = train.select(slice(200))
    pairs = sm.draw_pairs(data.labels, 6400, same_fraction=0.3, generator=testing.torch.Generator().manual_seed(0))
    batches = PairBatches(model, data, pairs, settings.protocol, testing.torch.Generator().manual_seed(0))
    images = [len(pairs.left[rows].unique()) for _, rows, _ in batches]
    assert max(images) < 10  # shuffled, a batch of 64 pairs would hold about 55 first images


class Swapped(torch.nn.Module, sm.SharesPairs):
    """Says of pairs and of twins what the other image says."""

    def __init__(self, in_channels, image_size=(28, 28), *, wrong="pairs"):
        super().__init__()
        self.layer = torch.nn.Linear(in_channels * image_size[0] * image_size[1], 8)
        self.feature_dim = 8
        self.wrong = wrong

    def forward(self, x):
        return self.layer(x.flatten(1))

    def pair_features(self, images, left, right):
        if self.wrong == "pairs":
            left, right = right, left
        return self(torch.cat([images[left], images[right]], 1))

    def twin_features(self, images):
        return self(torch.cat([images, images.flip(0) if self.wrong == "twins" else images], 1))


@pytest.mark.parametrize("wrong", ["pairs", "twins"])
def test_a_backbone_that_shares_pairs_wrongly_is_found(wrong, monkeypatch):
    monkeypatch.setattr(sm.BACKBONES, "_parts", dict(sm.BACKBONES._parts))
    sm.BACKBONES.add("swapped", Swapped)
    with pytest.raises(AssertionError, match=f"{wrong[:-1]}_features are not those"):
        testing.check_backbone("swapped", wrong=wrong)
