"""What two rows are compared by: the question a row asks, in a form in which writing habits do not count."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import polars as pl

from tasks.data.formats.tool_calls import tools_of, with_calls
from tasks.similarity.leader_clusters import Jaccard, survivors
from tasks.similarity.near_duplicates import TooManyPairsError, near_duplicate_groups

MOST_PAIRS = 200_000  # and two a prompt: a usual million prompts has 0.2 million in all, and each costs Python time later
CROWDS = (500, 50, 0)  # texts alike to one: beyond chance, then fewer until the pairs among the others are few


def prompts(rows: pl.DataFrame) -> pl.DataFrame:
    """What each row asks and answers: row_id, system, prompt, answer (all String), one row each, sorted by row_id.

    prompt: every message before the final answer but the system's, one below the other; of a conversation of several
    turns that is all the model is shown, earlier answers included. system: the system messages; the same words under
    another system message, or with other tools on offer, are another task. Both normalised: Unicode NFKC, lower case, white
    space collapsed. answer: the last message, if it is the assistant's, trimmed; else empty. Calls are part of what it says.
    """
    rows, messages = with_calls(rows), pl.col("messages")
    final = messages.list.last().struct.field("role").eq_missing("assistant")
    before = pl.when(final).then(messages.list.head(messages.list.len() - 1)).otherwise(messages)
    role, content = pl.element().struct.field("role"), pl.element().struct.field("content").fill_null("")
    answer = pl.when(final).then(messages.list.last().struct.field("content")).otherwise(pl.lit(""))
    system = before.list.eval(content.filter(role == "system")).list.join("\n")
    return rows.select(
        "row_id",
        system=normalised(pl.concat_str(system, *_tools(rows), separator="\n", ignore_nulls=True)),
        prompt=normalised(before.list.eval(content.filter(role != "system")).list.join("\n")),
        answer=answer.fill_null("").str.strip_chars(),
    ).sort("row_id")


def _tools(rows: pl.DataFrame) -> list[pl.Series]:
    """The tools on offer in each row, as text, if any row has some."""
    offers = rows["meta"].str.contains('"tools"', literal=True).fill_null(False) if "meta" in rows.columns else None
    if offers is None or not offers.any():
        return []
    found = (tools_of(meta) if offer else None for meta, offer in zip(rows["meta"], offers, strict=True))
    texts = [tools and json.dumps(tools, ensure_ascii=False, sort_keys=True) for tools in found]
    return [pl.Series("tools", texts, pl.String)]


def similar_prompts(asked: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which prompts are alike at the threshold under the same system message, as nodes and the edges between them.

    asked: row_id, system, prompt; each (system, prompt) once. Returns (nodes, edges). nodes: row_id, node (the smallest
    row_id among its variants: all alike, and as like to any other prompt as it is), jaccard (among the node's variants, 1
    if it is the only one). edges: a, b (two nodes, a < b), jaccard; sorted.

    Where more than MOST_PAIRS are alike, one text was sent thousands of times with small changes. Then a text that more
    than a crowd of others is like is one node with them, and jaccard is null. Crowds are of CROWDS, the largest that will do;
    the last always does: what is then left to compare are texts of which no two are alike.
    """
    texts = asked.select("row_id", text="prompt", group=groups_of(asked["system"])).sort("row_id")
    try:
        return _nodes(texts, texts.select("row_id", crowd="row_id"), threshold, ngram)
    except TooManyPairsError:
        stars = _stars(texts, threshold, ngram)
    for crowd in CROWDS[:-1]:
        with suppress(TooManyPairsError):
            return _nodes(texts, _crowds(texts, stars, crowd), threshold, ngram)
    return _nodes(texts, _crowds(texts, stars, CROWDS[-1]), threshold, ngram)


def _nodes(texts: pl.DataFrame, crowds: pl.DataFrame, threshold: float, ngram: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """crowds: row_id, crowd (row_id of the one that stands for it). Raises TooManyPairsError if those have too many pairs."""
    standing = texts.join(crowds.filter(pl.col("row_id") == pl.col("crowd")), on="row_id", how="semi")
    variants, pairs = near_duplicate_groups(standing, threshold, ngram, MOST_PAIRS + 2 * standing.height)
    known = crowds.join(variants, left_on="crowd", right_on="row_id", how="left")
    nodes = known.with_columns(node=pl.coalesce("first", "crowd"))
    crowded = (pl.col("row_id") != pl.col("crowd")).any().over("node")
    within = pl.when(~crowded).then(pl.col("jaccard").max().over("node").fill_null(1.0))
    return nodes.select("row_id", "node", jaccard=within).sort("row_id"), pairs.rename({"row_id_a": "a", "row_id_b": "b"})


def _stars(texts: pl.DataFrame, threshold: float, ngram: int) -> pl.DataFrame:
    """row, star: of each text that would go if of those that are alike one stays, and the most similar one that stays."""
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


def groups_of(system: pl.Series) -> pl.Series:
    """Numbers from 0, equal where the system messages are: texts under different ones are never compared."""
    return (system.rank("dense") - 1).cast(pl.Int64)


def normalised(text: pl.Expr) -> pl.Expr:
    return text.fill_null("").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
