"""Near-duplicate prompts under the same system message as nodes and edges, crowds of one text as one node.

Prompts are alike where they are as a whole and in what is their own, without wording that many of them share
(shared_wording.py): thousands of questions below one instruction are no crowd of one text.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import polars as pl

from tasks.relations.prompts import groups_of
from tasks.similarity.leader_clusters import Jaccard, survivors
from tasks.similarity.near_duplicates import TooManyPairsError, near_duplicate_groups
from tasks.similarity.shared_wording import shared_wording
from tasks.similarity.word_ngrams import jaccard

MOST_PAIRS = (
    200_000  # and two a prompt: a usual million prompts has 0.2 million in all, and each costs Python time later
)

CROWDS = (500, 50, 0)  # texts alike to one: beyond chance, then fewer until the pairs among the others are few


def similar_prompts(rows: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which prompts are alike at the threshold under the same system message, as nodes and the edges between them.

    rows: row_id, system, prompt; each (system, prompt) once. Returns (nodes, edges). nodes: row_id, node (the smallest
    row_id among its variants: all alike, and as like to any other prompt as it is), jaccard (among the node's variants,
    1 if it is the only one). edges: a, b (two nodes, a < b), jaccard; sorted.

    Where more than MOST_PAIRS are alike, one text was sent thousands of times with small changes. Then a text that more
    than a crowd of others is like is one node with them, and jaccard is null. Crowds are of CROWDS, the largest that
    will do; the last always does: what is then left to compare are texts of which no two are alike.
    """
    ordered = rows.sort("row_id")
    own = shared_wording(ordered["prompt"])
    group = groups_of(ordered.select(pl.struct("system", frame=own["frame"])).to_series())
    texts = ordered.select("row_id", text=own["own"], group=group)
    nodes, edges = _compared(texts, threshold, ngram)
    framed = ordered.filter(own["frame"] != "").select("row_id", "prompt")
    return (nodes, edges) if framed.is_empty() else _as_a_whole(nodes, edges, framed, threshold, ngram)


def _compared(texts: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    try:
        return _nodes(texts, texts.select("row_id", crowd="row_id"), threshold, ngram)
    except TooManyPairsError:
        stars = _stars(texts, threshold, ngram)
    for crowd in CROWDS[:-1]:
        with suppress(TooManyPairsError):
            return _nodes(texts, _crowds(texts, stars, crowd), threshold, ngram)
    return _nodes(texts, _crowds(texts, stars, CROWDS[-1]), threshold, ngram)


def _as_a_whole(
    nodes: pl.DataFrame, edges: pl.DataFrame, framed: pl.DataFrame, threshold: float, ngram: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same of whole prompts: what was compared without their frame is measured with it."""
    text = dict(framed.iter_rows())

    def measured(pairs: pl.DataFrame, *ends: str) -> pl.Series:
        found = (
            jaccard(text[a], text[b], ngram) if score is not None and a in text and b in text else score
            for a, b, score in pairs.select(*ends, "jaccard").iter_rows()
        )
        return pl.Series("jaccard", found, pl.Float64)

    edges = edges.with_columns(measured(edges, "a", "b")).filter(pl.col("jaccard") >= threshold)
    others = nodes.filter(pl.col("row_id") != pl.col("node")).unique("node", keep="first", maintain_order=True)
    within = others.select("node", whole=measured(others, "node", "row_id"))
    known = nodes.join(within, on="node", how="left", maintain_order="left")
    return known.select("row_id", "node", jaccard=pl.coalesce("whole", "jaccard")), edges


def _nodes(
    texts: pl.DataFrame, crowds: pl.DataFrame, threshold: float, ngram: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """crowds: row_id, crowd (row_id of the one that stands for it). Raises TooManyPairsError if those have too many
    pairs.
    """
    standing = texts.join(crowds.filter(pl.col("row_id") == pl.col("crowd")), on="row_id", how="semi")
    variants, pairs = near_duplicate_groups(standing, threshold, ngram, MOST_PAIRS + 2 * standing.height)
    known = crowds.join(variants, left_on="crowd", right_on="row_id", how="left")
    nodes = known.with_columns(node=pl.coalesce("first", "crowd"))
    crowded = (pl.col("row_id") != pl.col("crowd")).any().over("node")
    within = pl.when(~crowded).then(pl.col("jaccard").max().over("node").fill_null(1.0))
    return nodes.select("row_id", "node", jaccard=within).sort("row_id"), pairs.rename(
        {"row_id_a": "a", "row_id_b": "b"}
    )


def _stars(texts: pl.DataFrame, threshold: float, ngram: int) -> pl.DataFrame:
    """row, star: of each text that would go if of those that are alike one stays, and the most
    similar one that stays.
    """
    likeness = Jaccard([texts["text"]], texts["group"].to_numpy(), threshold, ngram)
    stays, (edges,) = survivors(texts.height, [likeness])
    ends = np.where(stays[edges.a], edges.b, edges.a), np.where(stays[edges.a], edges.a, edges.b)
    met = pl.DataFrame({"row": ends[0], "star": ends[1], "score": edges.score}).sort("row", -pl.col("score"), "star")
    return met.unique("row", keep="first", maintain_order=True)


def _crowds(texts: pl.DataFrame, stars: pl.DataFrame, most: int) -> pl.DataFrame:
    """Each row_id with that of the text it goes with: itself, or its star if that has more than `most`."""
    large = stars.filter(pl.len().over("star") > most)
    crowd = np.arange(texts.height)
    crowd[large["row"].to_numpy()] = large["star"].to_numpy()
    return texts.select("row_id", crowd=texts["row_id"].gather(crowd))
