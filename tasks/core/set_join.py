"""The exact set-similarity join that near_duplicates.py and survivors.py stand on.

Two sets can only be alike if they share one of their rarest shingles (prefix filter: Chaudhuri 2006; with positions
and the shorter index prefix: PPJoin, Xiao 2008). A pair that passes must also pass a 256-bit sketch, which never
underestimates the overlap (bitmap filter: Sandes 2020). The few pairs left are counted exactly, in integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from tasks.core.shingles import Mask, ShingleSets, chunks, overlaps
from tasks.core.word_runs import Ints, ranges

BUDGET = 1 << 22  # candidates, or shingles under count, in memory at a time: some 0.2 GB of int64 columns


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


def join(sets: ShingleSets, limit: Threshold, most: int, sides: Mask | None = None) -> Ints | None:
    """All pairs that are alike as four rows of numbers: first row < second row, overlap, union. None beyond `most` pairs.

    sides: one a set; given, only pairs of a set that is True and one that is False.
    """
    found, pairs = [np.empty((4, 0), np.int64)], 0
    for small, large in _candidates(sets, limit, sides):
        total = sets.size[small] + sets.size[large]
        for part in chunks(sets.lengths[small] + sets.lengths[large], BUDGET):
            overlap = overlaps(sets, small[part], large[part])
            alike = overlap >= limit.overlap(total[part])
            a, b = sets.row[small[part][alike]], sets.row[large[part][alike]]
            both, union = overlap[alike], (total[part] - overlap)[alike]
            found.append(np.stack([np.minimum(a, b), np.maximum(a, b), both, union]))
            pairs += len(a)
            if pairs > most:
                return None
    return np.concatenate(found, axis=1)


def _candidates(sets: ShingleSets, limit: Threshold, sides: Mask | None) -> Iterator[tuple[Ints, Ints]]:
    """Distinct pairs (smaller set, larger set) that may be alike, in chunks; every pair that is alike is among them."""
    every = np.ones(len(sets.row), np.bool_)
    for indexed, probing in [(every, every)] if sides is None else [(sides, ~sides), (~sides, sides)]:
        yield from _met(sets, limit, indexed, probing)


def _met(sets: ShingleSets, limit: Threshold, indexed: Mask, probing: Mask) -> Iterator[tuple[Ints, Ints]]:
    """Candidates whose smaller set is one of `indexed` and whose larger one is one of `probing`."""
    index, first, count, entry = _postings(sets, limit, indexed, probing)
    per_row = np.bincount(entry.row, weights=count, minlength=len(sets.row)).astype(np.int64)
    ends = np.searchsorted(entry.row, np.arange(len(sets.row)), side="right")
    for part in chunks(per_row, BUDGET):
        mine = slice(ends[part.start - 1] if part.start else 0, ends[part.stop - 1])
        left = ranges(first[mine], count[mine])
        large, place = (np.repeat(column[mine], count[mine]) for column in (entry.row, entry.place))
        small = index.row[left]
        passed = _may_be_alike(sets, limit, small, large, index.place[left], place)
        code = np.sort(small[passed] * len(sets.row) + large[passed])
        code = code[np.append(True, code[1:] != code[:-1])[: len(code)]]  # np.unique hashes, and takes ten times as long
        if len(code):
            yield code // len(sets.row), code % len(sets.row)


@dataclass(frozen=True)
class _Entries:
    """Prefix shingles: the row they belong to, and their place in its set when that is ordered by rarity."""

    row: Ints
    place: Ints


def _postings(sets: ShingleSets, limit: Threshold, indexed: Mask, probing: Mask) -> tuple[_Entries, Ints, Ints, _Entries]:
    """The index, and for every probing entry the slice (first, count) of the index it must meet.

    A row probes with its longer prefix the rows before it (no larger, and not too small), which are indexed under their
    shorter one.
    """
    alone = sets.size - sets.lengths  # shingles found nowhere else: the rarest, so first in the prefix
    longer = sets.size - limit.partner(sets.size) + 1
    shorter = sets.size - limit.overlap(2 * sets.size) + 1
    probes = np.where(indexed | probing, np.clip(longer - alone, 0, sets.lengths), 0)
    rows = np.arange(len(sets.row))
    row, at = np.repeat(rows, probes), ranges(sets.starts, probes)
    place = at - np.repeat(sets.starts - alone, probes)
    code = sets.shared[at] * len(sets.row) + row
    order = np.argsort(code)
    in_index = ((place < shorter[row]) & indexed[row])[order]
    index = order[in_index]
    before = np.cumsum(in_index) - in_index
    smallest = np.searchsorted(sets.size, limit.partner(sets.size))
    first = np.searchsorted(code[index], (code - row + smallest[row])[order])
    begin, count = np.empty_like(order), np.empty_like(order)
    begin[order], count[order] = first, np.maximum(before - first, 0)
    count[~probing[row]] = 0
    return _Entries(row[index], place[index]), begin, count, _Entries(row, place)


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
