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

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
WORD = r"[\p{L}\p{N}_]+"  # Python's \w. Rust's own \w differs: it joins combining marks and leaves out ² and ½
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: the high bits of its multiples are spread (Knuth, 6.4)
BATCH = 100_000  # texts held as lists of strings at a time: about 0.1 GB for texts of 50 words


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


def jaccard(one: str, two: str, ngram: int) -> float:
    """The similarity of two texts by the rule above, for the few pairs that a person is told of; the same text is 1."""
    sets = []
    for text in (one, two):
        words = re.findall(r"\w+", text.lower())
        sets.append({tuple(words[i : i + ngram]) for i in range(max(len(words) - ngram + 1, 1))} if words else set())
    a, b = sets
    return 1.0 if one == two else len(a & b) / max(len(a | b), 1)


def shingle_sets(parts: Sequence[pl.Series], ngram: int, groups: Ints | None = None) -> ShingleSets:
    """The shingle sets of rows, `ngram` words a shingle. Equal numbers mean equal words, never equal hashes.

    parts: one column of texts (String) a part of the row, all of one length. groups: each row's group, from 0.
    """
    rows = len(parts[0])
    words, lengths = _words(pl.concat(parts) if len(parts) > 1 else parts[0], ngram)
    key = _windows(words, lengths, ngram)
    del words  # at a million texts each of these arrays is hundreds of MB, so none outlives its use
    each = np.where(lengths > 0, lengths - ngram + 1, 0)
    if len(parts) > 1 or groups is not None:
        key = _told_apart(key, each, np.zeros(rows, np.int64) if groups is None else groups)
    row = np.repeat(np.arange(len(each), dtype=np.uint32), each)
    row %= np.uint32(max(rows, 1))
    count = each.reshape(len(parts), rows).sum(axis=0)
    again = _perhaps_again(key)
    shingle, frequency = _numbered(key[again])
    row = row[again]
    del key, again
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


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The integers start..start+length-1 of every pair, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)


def chunks(weights: Ints, budget: int) -> Iterator[slice]:
    """Slices of `weights` that add up to at most `budget` each; an item above the budget stands alone."""
    total = np.cumsum(weights)
    start = 0
    while start < len(weights):
        limit = budget + (total[start - 1] if start else 0)
        stop = max(int(np.searchsorted(total, limit, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _words(texts: pl.Series, ngram: int) -> tuple[npt.NDArray[np.uint32], Ints]:
    """All words of all texts as numbers from 1, and how many each text has; a short text is filled up to ngram by 0."""
    vocabulary = pl.Categorical(pl.Categories.random())  # private, so that it is freed with the last column of it
    words, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    anchor = pl.Series([""], dtype=vocabulary)  # keeps the numbering alive between batches
    for batch in texts.fill_null("").to_frame("text").iter_slices(BATCH):
        found = batch["text"].str.to_lowercase().str.extract_all(WORD)
        count = found.list.len().cast(pl.Int64).to_numpy()
        flat = found.filter(found.list.len() > 0).explode().cast(anchor.dtype).to_physical().to_numpy()
        filled = np.where(count > 0, np.maximum(count, ngram), 0)
        padded = np.zeros(filled.sum(), np.uint32)
        padded[ranges(np.cumsum(filled) - filled, count)] = flat + 1
        words.append(padded)
        lengths.append(filled)
    return np.concatenate(words), np.concatenate(lengths)


def _windows(words: npt.NDArray[np.uint32], lengths: Ints, ngram: int) -> Bits:
    """One number for every run of `ngram` words inside a text: the words' numbers as digits, so never a collision."""
    base = int(words.max(initial=0)) + 1
    key, bound = words.astype(np.uint64), base
    for step in range(1, ngram):
        if bound * base >= 2**64:  # no room for another digit: number the runs so far from 0
            number, frequency = _numbered(key)
            key, bound = number.astype(np.uint64), len(frequency)
        key *= np.uint64(base)
        key[:-step] += words[step:]
        bound *= base
    inside = np.ones(len(words), np.bool_)
    ends = np.cumsum(lengths)[lengths > 0]
    for step in range(1, ngram):  # runs that would begin here end in the next text
        inside[ends - step] = False
    return key[inside]


def _told_apart(key: Bits, each: Ints, groups: Ints) -> Bits:
    """Keys that are equal only if their words, their part and their group are; each: keys of every text, part by part."""
    parts = len(each) // max(len(groups), 1)
    side = (np.arange(parts)[:, None] + groups * parts).ravel()
    many = int(side.max(initial=0)) + 1
    if int(key.max(initial=0)) >= 2**64 // many:
        key = _numbered(key)[0].astype(np.uint64)
    return key * np.uint64(many) + np.repeat(side.astype(np.uint64), each)


def _perhaps_again(key: Bits) -> Mask:
    """False only where a key is surely found once: alone in its bucket. Spares the exact sort most of its input."""
    bits = min(max(len(key).bit_length() + 2, 8), 30)  # four to eight buckets a key, a byte each; at most 1 GB
    bucket = (key * GOLDEN >> np.uint64(64 - bits)).astype(np.uint32)
    ordered = np.sort(bucket)
    crowded = np.zeros(1 << bits, np.bool_)
    crowded[ordered[1:][ordered[1:] == ordered[:-1]]] = True
    return crowded[bucket]


def _numbered(key: Bits) -> tuple[Ints, Ints]:
    """Each key's number among the distinct keys, 0.., and how often each number occurs."""
    order = np.argsort(key)
    ordered = key[order]
    first = np.ones(len(key), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    number = np.empty(len(key), np.int64)
    number[order] = np.cumsum(first) - 1
    return number, np.diff(np.append(np.flatnonzero(first), len(key)))


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
    bit = (shared.astype(np.uint64) * GOLDEN) >> np.uint64(56)
    one = np.uint64(1) << (bit & np.uint64(63))
    words = [np.where(bit >> np.uint64(6) == word, one, np.uint64(0)) for word in range(4)]
    return np.stack([np.bitwise_xor.reduceat(word, starts) if len(word) else word for word in words])
