"""Word n-grams of texts, and those found more than once: equal by their words, not by a hash (words.py: a word)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.similarity.parallel import GOLDEN, PART, Bits, Ints, Mask, chunks, in_parts, ranges, sort
from tasks.similarity.words import WORD, words

BATCH = 20_000  # texts held as lists of strings at a time: some 20 MB a thread for texts of 50 words


def jaccard(one: str, two: str, ngram: int) -> float:
    """The similarity of two texts by the rule above, for the few pairs that a person is told of; the same text is 1."""
    sets = []
    for text in (one, two):
        said = words(text)
        sets.append({tuple(said[i : i + ngram]) for i in range(max(len(said) - ngram + 1, 1))} if said else set())
    a, b = sets
    return 1.0 if one == two else len(a & b) / max(len(a | b), 1)


def word_ids(texts: pl.Series, ngram: int) -> tuple[npt.NDArray[np.uint32], Ints]:
    """All words of all texts as numbers from 1, and how many each text has; a short text is filled up to ngram by 0.

    How words are numbered depends on which thread meets them first, and nothing that leaves this module on the numbers.
    """
    vocabulary = pl.Categorical(pl.Categories.random())  # private, so that it is freed with the last column of it
    # Keeps the numbering alive between batches, and makes the empty string 0.
    anchor = pl.Series([""], dtype=vocabulary)

    def read(batch: pl.Series) -> tuple[npt.NDArray[np.uint32], Ints]:
        found = batch.str.to_lowercase().str.extract_all(WORD)
        count = found.list.len().cast(pl.Int64).to_numpy()
        flat = found.filter(found.list.len() > 0).explode().cast(anchor.dtype).to_physical().to_numpy()
        filled = np.where(count > 0, np.maximum(count, ngram), 0)
        padded = np.zeros(filled.sum(), np.uint32)
        padded[ranges(np.cumsum(filled) - filled, count)] = flat
        return padded, filled

    filled = texts.fill_null("")
    batches = [filled[start : start + BATCH] for start in range(0, len(filled), BATCH)]
    words, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for padded, length in in_parts(read, batches):
        words.append(padded)
        lengths.append(length)
    return np.concatenate(words), np.concatenate(lengths)


@dataclass(frozen=True)
class Runs:
    """The runs of `ngram` words inside texts, each known by the place of its first word.

    words: of all texts, as words_of gives them. text: of every word. each: runs of every text.
    side: of every text; runs of two sides are never equal. None where there is one side.
    """

    words: npt.NDArray[np.uint32]
    text: npt.NDArray[np.uint32]
    each: Ints
    ngram: int
    side: Ints | None

    @classmethod
    def of(cls, texts: pl.Series, ngram: int, side: Ints | None) -> Runs:
        words, lengths = word_ids(texts, ngram)
        text = np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)
        return cls(words, text, np.where(lengths > 0, lengths - ngram + 1, 0), ngram, side)

    def equal(self) -> list[tuple[Ints, Ints]]:
        """Those found more than once: their places, equal ones together, and how many of each there are; in parts.

        A hash brings runs together that may be equal: its high bits and the place in one number, which sorts ten times
        as fast as a key by its place. Then their words are compared.
        """
        bits = np.uint64(len(self.words).bit_length())
        code = self._hashed(bits)
        sort(code)
        cuts = np.searchsorted(code, code[PART::PART] >> bits << bits).tolist()  # none parts runs of one hash
        return list(
            in_parts(lambda cut: self._compared(code[slice(*cut)], bits), list(pairwise([0, *cuts, len(code)])))
        )

    def _columns(self, places: Ints) -> list[npt.NDArray[Any]]:
        """What is the same of equal runs, and of no others."""
        words = [self.words[places + step] for step in range(self.ngram)]
        return words if self.side is None else [*words, self.side[self.text[places]]]

    def _hashed(self, bits: np.uint64) -> Bits:
        lengths = np.where(self.each > 0, self.each + self.ngram - 1, 0)
        starts, ends = np.cumsum(lengths) - lengths, np.cumsum(self.each)
        code = np.empty(self.each.sum(), np.uint64)

        def write(part: slice) -> None:
            places = ranges(starts[part], self.each[part])
            mine = code[ends[part][-1] - len(places) : ends[part][-1]]
            mine[:] = 0
            for column in self._columns(places):
                mine += column.astype(np.uint64)
                mine *= GOLDEN
            mine >>= bits
            mine <<= bits
            mine |= places.view(np.uint64)

        list(in_parts(write, chunks(self.each, PART)))
        return code

    def _compared(self, code: Bits, bits: np.uint64) -> tuple[Ints, Ints]:
        first = np.ones(len(code) + 1, np.bool_)
        first[1:-1] = (code[1:] ^ code[:-1]) >> bits > 0
        maybe = ~(first[1:] & first[:-1])
        first = first[:-1][maybe]
        places = (code[maybe] & ((np.uint64(1) << bits) - np.uint64(1))).view(np.int64)
        columns = self._columns(places)
        new = _new(columns)
        if (torn := new > first).any():  # one hash, but not the same words
            starts = np.append(np.flatnonzero(first), len(first))
            group = np.unique(np.searchsorted(starts, np.flatnonzero(torn), side="right") - 1)
            size = starts[group + 1] - starts[group]
            mixed = ranges(starts[group], size)
            by_words = mixed[np.lexsort([*(column[mixed] for column in columns), np.repeat(group, size)])]
            for column in (places, *columns):
                column[mixed] = column[by_words]
            new = _new(columns)
        count = np.diff(np.append(np.flatnonzero(new), len(new)))
        return places[np.repeat(count > 1, count)], count[count > 1]


def _new(columns: list[npt.NDArray[Any]]) -> Mask:
    """Whether a run is another than the one before it."""
    new = np.zeros(len(columns[0]), np.bool_)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new
