"""Wording that many texts share (an instruction, a schema, a passage, a signature), and what each text has of its own.

Shared is a stretch of RUN words or more that stands in more than MANY distinct texts, or in more than SHARE of them
where they are thousands: phrases of a trade come to a few in any large set. What texts have in common by it says
nothing about whether they ask the same, so rows are compared by what is left. Words with a digit (a ticket's number, a
date) are left out of that too: where a notice was sent a thousand times, they are all that differs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.similarity.ngram_index import distinct
from tasks.similarity.parallel import Ints, Mask
from tasks.similarity.word_ngrams import Runs
from tasks.similarity.words import WORD

RUN = 8  # words; shorter stretches are phrases, and cannot make a text like another by themselves
MANY = 3  # texts: an original and its rewordings are rarely more, and an instruction rarely has fewer
SHARE = 0.001


def shared_wording(texts: pl.Series) -> pl.DataFrame:
    """What is whose, a row a text: own, frame.

    own: the text's words outside shared wording, but those with a digit; the text as it is where it shares nothing, or
    is nothing else. frame: the first RUN of the others, else "": the same words in two frames are two tasks.
    texts: String, no nulls; copies of a text count once.
    """
    distinct_texts = texts.unique(maintain_order=True)
    found = _parted(distinct_texts).with_columns(text=distinct_texts)
    return texts.to_frame("text").join(found, on="text", how="left", maintain_order="left").select("own", "frame")


def _parted(texts: pl.Series) -> pl.DataFrame:
    runs = Runs.of(texts, RUN, None)
    shared = _shared(runs, few(len(texts)))
    some = np.bincount(runs.text[shared], minlength=len(texts)) > 0
    some &= np.bincount(runs.text[~shared], minlength=len(texts)) > 0
    every = pl.DataFrame({"row": np.arange(len(texts)), "text": texts, "some": some})
    words = every.filter("some").select("row", word=pl.col("text").str.to_lowercase().str.extract_all(WORD))
    flat = words.explode("word").with_columns(shared=shared[some[runs.text]])
    flat = flat.filter(~pl.col("word").str.contains(r"\p{N}"))
    own, frame = flat.filter(~pl.col("shared")), flat.filter("shared")
    parts = [_joined(own, pl.col("word"), "own"), _joined(frame, pl.col("word").head(RUN), "frame")]
    for part in parts:
        every = every.join(part, on="row", how="left", maintain_order="left")
    mine = pl.when("some").then(pl.col("own").fill_null("")).otherwise("text")
    return every.select(own=mine, frame=pl.col("frame").fill_null(""))


def few(texts: int) -> int:
    """How many of so many texts may have a stretch before it counts as shared wording."""
    return max(MANY, int(SHARE * texts))


def _joined(words: pl.DataFrame, of: pl.Expr, name: str) -> pl.DataFrame:
    return words.group_by("row", maintain_order=True).agg(of.str.join(" ").alias(name))


def _shared(runs: Runs, many: int) -> Mask:
    """Of every word whether it stands in wording that more than `many` texts have."""
    edge = np.zeros(len(runs.words) + RUN, np.int8)
    for places, times in runs.equal():
        kept = _in_more(places, times, runs.text[places], many)
        whole = kept[runs.words[kept + RUN - 1] > 0]  # a text of fewer words is filled up by 0
        edge[whole] += 1
        edge[whole + RUN] -= 1
    return np.cumsum(edge[: len(runs.words)], dtype=np.int32) > 0


def _in_more(places: Ints, times: Ints, text: npt.NDArray[np.uint32], many: int) -> Ints:
    """Of runs, equal ones together and so many of each, the places of those found in more than `many` texts."""
    run = np.repeat(np.arange(len(times)), times)
    texts = int(text.max(initial=0)) + 1
    found = np.bincount(distinct(run * texts + text) // texts, minlength=len(times))
    return places[(found > many)[run]]
