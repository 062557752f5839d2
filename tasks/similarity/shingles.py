"""Sets of word shingles as sorted integers: what near_duplicates.py joins.

The rule, so that anyone can recompute it (plain Python, `n` words a shingle):

    words    = tasks.similarity.words.words(text)
    shingles = {tuple(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))} if words else set()

So a text of fewer than n words is one shingle, all its words; it is like another text only if their words are the same.
A text with no word at all has no shingle and is like nothing; copies of it are for an exact comparison to find.

A row may have several parts (prompt, answer): a shingle of one part is then never that of another, and the row's set is
the union. Rows may be in groups (by system message): a shingle of one group is never that of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.similarity.parallel import GOLDEN, PART, Bits, Ints, Mask, chunks, in_parts, order, ranges, sort
from tasks.similarity.word_ngrams import Runs


@dataclass(frozen=True)
class ShingleSets:
    """The sets of those rows that share at least one shingle with another row, smallest set first.

    A shingle found once in all texts can be in no intersection, so only the number of those is kept.

    row: position in the given texts. size: shingles in the set. starts, lengths: the row's slice of `shared`.
    shared: its shingles that are found elsewhere too, as numbers 0..shingles-1 by rarity, rarest first.
    sketch: four 64-bit words a set (see _sketches).
    """

    row: Ints
    size: Ints
    starts: Ints
    lengths: Ints
    shared: Ints
    shingles: int
    sketch: Bits

    def only(self, chosen: Mask) -> ShingleSets:
        row, size, starts, lengths = (c[chosen] for c in (self.row, self.size, self.starts, self.lengths))
        return ShingleSets(row, size, starts, lengths, self.shared, self.shingles, self.sketch[:, chosen])


def shingle_sets(parts: Sequence[pl.Series], ngram: int, groups: Ints | None = None) -> ShingleSets:
    """The shingle sets of rows, `ngram` words a shingle. Equal numbers mean equal words, never equal hashes.

    parts: one column of texts (String) a part of the row, all of one length. groups: each row's group, from 0.
    """
    rows = len(parts[0])
    runs = Runs.of(pl.concat(parts) if len(parts) > 1 else parts[0], ngram, _sides(len(parts), rows, groups))
    equal = runs.equal()
    frequency = np.concatenate([times for _, times in equal])
    rank = np.empty(len(frequency), np.int64)
    rank[order(frequency)] = np.arange(len(frequency))
    bits = np.uint64(len(frequency).bit_length())

    def coded(part: tuple[Ints, Ints, Ints]) -> Bits:
        places, times, ranks = part
        return (runs.text[places] % rows).astype(np.uint64) << bits | np.repeat(ranks, times).view(np.uint64)

    ends = np.cumsum([len(times) for _, times in equal])
    ranked = [(*some, ranks) for some, ranks in zip(equal, np.split(rank, ends[:-1]), strict=True)]
    code, count = np.concatenate(list(in_parts(coded, ranked))), runs.each.reshape(len(parts), rows).sum(axis=0)
    sort(code)
    return _packed(code, bits, count, max(len(frequency), 1))


def overlaps(sets: ShingleSets, a: Ints, b: Ints) -> Ints:
    """The number of shingles that each pair of sets shares: both written out, sorted, and equal neighbours counted.

    Each side is in order as it is written, so the sort that knows runs (stable) only merges two: four times as fast.
    """
    pair = np.arange(len(a)) * sets.shingles
    sides = [np.repeat(pair, sets.lengths[x]) + sets.shared[ranges(sets.starts[x], sets.lengths[x])] for x in (a, b)]
    code = np.sort(np.concatenate(sides), kind="stable")
    both = code[1:][code[1:] == code[:-1]]
    return np.bincount(both // sets.shingles, minlength=len(a))


def _sides(parts: int, rows: int, groups: Ints | None) -> Ints | None:
    """A number of its part and its group for every text, part by part; None where all have the same."""
    if parts == 1 and groups is None:
        return None
    return (np.arange(parts)[:, None] + (np.zeros(rows, np.int64) if groups is None else groups) * parts).ravel()


def _packed(code: Bits, bits: np.uint64, count: Ints, shingles: int) -> ShingleSets:
    """Sets out of sorted numbers of a row and, in its lowest `bits`, a shingle: repeats removed, rows ordered by size.

    count: shingles of every row, with repeats and with those found nowhere else.
    """
    low = (np.uint64(1) << bits) - np.uint64(1)

    def pack(part: slice) -> tuple[Ints, Ints, Ints, Bits]:
        mine = code[slice(*np.searchsorted(code, np.array([part.start, part.stop], np.uint64) << bits))]
        distinct = np.ones(len(mine), np.bool_)
        distinct[1:] = mine[1:] != mine[:-1]
        row, shared = (mine >> bits).view(np.int64) - part.start, (mine[distinct] & low).view(np.int64)
        rows = part.stop - part.start
        size = count[part] - np.bincount(row[~distinct], minlength=rows)
        lengths = np.bincount(row[distinct], minlength=rows)
        return size, lengths, shared, _sketches(shared, lengths)

    packed = list(in_parts(pack, [slice(0, 0), *chunks(count, PART)]))
    size, lengths, shared, sketch = (np.concatenate(column, axis=-1) for column in zip(*packed, strict=True))
    some = np.flatnonzero(lengths)
    row = some[order(size[some])]
    starts = np.cumsum(lengths) - lengths
    return ShingleSets(row, size[row], starts[row], lengths[row], shared, shingles, sketch[:, row])


def _sketches(shared: Ints, lengths: Ints) -> Bits:
    """Four 64-bit words a set; bit h is the parity of the shingles that fall on h. Bits differ only where sets do."""
    sketch = np.zeros((4, len(lengths)), np.uint64)
    some = lengths > 0
    starts = (np.cumsum(lengths) - lengths)[some]
    bit = (shared.view(np.uint64) * GOLDEN) >> np.uint64(56)
    one = np.uint64(1) << (bit & np.uint64(63))
    for word in range(4):
        sketch[word, some] = np.bitwise_xor.reduceat(np.where(bit >> np.uint64(6) == word, one, np.uint64(0)), starts)
    return sketch
