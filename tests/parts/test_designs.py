"""How two images meet a backbone and a head, in every design."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import nn

from siamese_mnist import HEADS, Pairs, UsageError, draw_pairs
from siamese_mnist.parts.designs import DESIGNS, build_model, to_unit
from siamese_mnist.parts.designs.stacked import Stacked
from siamese_mnist.parts.heads import StackedHead

SYMMETRIC = [name for name in ("distance", "comparison", "agreement") if name in HEADS]


def build(design, head, **changes):
    given = {
        "design": design,
        "backbone": "report",
        "backbone_options": {},
        "head": head,
        "head_options": {},
        "loss": "contrastive" if head == "distance" else None,
        "loss_options": {},
        "miner": None,
        "miner_options": {},
        "image_size": (28, 28),
        "classes": 10,
    }
    torch.manual_seed(0)
    return build_model(**given | changes).eval()


@pytest.fixture(scope="module")
def images(small):
    return to_unit(small.test.images)


@pytest.fixture
def pairs(small, generator):
    return draw_pairs(small.test.labels, 400, generator=generator)


def test_to_unit():
    unit = to_unit(torch.tensor([[[0, 51, 255]]], dtype=torch.uint8))
    assert unit.shape == (1, 1, 1, 3)
    torch.testing.assert_close(unit.flatten(), torch.tensor([0.0, 0.2, 1.0]))


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_higher_means_more_alike(trained, images, pairs, variant):
    scores = trained[variant].score_pairs(images, pairs.left, pairs.right)
    assert scores.shape == (400,)
    assert scores.dtype == torch.float32
    assert roc_auc_score(pairs.same, scores) > 0.6


def test_an_image_is_most_like_itself(trained, images):
    rows = torch.arange(20)
    itself = trained["siamese"].score_pairs(images, rows, rows)
    others = trained["siamese"].score_pairs(images, rows, rows + 20)
    assert (itself.min() >= others).all()


@pytest.mark.parametrize("head", SYMMETRIC)
def test_siamese_heads_are_exactly_symmetric(images, pairs, head):
    model = build("siamese", head)
    scores = model.score_pairs(images, pairs.left, pairs.right)
    assert torch.equal(model.score_pairs(images, pairs.right, pairs.left), scores)
    assert scores.std() > 0


def test_a_trained_siamese_model_is_exactly_symmetric(trained, images, pairs):
    model = trained["siamese"]
    assert torch.equal(
        model.score_pairs(images, pairs.left, pairs.right), model.score_pairs(images, pairs.right, pairs.left)
    )


def test_stacked_model_is_not_symmetric(trained, images, pairs):
    model = trained["baseline"]
    apart = pairs.left != pairs.right
    difference = model.score_pairs(images, pairs.left, pairs.right) - model.score_pairs(images, pairs.right, pairs.left)
    assert (difference[apart].abs() > 1e-3).float().mean() > 0.9
    assert difference[~apart].abs().max() < 1e-5


def test_scores_averaged_over_both_orders_are_symmetric(trained, images, pairs):
    averaged = build("stacked", "symmetric-classifier")
    averaged.load_state_dict(trained["baseline"].state_dict())
    one, other = (trained["baseline"].score_pairs(images, *each) for each in (pairs[:2], pairs[1::-1]))
    scores = averaged.score_pairs(images, pairs.left, pairs.right)
    assert torch.equal(averaged.score_pairs(images, pairs.right, pairs.left), scores)
    torch.testing.assert_close(scores, (one + other) / 2, rtol=1e-4, atol=1e-4)


def test_stacked_scores_by_hand(trained, images, pairs):
    """Two channels, left first; the score is the log-odds of class 1."""
    model = trained["baseline"]
    with torch.no_grad():
        logits = model.head(model.backbone(torch.cat([images[pairs.left], images[pairs.right]], 1)))
    probability = F.softmax(logits.double(), 1)[:, 1]
    scores = model.score_pairs(images, pairs.left, pairs.right).double()
    torch.testing.assert_close(scores, torch.logit(probability), rtol=1e-3, atol=1e-3)


def test_siamese_scores_by_hand(trained, images, pairs):
    """The negative Euclidean distance of the two normalised embeddings."""
    model = trained["siamese"]
    with torch.no_grad():
        left, right = (F.normalize(model.head.embed(model.backbone(images[rows]))) for rows in pairs[:2])
    expected = -(left.double() - right.double()).norm(dim=1)
    scores = model.score_pairs(images, pairs.left, pairs.right).double()
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-4)


def test_many_pairs_are_scored_like_few(trained, images, generator):
    model = trained["siamese"]
    left, right = torch.randint(300, (2, 20_000), generator=generator)
    scores = model.score_pairs(images, left, right)
    assert scores.shape == (20_000,)
    torch.testing.assert_close(scores[-50:], model.score_pairs(images, left[-50:], right[-50:]))


@pytest.mark.parametrize("variant", ["baseline", "siamese"])
def test_bank_rows_are_live_features(trained, images, pairs, variant):
    model = trained[variant]
    rows = torch.tensor([5, 399, 0, 5])
    kept = model.bank_rows(model.feature_bank(images, pairs), pairs, rows)
    with torch.no_grad():
        live = model.pair_features(images[pairs.left[rows]], images[pairs.right[rows]])
    torch.testing.assert_close(kept, live, rtol=1e-5, atol=1e-5)


class Flattened(nn.Module):
    """A backbone without a shortcut for pairs."""

    feature_dim = 2 * 28 * 28

    def forward(self, x):
        return x.flatten(1)


def test_bank_of_a_plain_backbone(images, generator):
    model = Stacked(Flattened(), HEADS.make("classifier", {}, feature_dim=Flattened.feature_dim))
    left, right = torch.randint(300, (2, 1100), generator=generator)
    pairs = Pairs(left, right, left == right)
    bank = model.feature_bank(images, pairs)
    assert torch.equal(bank, torch.cat([images[left].flatten(1), images[right].flatten(1)], 1))


def test_class_1_is_same(trained):
    """A pair that the head holds for same costs little if it is same, and much if not."""
    model = trained["baseline"]
    features = torch.randn(64, 1536, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model.head(features)
        sure = logits[:, 1] - logits[:, 0]
        anchors = torch.arange(64)
        loss, scores = model.pair_loss(features, sure > 0, anchors)
        opposite, _ = model.pair_loss(features, sure <= 0, anchors)
    torch.testing.assert_close(scores, sure)
    torch.testing.assert_close(loss, F.softplus(-sure.abs()).mean())
    torch.testing.assert_close(opposite, F.softplus(sure.abs()).mean())


@pytest.mark.parametrize(
    ("design", "head", "message"),
    [
        ("siamese", "classifier", "head 'classifier' does not fit design 'siamese'; use .*distance"),
        ("stacked", "distance", "head 'distance' does not fit design 'stacked'; use .*classifier"),
    ],
)
def test_head_of_the_other_design_is_refused(design, head, message):
    with pytest.raises(UsageError, match=message):
        build(design, head)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "distanse"}, "unknown head 'distanse'; did you mean 'distance'"),
        ({"backbone": "reports"}, "unknown backbone 'reports'; did you mean 'report'"),
        ({"loss": "contrast"}, "unknown loss 'contrast'"),
        ({"loss": None}, "needs a loss; name one with --loss"),
        ({"head_options": {"embeding_dim": 3}}, "head 'distance' has no option 'embeding_dim'; did you mean"),
        ({"head_options": {"embedding_dim": 0}}, "embedding_dim"),
        ({"loss_options": {"neg_margn": 1}}, "'neg_margn'; did you mean 'neg_margin'"),
        ({"backbone_options": {"blocks": 9}}, r"blocks must lie in 1\.\.4, got 9"),
    ],
)
def test_bad_part(changes, message):
    with pytest.raises(UsageError, match=message):
        build(**{"design": "siamese", "head": "distance", **changes})


@pytest.mark.parametrize(
    ("design", "head"), [("stacked", "classifier"), ("siamese", "comparison")], ids=["stacked", "siamese"]
)
def test_a_loss_that_would_have_no_effect_is_refused(design, head):
    with pytest.raises(UsageError, match=f"head '{head}' trains with its own loss; leave out loss 'contrastive'"):
        build(design, head, loss="contrastive")


FIRST_HEADS = {
    name: "classifier" if kind.value.head_base is StackedHead else "distance"
    for name, kind in ((part.name, part) for part in DESIGNS.parts())
    if kind.origin == "built in"
}
SYMMETRIC_DESIGNS = ["siamese", "central-surround", "cross-attention"]


@pytest.fixture(scope="module", params=sorted(FIRST_HEADS))
def model(request):
    return build(request.param, FIRST_HEADS[request.param], backbone="convnet", backbone_options={"width": 4})


def test_scores_are_what_the_design_says(model, images, pairs):
    """Every shortcut to the scores of many pairs gives what the plain pass of each pair gives."""
    left, right = pairs.left[:60], pairs.right[:60]
    with torch.no_grad():
        plain = model(images[left], images[right])
    assert plain.std() > 0
    torch.testing.assert_close(model.score_pairs(images, left, right), plain, rtol=1e-4, atol=1e-5)
    features = model.bank_rows(model.feature_bank(images, pairs), pairs, torch.arange(60))
    with torch.no_grad():
        torch.testing.assert_close(model.score_features(features), plain, rtol=1e-4, atol=1e-5)


def test_matrix_is_every_pair(model, small):
    left, right = small.test.images[:7], small.test.images[3:12]
    matrix = model.score_matrix(left, right)
    assert matrix.shape == (7, 9)
    with torch.no_grad():
        for column in range(9):
            plain = model(to_unit(left), to_unit(right[column].expand_as(left)))
            torch.testing.assert_close(matrix[:, column], plain, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("design", sorted(FIRST_HEADS))
def test_symmetric_designs_are_exactly_symmetric(images, pairs, design):
    model = build(design, FIRST_HEADS[design])
    there, back = (model.score_pairs(images, *sides) for sides in (pairs[:2], pairs[1::-1]))
    assert torch.equal(there, back) is (design in SYMMETRIC_DESIGNS)


def test_branches_of_a_pseudo_siamese_network_share_nothing():
    model = build("pseudo-siamese", "distance")
    left, right = (dict(side.named_parameters()) for side in model.backbone.sides)
    assert left.keys() == right.keys()
    assert all(left[name] is not right[name] for name in left)
    assert sum(each.numel() for each in model.backbone.parameters()) == 2 * sum(
        each.numel() for each in build("siamese", "distance").backbone.parameters()
    )


def test_streams_see_the_middle_and_the_whole(images):
    model = build("central-surround", "distance")
    edge = images[:4].clone()
    edge[:, :, :7] = edge[:, :, 21:] = edge[:, :, :, :7] = edge[:, :, :, 21:] = 0.5
    with torch.no_grad():
        plain, changed = model.backbone(images[:4]), model.backbone(edge)
    half = model.feature_dim // 2
    assert torch.equal(plain[:, :half], changed[:, :half])
    assert not torch.equal(plain[:, half:], changed[:, half:])
    whole = F.interpolate(images[:4], scale_factor=0.5, mode="area")
    with torch.no_grad():
        torch.testing.assert_close(plain[:, half:], model.backbone.surround(whole))


def test_a_backbone_without_places_has_one():
    model = build("cross-attention", "classifier", backbone="torchvision:squeezenet1_1")
    assert (model.backbone.count, model.backbone.width) == (1, 512)
    assert build("cross-attention", "classifier").backbone.count == 64


def test_attention_finds_a_moved_part(generator):
    """What one place holds is found wherever it is in the other image: moving it changes less than taking it away."""
    from siamese_mnist.parts.designs.attention import CrossAttention

    torch.manual_seed(0)
    attention = CrossAttention(16, 8)
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(64) * 8)
        attention.key.weight.copy_(torch.eye(64))
    one = torch.zeros(1, 16, 8)
    one[0, 3] = torch.randn(8, generator=generator) * 3
    moved, gone = one.roll(5, 1), torch.zeros_like(one)
    with torch.no_grad():
        same, far, none = attention(one, one), attention(one, moved), attention(one, gone)
    assert (same - far).norm() < 0.5 * (same - none).norm()


def test_two_streams_keep_the_views_together(small):
    """The features of one view are those that both streams have of it."""
    model = build("central-surround", "distance", backbone="convnet", backbone_options={"width": 4, "slants": True})
    trunk = model.backbone.eval()
    images = small.test.images[:3].float() / 255
    with torch.no_grad():
        trunk.keep_apart()
        streams = []
        for stream in (trunk.central, trunk.surround):
            stream.register_forward_hook(lambda *given: streams.append(given[2].chunk(3, 1)))
        views = trunk(images).chunk(3, 1)
    assert trunk.feature_dim == sum(each.shape[1] for each in views)
    for number, view in enumerate(views):
        assert torch.equal(view, torch.cat([stream[number] for stream in streams], 1))


@pytest.mark.parametrize("design", ["siamese", "pseudo-siamese", "central-surround"])
def test_views_are_compared_by_every_design_that_sees_an_image_alone(design, small):
    options = {"backbone_options": {"width": 4, "slants": True}, "head_options": {"views": 3, "embedding_dim": 5}}
    model = build(design, "distance", backbone="convnet", **options)
    left, right = (small.test.images[some].float() / 255 for some in (slice(4), slice(4, 8)))
    one, other = (model.head.embed(model.side_features(each, side)) for side, each in enumerate((left, right)))
    assert one.shape == (4, 15)
    views = [[-F.pairwise_distance(F.normalize(a), F.normalize(b)) for b in other.chunk(3, 1)] for a in one.chunk(3, 1)]
    scores = torch.stack([torch.stack(row) for row in views])
    torch.testing.assert_close(model(left, right), (scores.amax(0).mean(0) + scores.amax(1).mean(0)) / 2)


@pytest.mark.parametrize(("options", "views"), [({}, 1), ({"slants": True}, 3)])
def test_views_that_a_backbone_does_not_keep_apart_are_refused(options, views):
    given = 2 if views == 3 else 3
    with pytest.raises(UsageError, match=f"compares {given} views of an image, but backbone 'convnet' keeps {views} "):
        build("siamese", "distance", backbone="convnet", backbone_options=options, head_options={"views": given})
