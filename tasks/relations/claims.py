"""What each row claims: under which prompt, which label. Rows that claim different labels under one prompt contradict.

classification   the label, in lower case
sft              with answer.label that field, in lower case; else the answer itself, where answers that differ in a few
                 words but in no number are one claim
preference       which of the two answers is better; only rows about the same two answers are compared
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.core.row_kind import RowKind
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.relations.prompts import groups_of, normalised, prompts
from tasks.similarity.leader_clusters import Jaccard, survivors

PLACE = ("system", "prompt")


def claims(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind, threshold: float, ngram: int) -> pl.DataFrame:
    """row_id, system, prompt, answer (normalised), label, first (smallest row_id with the same system and prompt).

    Rows without a label take no part. system: of preference rows also the two answers, whichever is better.
    """
    asked = prompts(rows).with_columns(said=normalised(pl.col("answer")))
    if kind.has_rejected:
        asked = _preferred(asked, rows)
    elif has_labels(answer, kind):
        asked = asked.with_columns(label=label_in("answer", answer, kind))
    else:
        asked = _answers(asked, threshold, ngram)
    asked = asked.drop_nulls("label").with_columns(first=pl.col("row_id").min().over(PLACE))
    return asked.select("row_id", "system", "prompt", "label", "first", answer="said")


def has_labels(answer: AnswerSettings, kind: RowKind) -> bool:
    return kind.answer_is_label or (kind.has_label and bool(answer.label))


def label_in(column: str, answer: AnswerSettings, kind: RowKind) -> pl.Expr:
    """The label in a column of answers, in lower case; null where an answer has none."""
    shape = AnswerSettings() if kind.answer_is_label else answer
    label = pl.col(column).map_elements(lambda text: label_of(text, shape), return_dtype=pl.String, skip_nulls=False)
    return label.str.to_lowercase()


def _preferred(asked: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """A pair whose answers are the same prefers nothing and takes no part."""
    both = asked.join(rows.select("row_id", rejected=normalised(pl.col("rejected"))), on="row_id")
    both = both.filter(pl.col("said") != pl.col("rejected"))
    two = pl.min_horizontal("said", "rejected"), pl.max_horizontal("said", "rejected")
    return both.with_columns(label="said", system=pl.struct("system", a=two[0], b=two[1]).rank("dense").cast(pl.String))


def _answers(asked: pl.DataFrame, threshold: float, ngram: int) -> pl.DataFrame:
    """label: the answer that most rows gave, of those that are alike under this very prompt; ties
    go to the first text.
    """
    several = asked.filter(pl.col("said").n_unique().over(PLACE) > 1)
    texts = several.group_by(*PLACE, "said").agg(rows=pl.len()).sort(-pl.col("rows").cast(pl.Int64), "said", *PLACE)
    numbers = pl.col("said").str.extract_all(r"\p{N}+").list.join(" ")  # "in 5 days" and "in 7 days" do not agree
    groups = groups_of(texts.select(pl.struct(*PLACE, numbers.alias("numbers"))).to_series()).to_numpy()
    stays, (edges,) = survivors(texts.height, [Jaccard([texts["said"]], groups, threshold, ngram)])
    ends = np.where(stays[edges.a], edges.b, edges.a), np.where(stays[edges.a], edges.a, edges.b)
    best = pl.DataFrame({"text": ends[0], "like": ends[1], "score": edges.score}).sort("text", -pl.col("score"), "like")
    like = np.arange(texts.height)
    chosen = best.unique("text", keep="first", maintain_order=True)
    like[chosen["text"].to_numpy()] = chosen["like"].to_numpy()
    named = texts.select(*PLACE, "said", label=texts["said"].gather(like))
    joined = asked.join(named, on=[*PLACE, "said"], how="left")
    return joined.with_columns(label=pl.coalesce("label", "said"))
