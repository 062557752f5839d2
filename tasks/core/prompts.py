"""What two rows are compared by: the question a row asks, in a form in which writing habits do not count."""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.core.near_duplicates import TooManyPairsError, near_duplicate_groups
from tasks.core.survivors import Jaccard, survivors

MOST_PAIRS = 2_000_000  # and two a prompt: what is written out, some 0.3 GB; a usual million prompts has 0.2 million
CROWD = 500  # texts alike to one: far beyond chance, and few enough that those of smaller crowds have few pairs


def prompts(rows: pl.DataFrame) -> pl.DataFrame:
    """What each row asks and answers: row_id, system, prompt, answer (all String), one row each, sorted by row_id.

    prompt: every message before the final answer but the system's, one below the other; of a conversation of several
    turns that is all the model is shown, earlier answers included. system: the system messages; the same words under
    another system message are another task. Both normalised: Unicode NFKC, lower case, white space collapsed. answer:
    the last message, if it is the assistant's, trimmed; else empty.
    """
    messages = pl.col("messages")
    final = messages.list.last().struct.field("role").eq_missing("assistant")
    before = pl.when(final).then(messages.list.head(messages.list.len() - 1)).otherwise(messages)
    role, content = pl.element().struct.field("role"), pl.element().struct.field("content").fill_null("")
    answer = pl.when(final).then(messages.list.last().struct.field("content")).otherwise(pl.lit(""))
    return rows.select(
        "row_id",
        system=normalised(before.list.eval(content.filter(role == "system")).list.join("\n")),
        prompt=normalised(before.list.eval(content.filter(role != "system")).list.join("\n")),
        answer=answer.fill_null("").str.strip_chars(),
    ).sort("row_id")


def similar_prompts(asked: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which prompts are alike at the threshold under the same system message, as nodes and the edges between them.

    asked: row_id, system, prompt; each (system, prompt) once. Returns (nodes, edges). nodes: row_id, node (the smallest
    row_id among its variants: all alike, and as like to any other prompt as it is), jaccard (among the node's variants, 1
    if it is the only one). edges: a, b (two nodes, a < b), jaccard; sorted.

    Where more than MOST_PAIRS are alike, one text was sent thousands of times with small changes, each as like to the rest
    as not: all that are alike to a text which has more than CROWD of them are one node with it, and jaccard is null.
    """
    texts = asked.select("row_id", text="prompt", group=groups_of(asked["system"])).sort("row_id")
    try:
        return _nodes(texts, texts.select("row_id", crowd="row_id"), threshold, ngram)
    except TooManyPairsError:
        return _nodes(texts, _crowds(texts, threshold, ngram), threshold, ngram)


def _nodes(texts: pl.DataFrame, crowds: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """crowds: row_id, crowd (row_id of the one that stands for it). Raises TooManyPairsError if those have too many pairs."""
    standing = texts.join(crowds.filter(pl.col("row_id") == pl.col("crowd")), on="row_id", how="semi")
    variants, pairs = near_duplicate_groups(standing, threshold, ngram, MOST_PAIRS + 2 * standing.height)
    known = crowds.join(variants, left_on="crowd", right_on="row_id", how="left")
    nodes = known.with_columns(node=pl.coalesce("first", "crowd"))
    crowded = (pl.col("row_id") != pl.col("crowd")).any().over("node")
    within = pl.when(~crowded).then(pl.col("jaccard").max().over("node").fill_null(1.0))
    return nodes.select("row_id", "node", jaccard=within).sort("row_id"), pairs.rename({"row_id_a": "a", "row_id_b": "b"})


def _crowds(texts: pl.DataFrame, threshold: float, ngram: int) -> pl.DataFrame:
    """Each row_id with that of the text it goes with: itself, or the most similar of those that have more than CROWD."""
    likeness = Jaccard([texts["text"]], texts["group"].to_numpy(), threshold, ngram)
    stays, (edges,) = survivors(texts.height, [likeness])
    ends = np.where(stays[edges.a], edges.b, edges.a), np.where(stays[edges.a], edges.a, edges.b)
    met = pl.DataFrame({"row": ends[0], "star": ends[1], "score": edges.score}).sort("row", -pl.col("score"), "star")
    nearest = met.unique("row", keep="first", maintain_order=True).filter(pl.len().over("star") > CROWD)
    crowd = np.arange(texts.height)
    crowd[nearest["row"].to_numpy()] = nearest["star"].to_numpy()
    return texts.select("row_id", crowd=texts["row_id"].gather(crowd))


def groups_of(system: pl.Series) -> pl.Series:
    """Numbers from 0, equal where the system messages are: texts under different ones are never compared."""
    return (system.rank("dense") - 1).cast(pl.Int64)


def normalised(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
