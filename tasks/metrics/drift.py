"""Whether new rows differ from older ones: lengths, words and labels, each by a stated test and by how large the
difference is.

    lengths   two-sample Kolmogorov-Smirnov test. Effect: its statistic D, the share of rows by which the two differ
              at the length where they differ most, but a tenth longer or shorter counts as the same: where all rows
              are alike, a digit more in an order number moves every one of them
    words     Jensen-Shannon divergence (base 2: 0 the same words, 1 none in common) between the shares that words
              have, a word counted once a row. p by permutation of whole rows, since the words of one row come
              together. Effect: the divergence above its mean over the permutations, because in few rows it is large
              by chance alone
    labels    chi-square test of homogeneity, p from random tables of the same margins, since labels may be rare.
              Effect: total variation distance, the share of rows that would need another label for the two to be
              alike, above its mean

With many rows every p is small, and with few every effect may be large: a drift is what is both (`Test.found`). Rows
count as drawn at random from what is sent. Every draw here is seeded, so the same rows give the same figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

MOST_ROWS = 5_000  # of each side, drawn by row_id, which is a sha256: an effect is known to a point or two then
WORDS = 2_000  # the most frequent of both sides; the rest is one word: it grows when rows turn to what was never said
TESTS = 4  # a look makes: two of lengths, words, labels; the level asked for is shared out among them (Bonferroni)
RESAMPLES = 999  # p is known in steps of 0.001, less than half of 0.01 shared among four
CHUNK = 100  # resamples that are in memory at once: 100 x 2,001 words are 1.6 MB
LETTERS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[\p{L}\p{M}]+"  # scripts without spaces: a letter is a word
ALIKE = 1.1  # lengths in this ratio are no different
SEED = 0


@dataclass(frozen=True)
class Test:
    """What a test says of two sets of rows. p: how often chance alone does the like; effect: 0 to 1, see the module."""

    name: str
    statistic: float
    p: float
    effect: float

    def by_chance(self, significance: float) -> bool:
        """Whether chance explains it. significance: of all tests of a look together."""
        return self.p >= significance / TESTS

    def found(self, significance: float, least: float) -> bool:
        """Whether chance is no explanation and the effect is at least `least`; a `least` of 0 finds nothing."""
        return least > 0 and self.effect >= least and not self.by_chance(significance)


@dataclass(frozen=True)
class Moved:
    """A value whose share changed most: of the rows before, and of the new ones."""

    value: str
    before: float
    now: float


def drawn(rows: pl.DataFrame) -> pl.DataFrame:
    """At most MOST_ROWS of them, the same ones whatever their order."""
    return rows.sort("row_id").head(MOST_ROWS)


def lengths(before: pl.Series, now: pl.Series) -> Test:
    """Two sets of lengths (integers), neither empty."""
    from scipy.stats import ks_2samp

    one, other = before.to_numpy(), now.to_numpy()
    told = ks_2samp(one, other, method="asymp")  # ties make it err on the side of no drift
    effect = max(_shorter(one, other), _shorter(other, one))
    return Test("Kolmogorov-Smirnov", float(told.statistic), float(told.pvalue), effect)


def _shorter(one: Any, other: Any) -> float:
    """The largest share by which more rows of `one` than of `other` stay below some length, a tenth allowed for."""
    below, ordered = np.sort(one), np.sort(other)
    reached = np.searchsorted(ordered, below * ALIKE, side="right") / len(ordered)
    return float(max(0.0, (np.arange(1, len(below) + 1) / len(below) - reached).max()))


def labels(before: pl.Series, now: pl.Series) -> Test:
    """Two sets of labels (strings without nulls), neither empty."""
    from scipy.stats import random_table

    name, table = "chi-square, Monte Carlo", _shares(before, now).select("before", "now").to_numpy().T
    # Of the same margins.
    by_margins = random_table(table.sum(axis=1), table.sum(axis=0)).rvs(RESAMPLES, random_state=SEED)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    observed, by_chance = (((tables - expected) ** 2 / expected).sum(axis=(-2, -1)) for tables in (table, by_margins))
    p = (1 + int((by_chance >= observed - 1e-9).sum())) / (RESAMPLES + 1)
    return Test(name, float(observed), p, max(0.0, float(_distance(table) - _distance(by_margins).mean())))


def _distance(tables: Any) -> Any:
    shares = tables / tables.sum(axis=-1, keepdims=True)
    return np.abs(shares[..., 0, :] - shares[..., 1, :]).sum(axis=-1) / 2


def moved(before: pl.Series, now: pl.Series, most: int) -> list[Moved]:
    """The `most` values whose share of the rows changed most; values of nobody's text are meant, such as labels."""
    counts = _shares(before, now).with_columns(pl.col("before") / before.len(), pl.col("now") / now.len())
    return _most(counts.filter(pl.col("before") != pl.col("now")), most)


def words(before: pl.Series, now: pl.Series, most: int = 0) -> tuple[Test, list[Moved]]:
    """Two sets of texts, neither empty; and the `most` words whose share of the rows changed most."""
    texts = pl.concat([before, now])
    used, vocabulary = _used(texts)
    first, seen = before.len(), np.asarray(used.sum(axis=0), dtype=float).ravel()

    def divergences(rows: Any) -> Any:
        """Of `rows` (0 and 1: which rows are of one side), against the rest: one figure a line."""
        one = np.asarray(rows @ used, dtype=float)
        return divergence(one, seen - one)

    mark = np.zeros((1, len(texts)))
    mark[0, first:] = 1
    observed = float(divergences(mark)[0])
    by_chance = _resampled(divergences, len(texts), len(texts) - first)
    p = (1 + int((by_chance >= observed - 1e-12).sum())) / (RESAMPLES + 1)
    test = Test("Jensen-Shannon, permutation", observed, p, max(0.0, observed - float(by_chance.mean())))
    return test, _moved_words(used, vocabulary, first, most)


def divergence(one: Any, other: Any) -> Any:
    """Jensen-Shannon divergence of counts, base 2, line by line; a line of nothing is like every other."""
    p, q = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for counts in (one, other))
    middle = (p + q) / 2
    found = (_entropy(middle) - (_entropy(p) + _entropy(q)) / 2).clip(0, 1)
    return np.where((one.sum(axis=1) == 0) | (other.sum(axis=1) == 0), 0.0, found)


def _entropy(shares: Any) -> Any:
    return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)


def _resampled(measure: Callable[[Any], Any], rows: int, chosen: int) -> Any:
    dice, found = np.random.default_rng(SEED), []
    for start in range(0, RESAMPLES, CHUNK):
        marks = np.zeros((min(CHUNK, RESAMPLES - start), rows))
        for line in marks:
            line[dice.choice(rows, chosen, replace=False)] = 1
        found.append(measure(marks))
    return np.concatenate(found)


def _used(texts: pl.Series) -> tuple[Any, list[str]]:
    """A line a text, a column a word: 1 where the text has it; and the words. The last column
    counts all rarer words.
    """
    from scipy.sparse import coo_matrix

    said = pl.DataFrame({"row": np.arange(len(texts)), "word": texts.str.extract_all(LETTERS)})
    pairs = said.explode("word").drop_nulls().unique()
    known = pairs.group_by("word").len().sort(-pl.col("len").cast(pl.Int64), "word").head(WORDS)
    vocabulary = known["word"].to_list()
    column = known.select("word", column=pl.int_range(pl.len()))
    placed = pairs.join(column, on="word", how="left").with_columns(pl.col("column").fill_null(len(vocabulary)))
    where = placed["row"].to_numpy(), placed["column"].to_numpy()
    return coo_matrix((np.ones(placed.height), where), shape=(len(texts), len(vocabulary) + 1)).tocsr(), vocabulary


def _moved_words(used: Any, vocabulary: list[str], first: int, most: int) -> list[Moved]:
    """Of words in two rows at least: one row's own word says nothing, and might be somebody's."""
    sides = [np.asarray(side.sum(axis=0)).ravel()[: len(vocabulary)] for side in (used[:first], used[first:])]
    rows = {"before": first, "now": used.shape[0] - first}
    shares = {name: side / rows[name] for name, side in zip(rows, sides, strict=True)}
    counts = pl.DataFrame({"value": vocabulary, **shares}, schema_overrides={"value": pl.String})
    return _most(counts.filter(pl.Series(sides[0] + sides[1]) >= 2), most)


def _shares(before: pl.Series, now: pl.Series) -> pl.DataFrame:
    """value, before, now: how often each value stands on each side, by value."""
    sides = [
        pl.DataFrame({"value": side}).group_by("value").len(name) for name, side in (("before", before), ("now", now))
    ]
    joined = sides[0].join(sides[1], on="value", how="full", coalesce=True)
    return joined.with_columns(pl.col("before", "now").fill_null(0).cast(pl.Int64)).sort("value")


def _most(shares: pl.DataFrame, most: int) -> list[Moved]:
    ordered = shares.sort(-(pl.col("now") - pl.col("before")).abs(), "value").head(most)
    return [Moved(**row) for row in ordered.iter_rows(named=True)]
