"""Labels of rows: label_errors checks these, select keeps a share of each."""

from __future__ import annotations

import polars as pl

from tasks.core.row_kind import RowKind
from tasks.metrics.answer_schema import AnswerSettings, label_of
from tasks.relations.prompts import prompts

FEW_DIFFER = 10  # rows a distinct free-text answer, on average, from which answers are taken for labels


def labelled(rows: pl.DataFrame, answer: AnswerSettings, kind: RowKind) -> pl.DataFrame:
    """row_id, prompt, answer, label (null in a row that has none), sorted by row_id.

    classification: the label is the answer. sft: the field `answer.label` of the answer, or the whole answer when
    answers are free text of which few differ. Other sft answers and preference pairs have no label.
    """
    asked = prompts(rows).select("row_id", "prompt", "answer")
    nothing = asked.with_columns(label=pl.lit(None, pl.String))
    if not kind.has_label:
        return nothing
    label = pl.col("answer").map_elements(lambda text: label_of(text, answer), return_dtype=pl.String, skip_nulls=False)
    found = asked.with_columns(label=label.replace("", None))
    known = kind.answer_is_label or answer.label or found["label"].n_unique() * FEW_DIFFER <= found.height
    return found if known else nothing
