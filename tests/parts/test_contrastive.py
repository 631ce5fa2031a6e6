"""The contrastive loss of explicit pairs, beside pytorch-metric-learning's and beside differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning import losses
from torch import Tensor

from siamese_mnist.parts.losses import LOSSES
from siamese_mnist.parts.losses.contrastive import contrastive


def by_the_library(left: Tensor, right: Tensor, same: Tensor, **margins: float) -> Tensor:
    row = torch.arange(len(same))
    other = row + len(row)
    pairs = row[same], other[same], row[~same], other[~same]
    return losses.ContrastiveLoss(**margins)(torch.cat([left, right]), indices_tuple=pairs)


def embeddings(pairs: int, length: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    left, other = torch.randn(2, pairs, length, generator=generator, dtype=torch.float64)
    return left, 0.7 * left + 0.5 * other, torch.rand(pairs, generator=generator) < 0.5


@settings(deadline=None, derandomize=True)
@given(
    pairs=st.integers(4, 80),
    length=st.integers(2, 64),
    seed=st.integers(0, 1000),
    pos_margin=st.sampled_from([0.0, 0.2]),
    neg_margin=st.sampled_from([0.5, 1.0]),
)
def test_it_is_the_loss_of_the_library_and_so_is_its_gradient(
    pairs: int, length: int, seed: int, pos_margin: float, neg_margin: float
) -> None:
    left, right, same = embeddings(pairs, length, seed)
    same[:2], same[2:4] = True, False  # of two pairs of a kind the library takes no notice
    found = []
    for loss in (contrastive, by_the_library):
        sides = left.clone().requires_grad_(), right.clone().requires_grad_()
        value = loss(*sides, same, pos_margin=pos_margin, neg_margin=neg_margin)
        found.append((value.detach(), *torch.autograd.grad(value, sides)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_a_batch_of_the_report_has_the_gradients_of_the_library_in_float32() -> None:
    """On most processors to the bit."""
    left, right, same = embeddings(64, 64, seed=0)
    sides = [each.float().requires_grad_() for each in (left, right)]
    ours, theirs = (
        torch.autograd.grad(loss(*sides, same, neg_margin=0.5), sides) for loss in (contrastive, by_the_library)
    )
    for each in zip(ours, theirs, strict=True):
        torch.testing.assert_close(*each, rtol=1e-4, atol=1e-7)


def test_its_gradient_is_the_slope_of_its_value() -> None:
    left, right, same = embeddings(6, 5, seed=1)
    sides = left.requires_grad_(), right.requires_grad_()
    assert torch.autograd.gradcheck(lambda one, other: contrastive(one, other, same, pos_margin=0.1), sides)


@pytest.mark.parametrize("is_same", [True, False])
def test_one_pair_costs_what_it_should(is_same: bool) -> None:
    left, right = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    distance = 0.8**0.5 * 2**0.5 * 0.5**0.5  # of (1, 0) and (0.6, 0.8)
    expected = distance if is_same else 1 - distance
    assert contrastive(left, right, torch.tensor([is_same])).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("is_same", [True, False])
def test_equal_and_empty_embeddings_have_finite_gradients(is_same: bool) -> None:
    left = torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    contrastive(left, left.detach().clone(), torch.tensor([is_same, is_same])).backward()
    assert left.grad is not None
    assert left.grad.isfinite().all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_embeddings_that_are_not_finite_cost_no_finite_loss(value: float) -> None:
    left, right, same = embeddings(8, 4, seed=3)
    left[2, 1] = value
    assert not contrastive(left, right, same).isfinite()


@pytest.mark.parametrize(("distance", "written_out"), [("euclidean", True), ("cosine", False)])
def test_the_loss_that_is_offered_uses_it_for_distances(distance: str, written_out: bool) -> None:
    loss = LOSSES["contrastive"](classes=10, embedding_dim=8, distance=distance)
    assert (loss.written_out is not None) == written_out  # type: ignore[attr-defined]
    left, right, same = embeddings(40, 8, seed=2)
    row = torch.arange(40)
    pairs = row[same], row[same] + 40, row[~same], row[~same] + 40
    expected = loss.loss(torch.cat([left, right]), indices_tuple=pairs)  # type: ignore[attr-defined, operator]
    torch.testing.assert_close(loss.of_pairs(left, right, same, row), expected)
