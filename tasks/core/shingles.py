"""Texts as sets of word shingles, and the sets as sorted integers: what near_duplicates.py joins.

The rule, so that anyone can recompute it (plain Python, `n` words a shingle):

    words    = re.findall(r"\\w+", text.lower())
    shingles = {tuple(words[i : i + n]) for i in range(max(len(words) - n + 1, 1))} if words else set()

So a text of fewer than n words is one shingle, all its words; it is like another text only if their words are the same.
A text with no word at all has no shingle and is like nothing; copies of it are for an exact comparison to find.

A row may have several parts (prompt, answer): a shingle of one part is then never that of another, and the row's set is
the union. Rows may be in groups (by system message): a shingle of one group is never that of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.word_runs import WORD, Bits, Ints, numbered, ranges, runs, words_of

__all__ = ["GOLDEN", "WORD", "Bits", "Ints", "Mask", "ShingleSets", "chunks", "overlaps", "ranges", "shingle_sets"]

Mask = npt.NDArray[np.bool_]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: the high bits of its multiples are spread (Knuth, 6.4)
PART = 1 << 22  # numbers worked on at a time where a whole column more would be hundreds of MB


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
    words, lengths = words_of(pl.concat(parts) if len(parts) > 1 else parts[0], ngram)
    key = runs(words, lengths, ngram)
    del words  # at a million texts each of these arrays is hundreds of MB, so none outlives its use
    each = np.where(lengths > 0, lengths - ngram + 1, 0)
    if len(parts) > 1 or groups is not None:
        key = _told_apart(key, each, np.zeros(rows, np.int64) if groups is None else groups)
    again = _perhaps_again(key)
    key = key[again]
    row = np.repeat(np.arange(len(each), dtype=np.uint32), each)[again]
    row %= np.uint32(max(rows, 1))
    count = each.reshape(len(parts), rows).sum(axis=0)
    del again
    shingle, frequency = numbered(key)
    del key
    keep = frequency[shingle] > 1
    rank = np.empty(len(frequency), np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(frequency))
    return _packed(row[keep], rank[shingle[keep]], count, max(len(frequency), 1))


def overlaps(sets: ShingleSets, a: Ints, b: Ints) -> Ints:
    """The number of shingles that each pair of sets shares: both written out, sorted, and equal neighbours counted.

    Each side is in order as it is written, so the sort that knows runs (stable) only merges two: four times as fast.
    """
    pair = np.arange(len(a)) * sets.shingles
    sides = [np.repeat(pair, sets.lengths[x]) + sets.shared[ranges(sets.starts[x], sets.lengths[x])] for x in (a, b)]
    code = np.sort(np.concatenate(sides), kind="stable")
    both = code[1:][code[1:] == code[:-1]]
    return np.bincount(both // sets.shingles, minlength=len(a))


def chunks(weights: Ints, budget: int) -> Iterator[slice]:
    """Slices of `weights` that add up to at most `budget` each; an item above the budget stands alone."""
    total = np.cumsum(weights)
    start = 0
    while start < len(weights):
        limit = budget + (total[start - 1] if start else 0)
        stop = max(int(np.searchsorted(total, limit, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _told_apart(key: Bits, each: Ints, groups: Ints) -> Bits:
    """Keys that are equal only if their words, their part and their group are; each: keys of every text, part by part."""
    parts = len(each) // max(len(groups), 1)
    side = (np.arange(parts)[:, None] + groups * parts).ravel()
    many = int(side.max(initial=0)) + 1
    if int(key.max(initial=0)) >= 2**64 // many:
        key = numbered(key)[0].astype(np.uint64)
    return key * np.uint64(many) + np.repeat(side.astype(np.uint64), each)


def _perhaps_again(key: Bits) -> Mask:
    """False only where a key is surely found once: alone in its bucket. Spares the exact sort most of its input."""
    bits = min(max(len(key).bit_length() + 2, 8), 30)  # four to eight buckets a key, a byte each; at most 1 GB
    bucket = np.empty(len(key), np.uint32)
    parts = [slice(start, start + PART) for start in range(0, len(key), PART)]
    for part in parts:
        bucket[part] = key[part] * GOLDEN >> np.uint64(64 - bits)
    bucket.sort()
    crowded = np.zeros(1 << bits, np.bool_)
    crowded[bucket[1:][bucket[1:] == bucket[:-1]]] = True
    again = np.empty(len(key), np.bool_)
    for part in parts:  # computed again: the sort has lost whose bucket is whose, and a copy is 0.2 GB at a million texts
        again[part] = crowded[key[part] * GOLDEN >> np.uint64(64 - bits)]
    return again


def _packed(row: npt.NDArray[np.uint32], shingle: Ints, count: Ints, shingles: int) -> ShingleSets:
    """Sets out of (row, shingle) pairs: repeats within a row removed, rows ordered by size."""
    code = np.sort(row.astype(np.int64) * shingles + shingle)
    distinct = np.ones(len(code), np.bool_)
    distinct[1:] = code[1:] != code[:-1]
    size = count - np.bincount(code[~distinct] // shingles, minlength=len(count))
    code = code[distinct]
    by_size = np.argsort(size, kind="stable")
    place = np.empty(len(count), np.int64)
    place[by_size] = np.arange(len(count))
    code = np.sort(place[code // shingles] * shingles + code % shingles)
    lengths = np.bincount(code // shingles, minlength=len(count))
    some = lengths > 0
    starts = (np.cumsum(lengths) - lengths)[some]
    shared = code % shingles
    return ShingleSets(by_size[some], size[by_size][some], starts, lengths[some], shared, shingles, _sketches(shared, starts))


def _sketches(shared: Ints, starts: Ints) -> Bits:
    """Four 64-bit words a set; bit h is the parity of the shingles that fall on h. Bits differ only where sets do."""
    sketch = np.zeros((4, len(starts)), np.uint64)
    lengths = np.diff(np.append(starts, len(shared)))
    for part in chunks(lengths, PART):
        begin = starts[part.start]
        bit = (shared[begin : begin + lengths[part].sum()].astype(np.uint64) * GOLDEN) >> np.uint64(56)
        one = np.uint64(1) << (bit & np.uint64(63))
        for word in range(4):
            mine = np.where(bit >> np.uint64(6) == word, one, np.uint64(0))
            sketch[word, part] = np.bitwise_xor.reduceat(mine, starts[part] - begin)
    return sketch
