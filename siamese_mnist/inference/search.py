"""The nearest of very many examples: exactly, block by block in bounded memory, or through an index of faiss."""

from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor

from siamese_mnist.errors import UsageError
from siamese_mnist.inference.verifier import Verifier

_QUERIES, _EXAMPLES = 512, 8192  # scored at a time
_LISTS_PER_ROOT = 4  # inverted lists for each square root of the number of examples
_PROBED = 64  # lists that are looked into
_CANDIDATES = 256  # examples that the index proposes, to be scored by the model
_TOGETHER = 64  # queries whose candidates are scored at a time


class Nearest(NamedTuple):
    """What a search finds for Q queries.

    Attributes:
        rows: (Q, k) int64, rows of the examples with the highest scores, the highest first; -1 where there are fewer.
        scores: (Q, k) float32, -inf where there are fewer.
        evidence: (Q,) float32, logarithm of the sum over all examples seen of weight times likelihood ratio.
    """

    rows: Tensor
    scores: Tensor
    evidence: Tensor


class Examples(NamedTuple):
    """What is searched.

    Attributes:
        kept: N examples, as from `Verifier.prepare`.
        owners: (N,) int64, number of the name of each.
        log_weights: (N,) float32, logarithm of the weight of each as evidence.
    """

    kept: Tensor
    owners: Tensor
    log_weights: Tensor


def exact(
    verifier: Verifier, queries: Tensor, examples: Examples, count: int, *, without: Tensor | None = None
) -> Nearest:
    """Scores every example, in memory that does not grow with their number.

    Args:
        verifier: what scores.
        queries: Q images, as from `Verifier.prepare`.
        examples: what is searched.
        count: k, examples to find.
        without: (Q,) int64, the owner whose examples do not count for each query.
    """
    parts = [
        _exact(verifier, some, examples, count, None if without is None else without[start : start + _QUERIES])
        for start, some in zip(range(0, len(queries), _QUERIES), queries.split(_QUERIES), strict=True)
    ]
    return Nearest(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _exact(verifier: Verifier, queries: Tensor, examples: Examples, count: int, without: Tensor | None) -> Nearest:
    best = _nothing(len(queries), count)
    for start, kept in zip(range(0, len(examples.kept), _EXAMPLES), examples.kept.split(_EXAMPLES), strict=True):
        chosen = slice(start, start + len(kept))
        scores = verifier.score_prepared(queries, kept)
        if without is not None:
            scores.masked_fill_(examples.owners[chosen] == without[:, None], -torch.inf)
        best = _merged(verifier, best, scores, examples.log_weights[chosen], start)
    return best


def _nothing(queries: int, count: int) -> Nearest:
    return Nearest(
        torch.full((queries, count), -1),
        torch.full((queries, count), -torch.inf),
        torch.full((queries,), -torch.inf),
    )


def _merged(verifier: Verifier, best: Nearest, scores: Tensor, log_weights: Tensor, start: int) -> Nearest:
    count = best.rows.shape[1]
    found, places = scores.topk(min(count, scores.shape[1]))
    highest, order = torch.cat([best.scores, found], 1).topk(count)
    rows = torch.cat([best.rows, places + start], 1).gather(1, order)
    even = verifier.decision.moved_to(0.5)  # where genuine and impostor pairs are equally many, odds are the ratio
    ratios = scores.sub_(even.threshold).mul_(even.slope).add_(log_weights)
    evidence = torch.logaddexp(best.evidence, ratios.logsumexp(1))
    return Nearest(rows.masked_fill(highest == -torch.inf, -1), highest, evidence)


class Index:
    """An inverted file of faiss over embeddings, whose candidates the model then scores: nearly the exact answer.

    Built for more examples than one likes to score one by one; `python benchmarks/search.py` measures how often its
    nearest example is the exact one.

    Args:
        verifier: a design that embeds.
        examples: what is searched.

    Raises:
        UsageError: if faiss is not installed, or the design has no embedding of a single image.
    """

    def __init__(self, verifier: Verifier, examples: Examples) -> None:
        if find_spec("faiss") is None:
            raise UsageError("an index needs faiss; pip install 'siamese-mnist[index]', or search exactly")
        if not verifier.model.embeds:
            raise UsageError("an index needs embeddings, which this design has none of; search exactly")
        import faiss

        self.verifier, self.examples = verifier, examples
        points = self._points(examples.kept)
        lists = max(1, min(len(points) // 40, int(_LISTS_PER_ROOT * len(points) ** 0.5)))
        self._quantizer = faiss.IndexFlatL2(points.shape[1])  # faiss does not keep it alive
        self._index = faiss.IndexIVFFlat(self._quantizer, points.shape[1], lists)
        self._index.train(points.numpy())
        self._index.add(points.numpy())
        self._index.nprobe = _PROBED

    def _points(self, embeddings: Tensor) -> Tensor:
        """Embeddings as points whose distances have the order of the scores, at length 1 if length changes no score."""
        some = embeddings[:16]
        scores = self.verifier.score_prepared(some, some)
        if torch.allclose(scores, self.verifier.score_prepared(2 * some, some), rtol=1e-4, atol=1e-5):
            embeddings = torch.nn.functional.normalize(embeddings)
        return embeddings.contiguous()

    def search(self, queries: Tensor, count: int) -> Nearest:
        """As `exact`, but among the candidates of each query alone."""
        _, found = self._index.search(self._points(queries).numpy(), min(_CANDIDATES, len(self.examples.kept)))
        blocks = zip(queries.split(_TOGETHER), torch.from_numpy(found).split(_TOGETHER), strict=True)
        parts = [self._ranked(some, rows, count) for some, rows in blocks]
        return Nearest(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    @torch.no_grad()
    def _ranked(self, queries: Tensor, rows: Tensor, count: int) -> Nearest:
        """The best of the candidates (Q, C) of each query; row -1 is none."""
        there = rows.clamp(min=0)
        left, right = queries.repeat_interleave(rows.shape[1], 0), self.examples.kept[there.flatten()]
        scores = self.verifier.model.score_embeddings(left, right).view(rows.shape)
        scores.masked_fill_(rows < 0, -torch.inf)
        found = _merged(self.verifier, _nothing(len(rows), count), scores, self.examples.log_weights[there], 0)
        return found._replace(rows=rows.gather(1, found.rows.clamp(min=0)).masked_fill(found.rows < 0, -1))
