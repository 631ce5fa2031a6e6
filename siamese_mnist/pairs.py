"""The one pair sampler: unique pairs of image rows with an exact share of genuine pairs."""

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from siamese_mnist.errors import UsageError


class Pairs(NamedTuple):
    """Ordered pairs of rows of one image set."""

    left: Tensor  # (P,) int64, row of the image set
    right: Tensor  # (P,) int64
    same: Tensor  # (P,) bool, True = genuine: both images are of one class


class PairsError(UsageError):
    """A request for pairs that cannot be met; the message says what is possible."""


def draw_pairs(
    labels: Tensor,
    count: int,
    *,
    same_fraction: float = 0.5,
    generator: torch.Generator,
    self_pairs: bool = True,
    mirrored: bool = True,
) -> Pairs:
    """Draws unique ordered pairs, every possible one equally likely within genuine and within impostor pairs.

    Exactly `round(count * same_fraction)` pairs are genuine. Memory grows with `count` and with the number of images,
    never with its square. The report's protocol is the default: an image may meet itself, and (a, b) and (b, a) are
    two pairs (report, Appendix B).

    Args:
        labels: (N,) int64 class of every image.
        count: number of pairs, >= 0.
        same_fraction: share of genuine pairs, in [0, 1].
        generator: source of randomness.
        self_pairs: whether an image may be paired with itself.
        mirrored: whether (b, a) may be drawn beside (a, b). Without, each pair's order is a coin flip.

    Returns:
        Pairs in random order.

    Raises:
        PairsError: if an argument is out of range or so many unique pairs do not exist; the message then gives the
            largest possible count.
    """
    if not 0 <= same_fraction <= 1:
        raise PairsError(f"same_fraction must lie in [0, 1], got {same_fraction}")
    if count < 0:
        raise PairsError(f"the number of pairs must be >= 0, got {count}")
    order = labels.argsort(stable=True)
    sizes = labels.unique(return_counts=True)[1]
    genuine = _GenuineSpace(sizes, self_pairs=self_pairs, mirrored=mirrored)
    impostor = _ImpostorSpace(sizes, mirrored=mirrored)
    same_count = round(count * same_fraction)
    if same_count > genuine.total or count - same_count > impostor.total:
        raise PairsError(
            f"{count} unique pairs with a same fraction of {same_fraction:g} do not exist among {len(labels)} images; "
            f"the largest possible count is {_largest_count(genuine.total, impostor.total, same_fraction)}"
        )
    drawn = [
        space.decode(_sample_range(space.total, number, generator))
        for space, number in ((genuine, same_count), (impostor, count - same_count))
    ]
    left, right = (torch.cat(side) for side in zip(*drawn, strict=True))
    if not mirrored:
        flip = torch.rand(count, generator=generator) < 0.5
        left, right = torch.where(flip, right, left), torch.where(flip, left, right)
    shuffle = torch.randperm(count, generator=generator)
    return Pairs(order[left[shuffle]], order[right[shuffle]], shuffle < same_count)


def pairs_digest(pairs: Pairs) -> str:
    """SHA-256 of the pairs, the same on every platform: hex string of 64 characters."""
    digest = hashlib.sha256()
    digest.update(pairs.left.numpy().astype("<i8").tobytes())
    digest.update(pairs.right.numpy().astype("<i8").tobytes())
    digest.update(pairs.same.numpy().astype("u1").tobytes())
    return digest.hexdigest()


class _Space:
    """Numbers all pairs of one kind 0 .. total - 1, class by class; rows count images sorted by class."""

    def __init__(self, sizes: Tensor, pairs_of_class: Tensor) -> None:
        self.sizes = sizes
        self.class_start = sizes.cumsum(0) - sizes
        self.pair_end = pairs_of_class.cumsum(0)
        self.pair_start = self.pair_end - pairs_of_class
        self.total = int(pairs_of_class.sum())

    def locate(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Class, its size, its first row, and the pair's number within the class."""
        group = torch.searchsorted(self.pair_end, index, right=True)
        return group, self.sizes[group], self.class_start[group], index - self.pair_start[group]


class _GenuineSpace(_Space):
    """Pair (i, i + d mod n) of a class of n images is number `(d - first) * n + i`.

    Unordered pairs are the circular distances d <= n / 2, of which the last has only n / 2 pairs when n is even; being
    numbered last, its surplus is cut off by the total.
    """

    def __init__(self, sizes: Tensor, *, self_pairs: bool, mirrored: bool) -> None:
        self.first = 0 if self_pairs else 1
        distinct = sizes * (sizes - 1)
        super().__init__(sizes, (distinct if mirrored else distinct // 2) + (sizes if self_pairs else 0))

    def decode(self, index: Tensor) -> tuple[Tensor, Tensor]:
        _, size, start, number = self.locate(index)
        row = number % size
        return start + row, start + (row + number // size + self.first) % size


class _ImpostorSpace(_Space):
    """Row i of a class meets the rows of all other classes, or only of the later ones where pairs are unordered."""

    def __init__(self, sizes: Tensor, *, mirrored: bool) -> None:
        self.mirrored = mirrored
        self.images = int(sizes.sum())
        self.partners = self.images - (sizes if mirrored else sizes.cumsum(0))
        super().__init__(sizes, sizes * self.partners)

    def decode(self, index: Tensor) -> tuple[Tensor, Tensor]:
        group, size, start, number = self.locate(index)
        partners = self.partners[group]
        partner = number % partners
        # Partners skip the class's own rows; without mirrored pairs, all rows before them too.
        partner = partner + (size * (partner >= start) if self.mirrored else start + size)
        return start + number // partners, partner


def _sample_range(total: int, count: int, generator: torch.Generator) -> Tensor:
    """`count` different integers out of 0 .. total - 1, every subset equally likely: (count,) int64."""
    if total <= 4 * count:
        return torch.randperm(total, generator=generator)[:count]
    found = torch.empty(0, dtype=torch.int64)
    while len(found) < count:
        missing = count - len(found)
        fresh = torch.randint(total, (missing + missing // 4 + 16,), generator=generator)
        found = torch.cat([found, fresh]).sort().values.unique_consecutive()  # far faster than unique()
    return found[torch.randperm(len(found), generator=generator)[:count]]


def _largest_count(genuine: int, impostor: int, same_fraction: float) -> int:
    """Largest count whose genuine and impostor parts both exist; found by bisection, as both parts grow with it."""
    low, high = 0, genuine + impostor
    while low < high:
        middle = (low + high + 1) // 2
        same = round(middle * same_fraction)
        low, high = (middle, high) if same <= genuine and middle - same <= impostor else (low, middle - 1)
    return low
