"""What each row claims: under which prompt, which label. Rows that claim different labels under one prompt contradict.

classification   the label, in lower case
sft              with answer.label that field, in lower case; else what the answer asserts (asserted.py): its verdict
                 against the verdicts of others, and its facts against those of answers that are worded alike
preference       which of the two answers is better; only rows about the same two answers are compared
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.core.row_kind import RowKind
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.relations.asserted import is_short, verdict, wording_and_facts
from tasks.relations.prompts import groups_of, normalised, prompts
from tasks.similarity.leader_clusters import Jaccard, survivors

PLACE = ("system", "prompt")


def claims(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind, threshold: float, ngram: int) -> pl.DataFrame:
    """row_id, system, prompt, answer (normalised), label, first (smallest row_id with the same system and prompt).

    Rows without a label take no part. system: of preference rows also the two answers, whichever is better; of rows
    without labels also what they are compared by, so that a row may be there once for its verdict and once for its
    facts, and first has that behind the row_id.
    """
    asked = prompts(rows).with_columns(said=normalised(pl.col("answer")))
    if kind.has_rejected:
        asked = _preferred(asked, rows)
    elif has_labels(answer, kind):
        asked = asked.with_columns(label=label_in("answer", answer, kind))
    else:
        asked = _answers(asked, threshold, ngram)
    free = not kind.has_rejected and not has_labels(answer, kind)
    first = pl.col("row_id").min().over(PLACE)
    asked = asked.drop_nulls("label").with_columns(
        first=pl.concat_str(first, "system", separator=" ") if free else first
    )
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
    """Rows with their verdict as label, and rows with their facts as label among those whose wording is alike; both are
    only compared under this very prompt. A row may be there twice, or not at all.
    """
    several = asked.filter(pl.col("said").n_unique().over(PLACE) > 1)
    texts = several.group_by(*PLACE, "said").agg(text=pl.col("answer").min(), rows=pl.len())
    texts = texts.sort(-pl.col("rows").cast(pl.Int64), "said", *PLACE)
    claimed = pl.concat([_verdicts(texts), _facts(texts, threshold, ngram)])
    told = several.join(claimed, on=[*PLACE, "said"]).with_columns(system=pl.struct("system", "of").rank("dense"))
    return told.with_columns(pl.col("system").cast(pl.String)).drop("of")


def _verdicts(texts: pl.DataFrame) -> pl.DataFrame:
    """system, prompt, said, of ("verdict"), label: of answers that decide. A short answer does where most are short."""
    short = pl.Series("short", map(is_short, texts["text"]), pl.Boolean)
    known = texts.with_columns(short, verdict=pl.Series(map(verdict, texts["text"]), dtype=pl.String))
    many = pl.col("rows").filter("short").sum().over(PLACE) * 2 >= pl.col("rows").sum().over(PLACE)
    label = pl.coalesce("verdict", pl.when("short", many).then(pl.col("said").str.strip_chars_end(".!。！")))
    return known.select(*PLACE, "said", of=pl.lit("verdict"), label=label).drop_nulls("label")


def _facts(texts: pl.DataFrame, threshold: float, ngram: int) -> pl.DataFrame:
    """system, prompt, said, of (a wording), label: the commonest answer with these facts, of those worded alike."""
    parts = [dict(zip(("wording", "facts"), wording_and_facts(text), strict=True)) for text in texts["text"]]
    known = texts.hstack(pl.DataFrame(parts, schema={"wording": pl.String, "facts": pl.String}))
    alike = known.with_columns(of=_leaders(known, threshold, ngram))
    label = pl.col("said").first().over(*PLACE, "of", "facts")
    return alike.filter(pl.col("wording") != "").select(*PLACE, "said", pl.col("of").cast(pl.String), label=label)


def _leaders(texts: pl.DataFrame, threshold: float, ngram: int) -> pl.Series:
    """For each text the place of the first one that is worded alike under the same prompt: its own if none is."""
    first = texts.with_row_index("row").select(pl.col("row").first().over(*PLACE, "wording").cast(pl.Int64))
    same = first.to_series().to_numpy()
    rows = np.unique(same)
    one = texts[rows]
    groups = groups_of(one.select(pl.struct(*PLACE)).to_series()).to_numpy()
    stays, (edges,) = survivors(one.height, [Jaccard([one["wording"]], groups, threshold, ngram)])
    ends = np.where(stays[edges.a], edges.b, edges.a), np.where(stays[edges.a], edges.a, edges.b)
    best = pl.DataFrame({"text": ends[0], "like": ends[1], "score": edges.score}).sort("text", -pl.col("score"), "like")
    chosen = best.unique("text", keep="first", maintain_order=True)
    leader = np.arange(texts.height)
    leader[rows[chosen["text"].to_numpy()]] = rows[chosen["like"].to_numpy()]
    return pl.Series("of", leader[same])
