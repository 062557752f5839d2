"""An index of the word n-grams of a few texts (a holdout, a benchmark), to look up a million others in.

Words are those of words.py; an n-gram is `n` words in a row, and a text of fewer words has none. Only the few texts are
indexed; of the many, a run of words is followed as long as the index knows it, so most positions are given up at the
first or second word. Numbers stand for words and runs, never hashes.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.process.hardware import usable_cores
from tasks.similarity.parallel import GOLDEN, Bits, Ints, Mask
from tasks.similarity.words import WORD

SLICE = 10_000  # texts a thread reads at a time


@dataclass(frozen=True)
class Hits:
    """Where known n-grams stand, one entry each, ordered by text and position.

    text: place of the text in the column given. at: the n-gram's first word, from 0. gram: its number in the index.
    """

    text: Ints
    at: Ints
    gram: Ints

    def only(self, chosen: Mask | Ints) -> Hits:
        return Hits(self.text[chosen], self.at[chosen], self.gram[chosen])

    @classmethod
    def joined(cls, parts: list[Hits]) -> Hits:
        none = np.empty(0, np.int64)
        return cls(
            *(np.concatenate([none, *(getattr(part, name) for part in parts)]) for name in ("text", "at", "gram"))
        )


class NgramIndex:
    """The n-grams of `texts` (String, no nulls): grams 0..size-1, and `hits`, where each stands in them."""

    def __init__(self, texts: pl.Series, ngram: int) -> None:
        self.ngram = ngram
        words = _words(texts)
        self.vocabulary = pl.Enum(words.explode().drop_nulls().unique().sort())
        self.base = np.uint64(len(self.vocabulary.categories) + 1)
        number, self.lengths, starts = self._numbers(words)
        at = np.flatnonzero(number)
        run = number[at].astype(np.uint64)
        self.known: list[_Known] = []
        for step in range(1, ngram):  # the runs of two words, of three, ... that the texts hold
            inside = number[at + step] > 0
            at, key = at[inside], (run * self.base + number[at + step])[inside]
            self.known.append(_Known(np.unique(key)))
            run = np.searchsorted(self.known[-1].keys, key).astype(np.uint64)
        self.hits = _placed(at, run, starts)
        self.size = len(self.known[-1].keys) if self.known else int(self.base)

    def find(self, texts: pl.Series) -> tuple[Hits, Ints]:
        """The known n-grams in `texts` (String, no nulls), and how many words each text has."""
        number, lengths, starts = self._numbers(_words(texts))
        at = np.flatnonzero(number)
        run = number[at].astype(np.uint64)
        for step, known in enumerate(self.known, 1):
            run, found = known.places(run * self.base + number[at + step])
            at = at[found]
        return _placed(at, run, starts), lengths

    def _numbers(self, words: pl.Series) -> tuple[npt.NDArray[np.uint32], Ints, Ints]:
        """All words of all texts as numbers, 0 for one that is not known; the words and the start of each text.

        After each text stands a 0, which no run crosses, and at the end as many as a run can look ahead.
        """
        lengths = words.list.len().cast(pl.Int64).to_numpy()
        flat = words.filter(words.list.len() > 0).explode().cast(self.vocabulary, strict=False).to_physical()
        starts = np.cumsum(lengths + 1) - lengths - 1
        number = np.zeros(int((lengths + 1).sum()) + self.ngram, np.uint32)
        inside = np.ones(len(number), np.bool_)
        inside[starts + lengths] = False
        inside[len(number) - self.ngram :] = False
        number[inside] = (flat.cast(pl.UInt32) + 1).fill_null(0).to_numpy()
        return number, lengths, starts


class _Known:
    """Sorted keys, and a table of their places by hash, which finds most of them and rules out most others."""

    def __init__(self, keys: Bits) -> None:
        self.keys = keys
        self.shift = np.uint64(64 - max(len(keys).bit_length() + 3, 8))  # eight to sixteen slots a key
        slots = keys * GOLDEN >> self.shift
        self.place = np.full(1 << (64 - int(self.shift)), -1, np.int32)
        self.place[slots] = np.arange(len(keys), dtype=np.int32)
        self.others = np.sort(keys[self.place[slots] != np.arange(len(keys))])  # whose slot another key has

    def places(self, asked: Bits) -> tuple[Bits, Ints]:
        """The places among the keys of those of `asked` that are known, and which of `asked` they are."""
        place = self.place[asked * GOLDEN >> self.shift]
        maybe = np.flatnonzero(place >= 0)
        place, mine = place[maybe].astype(np.int64), asked[maybe]
        found = self.keys[place] == mine
        if len(self.others):
            left = np.flatnonzero(~found)
            left = left[
                self.others[np.minimum(np.searchsorted(self.others, mine[left]), len(self.others) - 1)] == mine[left]
            ]
            place[left], found[left] = np.searchsorted(self.keys, mine[left]), True
        return place[found].astype(np.uint64), maybe[found]


class LongRuns:
    """Runs of at least `length` words in the texts of an index, put together of its n-grams: 0..size-1, as these are.

    With n-grams of so many words or more a run is one of them.
    """

    def __init__(self, index: NgramIndex, length: int) -> None:
        last, self.grams = max(length - index.ngram, 0), index.size
        self.offsets = sorted({*range(0, last, index.ngram), last})
        self.known: list[_Known] = []
        _, run = self._started(index.hits)
        for offset in self.offsets[1:]:
            at, _ = self._started(index.hits)
            key = run * np.uint64(self.grams) + index.hits.gram[at + offset].astype(np.uint64)
            self.known.append(_Known(np.unique(key)))
            run = np.searchsorted(self.known[-1].keys, key).astype(np.uint64)
        self.size = len(self.known[-1].keys) if self.known else self.grams

    def _started(self, hits: Hits) -> tuple[Ints, Bits]:
        """Which hits begin a stretch of known n-grams as long as a run, and the n-gram of each."""
        last = self.offsets[-1]
        place = np.arange(max(len(hits.text) - last, 0))
        follows = (hits.text[place + last] == hits.text[place]) & (hits.at[place + last] == hits.at[place] + last)
        return place[follows], hits.gram[place[follows]].astype(np.uint64)

    def _found(self, hits: Hits) -> tuple[Ints, Ints]:
        """Which hits begin a known run, and which run."""
        at, run = self._started(hits)
        for offset, known in zip(self.offsets[1:], self.known, strict=True):
            run, found = known.places(run * np.uint64(self.grams) + hits.gram[at + offset].astype(np.uint64))
            at = at[found]
        return at, run.astype(np.int64)

    def texts_with(self, hits: Hits) -> Ints:
        """How many texts have each run."""
        at, run = self._found(hits)
        return np.bincount(distinct(hits.text[at] * self.size + run) % max(self.size, 1), minlength=self.size)

    def within(self, hits: Hits, chosen: Mask) -> Mask:
        """Which hits stand within one of the chosen runs."""
        at, run = self._found(hits)
        edge = np.zeros(len(hits.text) + self.offsets[-1] + 2, np.int64)
        np.add.at(edge, at[chosen[run]], 1)
        np.add.at(edge, at[chosen[run]] + self.offsets[-1] + 1, -1)
        return np.cumsum(edge)[: len(hits.text)] > 0


def firsts(ordered: Ints | Bits) -> Ints:
    """The places in a sorted column where a new value begins."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])


def distinct(values: Ints) -> Ints:
    """Sorted distinct values. np.unique hashes, and takes ten times as long where most values repeat."""
    ordered = np.sort(values)
    return ordered[firsts(ordered)]


def _words(texts: pl.Series) -> pl.Series:
    """The words of each text; an expression over one column runs in one thread, so slices of it are
    given to several.
    """

    def read(part: pl.DataFrame) -> pl.Series:
        return part.to_series().str.to_lowercase().str.extract_all(WORD)

    with ThreadPoolExecutor(usable_cores()) as pool:
        return pl.concat(
            [pl.Series(dtype=pl.List(pl.String)), *pool.map(read, texts.to_frame("text").iter_slices(SLICE))]
        )


def _placed(at: Ints, run: Bits, starts: Ints) -> Hits:
    text = np.searchsorted(starts, at, side="right") - 1
    return Hits(text, at - starts[text], run.astype(np.int64))
