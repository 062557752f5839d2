"""Greedy leader clustering: keep the best-ranked row of each group of similar rows, exactly, without all pairs.

Rows are numbered by rank, the best 0. Taken in that order, a row goes if one that stays is like it, so rows that stay
are never alike and there are no chains (A like B, B like C, and C gone for an A it does not resemble).

Usually all pairs are found at once. Where a text was sent a hundred thousand times they are five billion; then the
better half is settled first, what is like a row that stays there goes, and what is left of the worse half is settled by
itself, halves of halves alike. The rows that stay are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.similarity.parallel import Ints, Mask
from tasks.similarity.set_join import Threshold, join
from tasks.similarity.shingles import ShingleSets, overlaps, shingle_sets

# Pairs among rows before they are halved: so many, and two a row. A usual million rows has 0.2 million; 400 rows cannot
# have more. A higher limit finds out later that there are too many.
MOST_PAIRS = 100_000
EVERY_PAIR = 2**62
CELLS = 1 << 24  # cosines in memory at a time: 64 MB
MARGIN = 1e-4  # float32 products are off by less; what is within it is computed again in float64


@dataclass(frozen=True)
class Edges:
    """Pairs of rows that are alike: a < b, and how much, at most 1."""

    a: Ints
    b: Ints
    score: npt.NDArray[np.float64]


class Relation(Protocol):
    """One way of being alike, among rows 0..n-1."""

    def within(self, rows: Ints, max_pairs: int) -> Edges | None:
        """The pairs among `rows`; None if there are more than `max_pairs`."""

    def between(self, left: Ints, right: Ints) -> Edges:
        """The pairs of one of `left` and one of `right`, which have no row in common."""


def survivors(count: int, relations: Sequence[Relation]) -> tuple[Mask, list[Edges]]:
    """Whether each of `count` rows stays, and by relation the pairs of a row that stays and one that goes."""
    rows, stays = np.arange(count), np.zeros(count, np.bool_)
    found = _within(rows, relations)
    stays[_settled(rows, found) if found is not None else _by_halves(rows, relations)] = True
    if found is None:
        return stays, [relation.between(rows[stays], rows[~stays]) for relation in relations]
    return stays, [_chosen(edges, stays[edges.a] != stays[edges.b]) for edges in found]


def _within(rows: Ints, relations: Sequence[Relation]) -> list[Edges] | None:
    found = []
    for relation in relations:
        edges = relation.within(rows, MOST_PAIRS + 2 * len(rows))
        if edges is None:
            return None
        found.append(edges)
    return found


def _by_halves(rows: Ints, relations: Sequence[Relation]) -> Ints:
    middle = len(rows) // 2
    better, worse = _kept(rows[:middle], relations), rows[middle:]
    for relation in relations:
        edges = relation.between(better, worse)
        worse = np.setdiff1d(worse, edges.b, assume_unique=False)
    return np.concatenate([better, _kept(worse, relations)])


def _kept(rows: Ints, relations: Sequence[Relation]) -> Ints:
    found = _within(rows, relations)
    return _by_halves(rows, relations) if found is None else _settled(rows, found)


def _settled(rows: Ints, found: Sequence[Edges]) -> Ints:
    none = np.empty(0, np.int64)
    a, b = (np.concatenate([none, *(getattr(edges, end) for edges in found)]) for end in ("a", "b"))
    order = np.lexsort((a, b))  # the worse row ascending, so that the better row's fate is settled when it is asked for
    gone: set[int] = set()
    for better, worse in zip(a[order].tolist(), b[order].tolist(), strict=True):
        if better not in gone:
            gone.add(worse)
    return rows[~np.isin(rows, np.fromiter(gone, np.int64, len(gone)))]


def _chosen(edges: Edges, which: Mask) -> Edges:
    return Edges(edges.a[which], edges.b[which], edges.score[which])


class Same:
    """Rows with the same key; for texts without a word, which have no shingle to be alike by."""

    def __init__(self, key: Ints) -> None:
        self.key = key

    def within(self, rows: Ints, max_pairs: int) -> Edges | None:
        counts = np.unique(self.key[rows], return_counts=True)[1]
        return self._pairs(rows, rows, own=True) if (counts * (counts - 1) // 2).sum() <= max_pairs else None

    def between(self, left: Ints, right: Ints) -> Edges:
        return self._pairs(left, right, own=False)

    def _pairs(self, left: Ints, right: Ints, *, own: bool) -> Edges:
        one, two = (pl.DataFrame({"key": self.key[rows], name: rows}) for name, rows in (("a", left), ("b", right)))
        met = one.join(two, on="key").filter(pl.col("a") < pl.col("b") if own else pl.lit(True))
        a, b = met["a"].to_numpy(), met["b"].to_numpy()
        return Edges(np.minimum(a, b), np.maximum(a, b), np.ones(len(a)))


class Jaccard:
    """Rows whose every part (prompt, answer) is alike: near_duplicates.py has the rule for one text.

    parts: texts, a column a part; a part without a word is like its copy. score: of the part that is least alike.
    own: what must be alike besides, and cannot be like a copy without a word: the text without what many share.
    """

    def __init__(
        self, parts: Sequence[pl.Series], groups: Ints, threshold: float, ngram: int, own: pl.Series | None = None
    ) -> None:
        self.limit = Threshold.of(threshold)
        # Where every part is at the threshold, so are all parts together, as long as no shingle is in two of them.
        self.sets = shingle_sets(parts if own is None else [own], ngram, groups)
        self.parts = [_Part(part, ngram, groups) for part in parts] if len(parts) > 1 or own is not None else []

    def within(self, rows: Ints, max_pairs: int) -> Edges | None:
        found = join(self.sets.only(np.isin(self.sets.row, rows)), self.limit, max_pairs)
        return None if found is None else self._edges(found)

    def between(self, left: Ints, right: Ints) -> Edges:
        sets = self.sets.only(np.isin(self.sets.row, np.concatenate([left, right])))
        found = join(sets, self.limit, EVERY_PAIR, sides=np.isin(sets.row, left))
        return self._edges(np.empty((4, 0), np.int64) if found is None else found)

    def _edges(self, found: Ints) -> Edges:
        a, b, overlap, union = found
        edges = Edges(a, b, overlap / union)
        if not self.parts:
            return edges
        each = [part.scores(a, b, self.limit) for part in self.parts]
        least = np.minimum.reduce(each)
        return _chosen(Edges(a, b, least), least > 0)


class _Part:
    """One part of the rows, to count its own similarity in pairs that are alike as a whole."""

    def __init__(self, texts: pl.Series, ngram: int, groups: Ints) -> None:
        self.sets: ShingleSets = shingle_sets([texts], ngram, groups)
        self.place = np.full(len(texts), -1)
        self.place[self.sets.row] = np.arange(len(self.sets.row))
        self.key = texts.rank("dense").to_numpy()

    def scores(self, a: Ints, b: Ints, limit: Threshold) -> npt.NDArray[np.float64]:
        """The Jaccard similarity of this part of rows a and b, 0 where it is below the threshold."""
        score: npt.NDArray[np.float64] = (self.key[a] == self.key[b]).astype(np.float64)
        both = np.flatnonzero((self.place[a] >= 0) & (self.place[b] >= 0) & (score == 0))
        x, y = self.place[a[both]], self.place[b[both]]
        shared, sizes = overlaps(self.sets, x, y), self.sets.size[x] + self.sets.size[y]
        score[both] = np.where(shared >= limit.overlap(sizes), shared / (sizes - shared), 0)
        return score


class Chosen:
    """Those pairs of a relation that a judge lets pass. passes: of two columns of rows, which pairs."""

    def __init__(self, relation: Relation, passes: Callable[[Ints, Ints], Mask]) -> None:
        self.relation, self.passes = relation, passes

    def within(self, rows: Ints, max_pairs: int) -> Edges | None:
        found = self.relation.within(rows, max_pairs)
        return None if found is None else _chosen(found, self.passes(found.a, found.b))

    def between(self, left: Ints, right: Ints) -> Edges:
        found = self.relation.between(left, right)
        return _chosen(found, self.passes(found.a, found.b))


class Cosine:
    """Rows of one group whose vectors point the same way: every pair is computed, n * n * width operations.

    vectors: float32, one unit vector a row. score: the cosine to four places, which no order of summation changes.
    """

    def __init__(self, vectors: npt.NDArray[np.float32], groups: Ints, threshold: float) -> None:
        self.vectors, self.groups, self.threshold = vectors, groups, threshold

    def within(self, rows: Ints, max_pairs: int) -> Edges | None:
        return self._pairs(rows, rows, max_pairs)

    def between(self, left: Ints, right: Ints) -> Edges:
        found = self._pairs(left, right, EVERY_PAIR)
        assert found is not None
        return found

    def _pairs(self, left: Ints, right: Ints, max_pairs: int) -> Edges | None:
        found, pairs = [Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))], 0
        other, step = self.vectors[right].T, max(CELLS // max(len(right), 1), 1)
        for start in range(0, len(left), step):
            block = left[start : start + step]
            x, y = np.nonzero(self.vectors[block] @ other >= self.threshold - MARGIN)
            found.append(self._alike(block[x], right[y], own=left is right))
            pairs += len(found[-1].a)
            if pairs > max_pairs:
                return None
        return Edges(*(np.concatenate([getattr(edges, name) for edges in found]) for name in ("a", "b", "score")))

    def _alike(self, x: Ints, y: Ints, *, own: bool) -> Edges:
        once = (self.groups[x] == self.groups[y]) & ((x < y) if own else np.ones(len(x), np.bool_))
        x, y = x[once], y[once]
        score = np.round(np.einsum("ij,ij->i", self.vectors[x].astype(np.float64), self.vectors[y]), 4)
        return _chosen(Edges(np.minimum(x, y), np.maximum(x, y), np.minimum(score, 1.0)), score >= self.threshold)
