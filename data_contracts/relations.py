"""Facts that come from comparing rows with rows: twins, contradictions, and what the holdout or the edge cases ask too.

Two texts are alike when they are the same once Unicode, case and spaces are made alike, or when at least 0.7 of their
3-word shingles are in common (tasks/core/near_duplicates.py: exact). Each fact is the row_id of the other row, null where
there is none; it does not depend on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tasks.core.answer import AnswerSettings, label_of
from tasks.core.near_duplicates import near_duplicate_pairs
from tasks.core.prompts import normalised, prompts, similar_prompts
from tasks.core.settings import DatasetKind

THRESHOLD, NGRAM = 0.7, 3  # the measure of dedupe, conflicts and decontaminate
NONE = pl.lit(None, pl.String)


def compared(rows: pl.DataFrame) -> pl.DataFrame:
    """What is compared, one row each, sorted by row_id: row_id, system, prompt, answer, rejected, all made alike."""
    asked = prompts(rows).join(rows.select("row_id", "rejected"), on="row_id", how="left", maintain_order="left")
    return asked.with_columns([normalised(pl.col(name)) for name in ("answer", "rejected")], said="answer")


def twins(asked: pl.DataFrame, of: str) -> pl.Series:
    """For each row the smallest row_id among the earlier rows (by row_id) that are alike; null if none.

    of: prompt or pair, under the same system message, or answer.
    """
    texts = {
        "prompt": pl.col("prompt"),
        "answer": pl.col("answer"),
        "pair": pl.concat_str("prompt", "answer", "rejected", separator="\n"),
    }
    compared = asked.select("row_id", system=pl.lit("") if of == "answer" else "system", prompt=texts[of])
    placed, edges = _placed(compared)
    earlier = edges.group_by(node="b").agg(pl.col("a").min())
    found = placed.join(earlier, on="node", how="left").with_columns(twin=pl.min_horizontal("node", "a"))
    twin = pl.when(pl.col("twin") < pl.col("row_id")).then("twin").otherwise(NONE)
    return found.sort("row_id").select(twin.alias(f"{of}_twin")).to_series()


def contradictions(asked: pl.DataFrame, answer: AnswerSettings, kind: DatasetKind) -> pl.Series:
    """For each row the smallest row_id of a row that contradicts it; null if none.

    preference: a pair whose chosen answer is its rejected one contradicts itself, and one that prefers the other way under
    the same prompt contradicts it. Else: a like prompt with another label, or, where rows have no label, the same prompt
    with another answer.
    """
    if kind.name == "preference":
        found = _reversed(asked)
    else:
        labelled = kind.name == "classification" or bool(answer.label)
        label = pl.col("said").map_elements(lambda text: label_of(text, answer), return_dtype=pl.String, skip_nulls=False)
        found = _disagreeing(asked.with_columns(label=label.str.to_lowercase() if labelled else "answer"), near=labelled)
    every = asked.select("row_id").join(found, on="row_id", how="left", maintain_order="left")
    return every["other"].alias("conflicts_with")


def leaks(asked: pl.DataFrame, judges: Sequence[pl.DataFrame]) -> pl.Series:
    """For each row the smallest row_id of a judging row with a like prompt, under any system message; null if none.

    judges: rows of the holdout and of the edge cases (row_id, messages). A prompt without a word meets only its own copy.
    """
    other = pl.concat([prompts(judge) for judge in judges]).group_by("prompt").agg(pl.col("row_id").min())
    ours = asked.group_by("prompt").agg(pl.col("row_id").min())
    place = pl.int_range(pl.len()).cast(pl.String)  # not row_id: a copy of a row on the other side has the same
    numbered = [frame.with_columns(number=mark + place) for mark, frame in (("a", ours), ("b", other))]
    texts = pl.concat([frame.select(row_id="number", text="prompt") for frame in numbered])
    pairs = near_duplicate_pairs(texts, THRESHOLD, NGRAM).select(number_a="row_id_a", number_b="row_id_b")
    left, right = (frame.select("row_id", "number") for frame in numbered)
    near = pairs.join(left, left_on="number_a", right_on="number")
    near = near.join(right, left_on="number_b", right_on="number", suffix="_b")  # a pair within one side meets nothing
    same = ours.join(other, on="prompt", suffix="_b")
    met = pl.concat([frame.select("row_id", match="row_id_b") for frame in (near, same)]).group_by("row_id").min()
    leader = asked.select("row_id", leader=pl.col("row_id").min().over("prompt"))
    found = leader.join(met, left_on="leader", right_on="row_id", how="left", maintain_order="left")
    return found["match"].alias("leaked_from")


def _placed(compared: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """compared with the node of each row's text, and the edges between nodes that are alike: a < b."""
    first = pl.col("row_id").min().over("system", "prompt")
    grouped = compared.with_columns(first=first)
    distinct = grouped.filter(pl.col("row_id") == pl.col("first"))
    nodes, edges = similar_prompts(distinct.select("row_id", "system", "prompt"), THRESHOLD, NGRAM)
    return grouped.join(nodes.select(first="row_id", node="node"), on="first", how="left"), edges


def _disagreeing(asked: pl.DataFrame, *, near: bool) -> pl.DataFrame:
    """row_id, other: the smallest row_id with another label at the same prompt or, if near, at one like it."""
    known = asked.drop_nulls("label")
    if near:
        placed, edges = _placed(known)
    else:
        again = known.filter(pl.len().over("system", "prompt") > 1)
        placed, edges = again.with_columns(node=pl.col("row_id").min().over("system", "prompt")), None
    claims = placed.group_by("node", "label").agg(claim=pl.col("row_id").min())
    ways = [claims.select(node="node", other="node").unique()]
    if edges is not None:
        ways += [edges.select(node=one, other=two) for one, two in ("ab", "ba")]
    around = pl.concat(ways).join(claims, left_on="other", right_on="node").rename({"label": "says"})
    contested = around.filter(pl.col("says").n_unique().over("node") > 1)  # before the join that is wide
    met = placed.join(contested, on="node").filter(pl.col("label") != pl.col("says"))
    return met.group_by("row_id").agg(other=pl.col("claim").min())


def _reversed(asked: pl.DataFrame) -> pl.DataFrame:
    """row_id, other: the pair that prefers the other way under the same prompt; itself where both answers are the same."""
    sides = asked.select("row_id", "system", "prompt", "answer", "rejected")
    other = sides.select("system", "prompt", answer="rejected", rejected="answer", other="row_id")
    return sides.join(other, on=["system", "prompt", "answer", "rejected"]).group_by("row_id").agg(pl.col("other").min())
