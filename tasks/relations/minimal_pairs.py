"""Minimal pairs: two nearly equal texts with different labels may both be right: "I forgot my PIN" and "I forgot my
passcode".

They are when both of these hold in the rest of the data, which is counted and not guessed:
    - a word that only one of them has speaks for its label: it is in at least OTHERS more texts of that label, and in
      a share of them LIFT times its share of the other label's texts;
    - all words of each text together do not speak much for the other's label (naive Bayes of the two labels, ODDS to
      one).
So "please", a spelling mistake or a word left out clears no pair: what both texts say would have to fit both labels as
well. One text more than there is is counted everywhere, so that a label of few texts proves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

import polars as pl

from tasks.relations.prompts import prompts_as_written
from tasks.relations.telling_words import Details
from tasks.similarity.words import WORD, words

# Of 40 rows of Banking77 (10,003) that would be held they clear 24; 2 of the 16 left are false alarms, by eye.
OTHERS, LIFT = 2, 3
ODDS = (
    30  # at ten to one three pairs of Banking77 that are right were held; texts with a label at random are at thousands
)
BATCH = 50_000  # texts split into words at a time
CROWD = 20  # rows of one label to one of another, from which the number in a text that was sent often decides nothing


def without_told_apart(edges: pl.DataFrame, asked: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """edges (node, other, jaccard) but those of two texts that a number, a name or a negation tells apart.

    asked: row_id, node, prompt, label of all rows; rows: as they were written, since names are told by capitals.
    """
    texts = asked.filter(pl.col("row_id") == pl.col("node")).select("node", "prompt", "label")
    differing = _differing(edges, texts)
    written = prompts_as_written(
        rows.filter(pl.col("row_id").is_in(differing.select("node", "other").unpivot()["value"]))
    )
    details = {node: Details.of(text) for node, text in written.items()}
    apart = [details[node].tell_apart(details[other]) for node, other in differing.select("node", "other").iter_rows()]
    told = differing.filter(pl.Series(apart, dtype=pl.Boolean))
    return _without(edges, told.filter(~_is_crowd(told, asked)).select("node", "other").rows())


def _is_crowd(told: pl.DataFrame, asked: pl.DataFrame) -> pl.Series:
    """Of pairs that differ in numbers alone, whether CROWD times as many rows of such a text have one of the labels."""
    frame, frame_b = (pl.col(name).str.replace_all(r"\S*\p{N}\S*", "#") for name in ("prompt", "prompt_b"))
    counts = asked.group_by(frame=frame, label="label").len("rows")
    same = told.with_columns(frame=frame, same=frame == frame_b)
    ends = (["frame", "label"], ["frame", "label_b"])
    a, b = (same.join(counts, left_on=on, right_on=ends[0], how="left", maintain_order="left")["rows"] for on in ends)
    few, many = pl.min_horizontal("a", "b"), pl.max_horizontal("a", "b")
    counted = pl.DataFrame({"same": same["same"], "a": a, "b": b})
    return counted.select(pl.col("same") & (many >= CROWD * few)).to_series()


def _differing(edges: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
    """Edges between texts that are not quite alike and have other labels, with prompt and label of both ends."""
    close = edges.filter((pl.col("node") < pl.col("other")) & (pl.col("jaccard") < 1)).select("node", "other")
    both = close.join(texts, on="node").join(texts, left_on="other", right_on="node", suffix="_b")
    return both.filter(pl.col("label") != pl.col("label_b"))


def _without(edges: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    both = [*pairs, *((b, a) for a, b in pairs)]
    ways = pl.DataFrame(both, schema={"node": pl.String, "other": pl.String}, orient="row")
    return edges.join(ways, on=["node", "other"], how="anti")


def without_minimal_pairs(edges: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """edges (node, other, jaccard) but those of two texts that a word of theirs tells apart.

    claims: node, prompt, label, one row a node: a text of it and the label of all its rows.
    """
    differing = _differing(edges, claims)
    if differing.is_empty():
        return edges
    columns = differing.select("node", "other", "prompt", "prompt_b", "label", "label_b").iter_rows()
    pairs = [(node, other, set(words(a)), set(words(b)), one, two) for node, other, a, b, one, two in columns]
    counts, texts = (
        _counted(claims, {word for pair in pairs for word in pair[2] | pair[3]}),
        Counter(claims["label"].to_list()),
    )

    def share(word: str, label: str, own: bool) -> float:
        """Of the label's texts with this word, the text itself left out where it is one of them."""
        return (counts[word, label] - own + 1) / (texts[label] - own + 2)

    def speaks(word: str, own: str, other: str) -> bool:
        more = counts[word, own] - 1
        return more >= OTHERS and more * (texts[other] + 1) >= LIFT * (counts[word, other] + 1) * texts[own]

    def fits(said: set[str], own: str, other: str) -> bool:
        return sum(log(share(word, own, True) / share(word, other, False)) for word in sorted(said)) > -log(ODDS)

    clear = [
        (node, other)
        for node, other, left, right, one, two in pairs
        if (
            any(speaks(word, one, two) for word in left - right) or any(speaks(word, two, one) for word in right - left)
        )
        and fits(left, one, two)
        and fits(right, two, one)
    ]
    return _without(edges, clear)


def _counted(claims: pl.DataFrame, wanted: set[str]) -> Counter[tuple[str, str]]:
    """In how many texts of each label a word is, for those wanted."""
    counts: Counter[tuple[str, str]] = Counter()
    for batch in claims.iter_slices(BATCH):
        said = pl.col("prompt").str.to_lowercase().str.extract_all(WORD)
        each = batch.select("label", word=said.list.unique()).explode("word").drop_nulls()
        found = each.filter(pl.col("word").is_in(list(wanted))).group_by("word", "label").len()
        for word, label, number in found.iter_rows():
            counts[word, label] += number
    return counts
