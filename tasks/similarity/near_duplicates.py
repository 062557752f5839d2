"""Near-duplicates without approximation: every pair of texts at or above a Jaccard similarity, and no other.

The join is in set_join.py. Measured on synthetic texts of 49 words, one in five a near-duplicate, threshold 0.7, on two
cores: 0.4 s and 0.3 GB for 100,000 texts; 5.0 s and 1.9 GB for 1,000,000 (2026-11-24; tests/benchmarks).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.core.errors import DataError
from tasks.similarity.parallel import GOLDEN, Ints, chunks, in_parts, share
from tasks.similarity.set_join import BUDGET, Threshold, join
from tasks.similarity.shingles import ShingleSets, overlaps, shingle_sets

MOST_PAIRS = 50_000_000  # 4 GB at the peak; 10,000 variants of one text come to it, a usual million rows to 0.2 million
PAIRS_SCHEMA = {"row_id_a": pl.String, "row_id_b": pl.String, "jaccard": pl.Float64}


class TooManyPairsError(DataError):
    """The answer would not fit into memory; leader_clusters.py needs no pairs where only who stays is asked for."""


def near_duplicate_pairs(texts: pl.DataFrame, threshold: float = 0.7, ngram: int = 3) -> pl.DataFrame:
    """Every pair of texts whose Jaccard similarity is at least `threshold`, and no other.

    texts: row_id (String, unique), text (String; null counts as empty). threshold: above 0, at most 1, read as the
    decimal it is written as (nine places). ngram: words a shingle, at least 1.

    A text becomes a set of shingles thus:
        words    = tasks.similarity.words.words(text)
        shingles = {tuple(words[i : i + ngram]) for i in range(max(len(words) - ngram + 1, 1))} if words else set()
    Words are Python's `\\w+` in lower case, but where a script writes no spaces between them: there each Chinese or
    Japanese character is a word, and in Thai, Lao, Khmer and Burmese the letters up to the next vowel (words.py).
    A text of fewer than ngram words is one shingle, all its words. A text with no word has none and is in no pair, not
    even with its own copy: find exact copies by comparing texts.

    Returns row_id_a < row_id_b, jaccard = |A & B| / |A | B|, sorted; the same for any order of the rows. The answer
    itself is quadratic where many texts are alike (10,000 copies are 50 million pairs): collapse exact copies first.
    Raises ValueError on a threshold, ngram or row_id outside these bounds, TooManyPairsError beyond MOST_PAIRS pairs.
    """
    ids, sets, limit = _prepared(texts, threshold, ngram)
    rows = np.bincount(_variants(sets, limit))
    if (rows * (rows - 1) // 2).sum() > MOST_PAIRS:  # known before the minutes that finding them would take
        raise _too_many(int(rows.max()), MOST_PAIRS)
    return _frame(ids, _pairs(sets, limit, MOST_PAIRS))


def near_duplicate_groups(
    texts: pl.DataFrame, threshold: float = 0.7, ngram: int = 3, max_pairs: int = MOST_PAIRS
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What `near_duplicate_pairs` says, without writing out the pairs among thousands of variants of one text.

    Variants are texts of one size that share the same shingles with the rest and differ only in shingles of their own
    (a ticket number, a name), copies included, if that makes them alike: each is then as like to any other text as the
    rest. texts may have a third column, group (Int64 from 0): texts of different groups then share nothing.

    Returns (variants, pairs). variants: row_id, first (the smallest row_id among its variants), jaccard (between any
    two of them); only texts that are not a first themselves. pairs: as near_duplicate_pairs, of all texts but those.
    Raises as near_duplicate_pairs does; TooManyPairsError beyond `max_pairs` pairs.
    """
    ids, sets, limit = _prepared(texts, threshold, ngram)
    first = _variants(sets, limit)
    own = first == np.arange(len(first))
    overlap, size = sets.lengths[~own], sets.size[~own]
    jaccard = pl.Series(overlap / (2 * size - overlap))
    variants = [ids.gather(sets.row[~own]), ids.gather(sets.row[first[~own]]), jaccard]
    schema = {"row_id": pl.String, "first": pl.String, "jaccard": pl.Float64}
    return pl.DataFrame(variants, schema=schema).sort("row_id"), _frame(ids, _pairs(sets.only(own), limit, max_pairs))


def _prepared(texts: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.Series, ShingleSets, Threshold]:
    limit = Threshold.of(threshold)
    if ngram < 1:
        raise ValueError(f"ngram must be at least 1, got {ngram}")
    if texts["row_id"].n_unique() != texts.height or texts["row_id"].has_nulls():
        raise ValueError("row_id must be unique and not null")
    ordered = texts.sort("row_id")  # positions then compare as the ids do
    groups = ordered["group"].to_numpy() if "group" in ordered.columns else None
    return ordered["row_id"], shingle_sets([ordered["text"]], ngram, groups), limit


def _frame(ids: pl.Series, found: Ints) -> pl.DataFrame:
    first, second, overlap, union = found
    order = np.lexsort((second, first))
    jaccard = pl.Series(overlap[order] / union[order])
    return pl.DataFrame([ids.gather(first[order]), ids.gather(second[order]), jaccard], schema=PAIRS_SCHEMA)


def _pairs(sets: ShingleSets, limit: Threshold, max_pairs: int) -> Ints:
    found = join(sets, limit, max_pairs)
    if found is None:
        raise _too_many(len(sets.row), max_pairs)
    return found


def _variants(sets: ShingleSets, limit: Threshold) -> Ints:
    """For each set the place of its first variant (see near_duplicate_groups), its own if it has none."""
    kind = GOLDEN * (sets.size * 2**20 + sets.lengths).astype(np.uint64)
    for word in sets.sketch:
        kind = (kind ^ word) * GOLDEN
    _, one, which = np.unique(kind, return_index=True, return_inverse=True)
    first, own = one[which], np.arange(len(kind))
    maybe = np.flatnonzero((first != own) & (sets.lengths >= limit.overlap(2 * sets.size)))
    same = (sets.size[first] == sets.size) & (sets.lengths[first] == sets.lengths)

    def compared(part: slice) -> None:  # hashes only propose: the shingles themselves are compared
        mine = maybe[part]
        same[mine] &= overlaps(sets, first[mine], mine) == sets.lengths[mine]

    list(in_parts(compared, chunks(2 * sets.lengths[maybe], share(BUDGET))))
    alike = np.zeros(len(kind), np.bool_)
    alike[maybe] = same[maybe]
    return np.where(alike, first, own)


def _too_many(rows: int, max_pairs: int) -> TooManyPairsError:
    return TooManyPairsError(
        f"More than {max_pairs:,} pairs of texts are near-duplicates of one another.",
        where=f"{rows:,} texts that share wording, probably one text sent thousands of times with small changes",
        allowed=f"at most {max_pairs:,} pairs",
        todo="keep a few rows of such a series at the source (automatic notices, templates), then run again",
    )
