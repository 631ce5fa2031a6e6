"""The pair samplers: unique pairs of image rows with an exact share of genuine pairs."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from siamese_mnist.errors import UsageError
from siamese_mnist.system.threads import threads

_EXCHANGES = 64  # rounds in which every impostor pair may change its partner; mixing takes a few
_TOGETHER = 1 << 16  # pairs that are computed at a time, by one thread, as several would wait for each other


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
    _check_request(count, same_fraction)
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
    left, right = (torch.empty(count, dtype=torch.int32) for _ in range(2))  # of rows, which are fewer than 2**31
    with threads(1):
        genuine.draw(order, left[:same_count], right[:same_count], generator)
        impostor.draw(order, left[same_count:], right[same_count:], generator)
    if not mirrored:
        flip = torch.rand(count, generator=generator) < 0.5
        left, right = torch.where(flip, right, left), torch.where(flip, left, right)
    shuffle = torch.randperm(count, generator=generator)
    with threads(1):
        left = _shuffled(left, shuffle)
        right = _shuffled(right, shuffle)
    return Pairs(left, right, shuffle < same_count)


def largest_count(labels: Tensor, same_fraction: float = 0.5, *, self_pairs: bool = True, mirrored: bool = True) -> int:
    """Largest number of pairs that `draw_pairs` can draw from the images of these labels (N,)."""
    sizes = labels.unique(return_counts=True)[1]
    genuine = _GenuineSpace(sizes, self_pairs=self_pairs, mirrored=mirrored)
    return _largest_count(genuine.total, _ImpostorSpace(sizes, mirrored=mirrored).total, same_fraction)


def draw_disjoint_pairs(labels: Tensor, count: int, *, same_fraction: float = 0.5, generator: torch.Generator) -> Pairs:
    """Draws pairs of which no two share an image, so that their scores are independent.

    Exactly `round(count * same_fraction)` pairs are genuine, drawn at random; impostor pairs are mixed by random
    exchanges of partners. Only classes too uneven for the request are made to give more genuine pairs, or fewer images.

    Args:
        labels: (N,) int64 class of every image.
        count: number of pairs, >= 0.
        same_fraction: share of genuine pairs, in [0, 1].
        generator: source of randomness.

    Returns:
        Pairs in random order.

    Raises:
        PairsError: if an argument is out of range or so many pairs do not fit; the message then gives the largest
            possible count.
    """
    _check_request(count, same_fraction)
    classes, sizes = labels.unique(return_inverse=True, return_counts=True)[1:]
    same_count = round(count * same_fraction)
    if not _disjoint_fit(sizes, same_count, count - same_count):
        raise PairsError(
            f"{count} pairs with a same fraction of {same_fraction:g} and no image in two of them do not fit among "
            f"{len(labels)} images; the largest possible count is {largest_disjoint_count(labels, same_fraction)}"
        )
    different_count = count - same_count
    shuffled = torch.randperm(len(labels), generator=generator)
    order = shuffled[classes[shuffled].argsort(stable=True)]  # by class, in random order within each
    group = classes[order]
    rank = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[group]

    # Images 2i and 2i + 1 of a class can be a genuine pair.
    candidate = (rank % 2 == 0) & (rank + 1 < sizes[group])
    first = candidate.nonzero().flatten()
    needed = _genuine_needed(sizes, same_count, different_count)
    chosen = first[_choose(rank[first] // 2 < needed[group[first]], same_count, generator)]
    genuine = order[chosen], order[chosen + 1]

    free = torch.ones(len(order), dtype=torch.bool)
    free[chosen] = free[chosen + 1] = False
    rest, group = order[free], group[free]
    kept = torch.zeros(len(rest), dtype=torch.bool)
    kept[torch.randperm(len(rest), generator=generator)[: 2 * different_count]] = True
    if different_count and int(group[kept].bincount().max()) > different_count:
        # More than half are of one class: as many as do not fit make way for images of the others.
        large = group == group[kept].bincount().argmax()
        surplus = (kept & large).nonzero().flatten()[different_count:]
        spare = (~kept & ~large).nonzero().flatten()
        kept[surplus] = False
        kept[spare[torch.randperm(len(spare), generator=generator)[: len(surplus)]]] = True
    impostor = _mixed(rest[kept], group[kept], generator)

    left, right = (torch.cat(side) for side in zip(genuine, impostor, strict=True))
    flip = torch.rand(count, generator=generator) < 0.5
    left, right = torch.where(flip, right, left), torch.where(flip, left, right)
    shuffle = torch.randperm(count, generator=generator)
    return Pairs(left[shuffle], right[shuffle], shuffle < same_count)


def largest_disjoint_count(labels: Tensor, same_fraction: float = 0.5) -> int:
    """Largest number of pairs that `draw_disjoint_pairs` can draw from the images of these labels (N,)."""
    sizes = labels.unique(return_counts=True)[1]

    def fits(count: int) -> bool:
        same_count = round(count * same_fraction)
        return _disjoint_fit(sizes, same_count, count - same_count)

    return _largest(len(labels) // 2, fits)


def _check_request(count: int, same_fraction: float) -> None:
    if not 0 <= same_fraction <= 1:
        raise PairsError(f"same_fraction must lie in [0, 1], got {same_fraction}")
    if count < 0:
        raise PairsError(f"the number of pairs must be >= 0, got {count}")


def _genuine_needed(sizes: Tensor, same: int, different: int) -> Tensor:
    """Genuine pairs (K,) that each class must have at least, so that `different` impostor pairs fit what is left.

    Impostor pairs fit if twice as many images are left, and `different` of them outside each class.
    """
    outside_and_own = int(sizes.sum()) - 2 * same - different  # most images a class may have left
    return ((sizes - outside_and_own + 1) // 2).clamp(min=0)


def _disjoint_fit(sizes: Tensor, same: int, different: int) -> bool:
    needed = _genuine_needed(sizes, same, different)
    enough = 2 * (same + different) <= int(sizes.sum()) and same <= int((sizes // 2).sum())
    return enough and bool((needed <= sizes // 2).all()) and int(needed.sum()) <= same


def _choose(forced: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices (count,) of all forced members (N,) and, at random, as many others as are missing."""
    key = torch.rand(len(forced), generator=generator)
    key[forced] = -1
    return key.argsort()[:count]


def _mixed(rows: Tensor, group: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pairs rows (2D,), sorted by class with at most D of one class, into D impostor pairs at random.

    Row i and row i + D are of two classes. From there, pairs exchange partners two by two wherever both new pairs are
    impostor ones; every such matching can exchange its way to many others, and each exchange is as likely as its
    reverse.
    """
    count = len(rows) // 2
    ends = torch.arange(2 * count).view(2, count)
    for _ in range(_EXCHANGES):
        flip = torch.rand(count, generator=generator) < 0.5
        ends = torch.where(flip, ends.flip(0), ends)
        one, other = torch.randperm(count, generator=generator)[: count // 2 * 2].view(2, -1)
        a, b, c, d = ends[0, one], ends[1, one], ends[0, other], ends[1, other]
        allowed = (group[a] != group[d]) & (group[c] != group[b])
        ends[1, one], ends[1, other] = torch.where(allowed, d, b), torch.where(allowed, b, d)
    return rows[ends[0]], rows[ends[1]]


def pairs_digest(pairs: Pairs) -> str:
    """SHA-256 of the pairs, the same on every platform: hex string of 64 characters.

    Example:
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> pairs = draw_pairs(labels, 4, generator=torch.Generator().manual_seed(0))
        >>> int(pairs.same.sum())
        2
        >>> len(pairs_digest(pairs))
        64
    """
    digest = hashlib.sha256()
    for column, kind in zip(pairs, ("<i8", "<i8", "u1"), strict=True):
        digest.update(np.ascontiguousarray(column.numpy(), dtype=kind).data)  # not copied where it is like that
    return digest.hexdigest()


class _Space(ABC):
    """Numbers all pairs of one kind 0 .. total - 1, class by class; rows count images sorted by class."""

    def __init__(self, sizes: Tensor, pairs_of_class: Tensor) -> None:
        self.sizes = sizes
        self.class_start = sizes.cumsum(0) - sizes
        self.pair_end = pairs_of_class.cumsum(0)
        self.pair_start = self.pair_end - pairs_of_class
        self.total = int(pairs_of_class.sum())

    def draw(self, order: Tensor, left: Tensor, right: Tensor, generator: torch.Generator) -> None:
        """Fills both sides (P,) with images of different pairs; `order` (N,) is the images sorted by class."""
        pieces = zip(*(each.split(_TOGETHER) for each in (left, right)), strict=True)
        for index, sides in zip(_sample_range(self.total, len(left), generator).split(_TOGETHER), pieces, strict=True):
            for side, rows in zip(sides, self.decode(index), strict=True):
                side.copy_(order[rows])

    @abstractmethod
    def decode(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of both images of pairs with these numbers (P,)."""

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
        found = torch.cat([found, fresh]) if len(found) else fresh
        del fresh
        found.numpy().sort()  # in place; PyTorch's makes as many indices, too
        found = found.unique_consecutive()
    return found[torch.randperm(len(found), generator=generator)[:count]]


def _shuffled(values: Tensor, order: Tensor) -> Tensor:
    """Values (P,) int32 in an order (P,), as int64, without a copy in between."""
    found = torch.empty_like(order)
    for part, rows in zip(found.split(_TOGETHER), order.split(_TOGETHER), strict=True):
        part.copy_(values[rows])
    return found


def _largest_count(genuine: int, impostor: int, same_fraction: float) -> int:
    """Largest count whose genuine and impostor parts both exist."""

    def exists(count: int) -> bool:
        same = round(count * same_fraction)
        return same <= genuine and count - same <= impostor

    return _largest(genuine + impostor, exists)


def _largest(limit: int, possible: Callable[[int], bool]) -> int:
    """Largest count in [0, limit] that is possible; smaller counts than a possible one are possible too."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if possible(middle) else (low, middle - 1)
    return low
