"""Texts as runs of `ngram` words, each run a number: equal numbers mean equal words, never equal hashes."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.machine import usable_cores

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]
WORD = r"[\p{L}\p{N}_]+"  # Python's \w. Rust's own \w differs: it joins combining marks and leaves out ² and ½
BATCH = 50_000  # texts held as lists of strings at a time: some 50 MB a thread for texts of 50 words


def jaccard(one: str, two: str, ngram: int) -> float:
    """The similarity of two texts by the rule above, for the few pairs that a person is told of; the same text is 1."""
    sets = []
    for text in (one, two):
        words = re.findall(r"\w+", text.lower())
        sets.append({tuple(words[i : i + ngram]) for i in range(max(len(words) - ngram + 1, 1))} if words else set())
    a, b = sets
    return 1.0 if one == two else len(a & b) / max(len(a | b), 1)


def words_of(texts: pl.Series, ngram: int) -> tuple[npt.NDArray[np.uint32], Ints]:
    """All words of all texts as numbers from 1, and how many each text has; a short text is filled up to ngram by 0.

    How words are numbered depends on which thread meets them first, and nothing that leaves this module on the numbers.
    """
    vocabulary = pl.Categorical(pl.Categories.random())  # private, so that it is freed with the last column of it
    anchor = pl.Series([""], dtype=vocabulary)  # keeps the numbering alive between batches

    def read(batch: pl.DataFrame) -> tuple[npt.NDArray[np.uint32], Ints]:
        found = batch["text"].str.to_lowercase().str.extract_all(WORD)
        count = found.list.len().cast(pl.Int64).to_numpy()
        flat = found.filter(found.list.len() > 0).explode().cast(anchor.dtype).to_physical().to_numpy()
        filled = np.where(count > 0, np.maximum(count, ngram), 0)
        padded = np.zeros(filled.sum(), np.uint32)
        padded[ranges(np.cumsum(filled) - filled, count)] = flat + 1
        return padded, filled

    with ThreadPoolExecutor(usable_cores()) as pool:
        done = list(pool.map(read, texts.fill_null("").to_frame("text").iter_slices(BATCH)))
    words, lengths = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for padded, filled in done:
        words.append(padded)
        lengths.append(filled)
    del done
    return np.concatenate(words), np.concatenate(lengths)


def runs(words: npt.NDArray[np.uint32], lengths: Ints, ngram: int) -> Bits:
    """One number for every run of `ngram` words inside a text: the words' numbers as digits, so never a collision."""
    base = int(words.max(initial=0)) + 1
    key, bound = words.astype(np.uint64), base
    for step in range(1, ngram):
        if bound * base >= 2**64:  # no room for another digit: number the runs so far from 0
            number, frequency = numbered(key)
            key, bound = number.astype(np.uint64), len(frequency)
        key *= np.uint64(base)
        key[:-step] += words[step:]
        bound *= base
    inside = np.ones(len(words), np.bool_)
    ends = np.cumsum(lengths)[lengths > 0]
    for step in range(1, ngram):  # runs that would begin here end in the next text
        inside[ends - step] = False
    return key[inside]


def numbered(key: Bits) -> tuple[Ints, Ints]:
    """Each key's number among the distinct keys, 0.., and how often each number occurs."""
    order = np.argsort(key)
    ordered = key[order]
    first = np.ones(len(key), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    del ordered
    number = np.empty(len(key), np.int64)
    number[order] = np.cumsum(first)
    number -= 1
    return number, np.diff(np.append(np.flatnonzero(first), len(key)))


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """The integers start..start+length-1 of every pair, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
