"""The report's pair sampler as it is printed (Appendix B), for what can be said of it."""

import random
from collections.abc import Sequence
from typing import NamedTuple


class Printed(NamedTuple):
    """What one call of the printed sampler gave."""

    same_fraction: float  # share of genuine pairs, in [0, 1]
    reads_past_the_end: bool  # whether it looked up an image that is not there


def printed_sampler(labels: Sequence[int], count: int, seed: int) -> Printed:
    """Draws pairs with the report's loop: a coin is turned after every draw, also after one that was there already.

    The report draws rows from 0 to N, both included, of N images; a draw of row N, which stops its program, is noted
    and passed over here.

    Args:
        labels: (N,) class of every image.
        count: unique ordered pairs to draw; at most half of the rarer kind's, or the loop would take long.
        seed: of the draws.
    """
    rng = random.Random(seed)
    images, past_the_end, wants_same = len(labels), False, False
    pairs: set[tuple[int, int]] = set()
    while len(pairs) < count:
        left, right = rng.randint(0, images), rng.randint(0, images)
        if images in (left, right):
            past_the_end = True
            continue
        if (labels[left] == labels[right]) is wants_same:
            pairs.add((left, right))
            wants_same = not wants_same
    return Printed(sum(labels[left] == labels[right] for left, right in pairs) / count, past_the_end)
