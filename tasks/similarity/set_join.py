"""The exact set-similarity join that near_duplicates.py and leader_clusters.py stand on.

Two sets can only be alike if they share one of their rarest shingles (prefix filter: Chaudhuri 2006; with positions
and the shorter index prefix: PPJoin, Xiao 2008). A pair that passes must also pass a 256-bit sketch, which never
underestimates the overlap (bitmap filter: Sandes 2020). The few pairs left are counted exactly, in integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from tasks.similarity.parallel import Ints, Mask, chunks, in_parts, order, ranges, share
from tasks.similarity.shingles import ShingleSets, overlaps

BUDGET = 1 << 22  # candidates, or shingles under count, in memory at a time: some 0.2 GB of int64 columns for all cores


@dataclass(frozen=True)
class Threshold:
    """Jaccard >= p/q in integers, so that 7 of 10 shingles is at 0.7 and not beside it."""

    p: int
    q: int

    @classmethod
    def of(cls, threshold: float) -> Threshold:
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, got {threshold}")
        share = Fraction(str(threshold)).limit_denominator(10**9)  # products with set sizes stay within 64 bits
        return cls(share.numerator, share.denominator)

    def overlap(self, sizes: Ints) -> Ints:
        """The least overlap of two sets whose sizes add up to `sizes`: J >= p/q means overlap * (p+q) >= p * sizes."""
        return -(-self.p * sizes // (self.p + self.q))

    def partner(self, size: Ints) -> Ints:
        """The size of the smallest set that can be like one of `size`; its overlap with it is no less either."""
        return -(-self.p * size // self.q)


def join(sets: ShingleSets, limit: Threshold, max_pairs: int, sides: Mask | None = None) -> Ints | None:
    """All pairs that are alike as four rows of numbers: first row < second row, overlap, union. None beyond `max_pairs`
    pairs.

    sides: one a set; given, only pairs of a set that is True and one that is False.
    """
    found, pairs = [np.empty((4, 0), np.int64)], 0
    for small, large in _candidates(sets, limit, sides):
        parts = chunks(sets.lengths[small] + sets.lengths[large], share(BUDGET))
        for alike in in_parts(partial(_alike, sets, limit, small, large), parts):
            found.append(alike)
            pairs += alike.shape[1]
            if pairs > max_pairs:
                return None
    return np.concatenate(found, axis=1)


def _alike(sets: ShingleSets, limit: Threshold, small: Ints, large: Ints, part: slice) -> Ints:
    small, large = small[part], large[part]
    total, overlap = sets.size[small] + sets.size[large], overlaps(sets, small, large)
    alike = overlap >= limit.overlap(total)
    a, b = sets.row[small[alike]], sets.row[large[alike]]
    return np.stack([np.minimum(a, b), np.maximum(a, b), overlap[alike], (total - overlap)[alike]])


def _candidates(sets: ShingleSets, limit: Threshold, sides: Mask | None) -> Iterator[tuple[Ints, Ints]]:
    """Distinct pairs (smaller set, larger set) that may be alike, in parts; every pair that is alike is among them."""
    every = np.ones(len(sets.row), np.bool_)
    for indexed, probing in [(every, every)] if sides is None else [(sides, ~sides), (~sides, sides)]:
        postings = _postings(sets, limit, indexed, probing)
        yield from in_parts(partial(_met, sets, limit, postings), postings.chunks())


def _met(sets: ShingleSets, limit: Threshold, postings: _Postings, part: slice) -> tuple[Ints, Ints]:
    """Candidates whose larger set is one of the rows `part`."""
    mine = slice(*np.searchsorted(postings.entry.row, [part.start, part.stop]))
    index, count = postings.index, postings.count[mine]
    left = ranges(postings.first[mine], count)
    large, place = (np.repeat(column[mine], count) for column in (postings.entry.row, postings.entry.place))
    small = index.row[left]
    passed = _may_be_alike(sets, limit, small, large, index.place[left], place)
    code = np.sort(small[passed] * len(sets.row) + large[passed])
    code = code[np.append(True, code[1:] != code[:-1])[: len(code)]]  # np.unique hashes, and takes ten times as long
    return code // len(sets.row), code % len(sets.row)


@dataclass(frozen=True)
class _Entries:
    """Prefix shingles: the row they belong to, and their place in its set when that is ordered by rarity."""

    row: Ints
    place: Ints


@dataclass(frozen=True)
class _Postings:
    """The index, and for every probing entry (rows ascending) the slice (first, count) of the index it must meet."""

    index: _Entries
    entry: _Entries
    first: Ints
    count: Ints

    def chunks(self) -> list[slice]:
        """Rows that probe together: as many as meet a core's share of the budget."""
        met = np.bincount(self.entry.row, weights=self.count).astype(np.int64)
        return chunks(met, share(BUDGET))


def _postings(sets: ShingleSets, limit: Threshold, indexed: Mask, probing: Mask) -> _Postings:
    """A row probes with its longer prefix the rows before it (no larger, and not too small), which are indexed under
    their shorter one.
    """
    alone = sets.size - sets.lengths  # shingles found nowhere else: the rarest, so first in the prefix
    longer = sets.size - limit.partner(sets.size) + 1
    shorter = sets.size - limit.overlap(2 * sets.size) + 1
    probes = np.where(indexed | probing, np.clip(longer - alone, 0, sets.lengths), 0)
    rows = np.arange(len(sets.row))
    row, at = np.repeat(rows, probes), ranges(sets.starts, probes)
    place = at - np.repeat(sets.starts - alone, probes)
    by_shingle = order(sets.shared[at])
    code = (sets.shared[at] * len(sets.row))[by_shingle]
    in_index = ((place < shorter[row]) & indexed[row])[by_shingle]
    index = by_shingle[in_index]
    before = np.cumsum(in_index) - in_index
    smallest = np.searchsorted(sets.size, limit.partner(sets.size))
    first = np.searchsorted(code[in_index] + row[index], code + smallest[row][by_shingle])
    begin, count = np.empty_like(by_shingle), np.empty_like(by_shingle)
    begin[by_shingle], count[by_shingle] = first, np.maximum(before - first, 0)
    count[~probing[row]] = 0
    return _Postings(_Entries(row[index], place[index]), _Entries(row, place), begin, count)


def _may_be_alike(sets: ShingleSets, limit: Threshold, a: Ints, b: Ints, place_a: Ints, place_b: Ints) -> Mask:
    """Whether what is known of a pair that shares a shingle at these places still leaves room for the overlap it needs.

    Of a pair's matches the first always passes if the pair is alike, which is enough: pairs are made distinct after.
    """
    total = sets.size[a] + sets.size[b]
    need = limit.overlap(total)
    passed: Mask = np.minimum(sets.size[a] - place_a, sets.size[b] - place_b) >= need
    at_least = (sets.size - sets.lengths)[a] + (sets.size - sets.lengths)[b]  # in the symmetric difference, surely
    for word in sets.sketch:
        at_least += np.bitwise_count(word[a] ^ word[b])
    passed &= at_least <= total - 2 * need
    return passed
