"""Rows that ask the same: how many questions there really are in a set that a model is judged by.

A question that stands there ten times is one question, and no ten: a model that answers it wrong is wrong ten times
over. Rows are grouped by what dedupe takes for the same among training rows: the same prompt, or one alike that decides
the same; wording that many rows share, other numbers and other names make no likeness there.
"""

from __future__ import annotations

import polars as pl

from tasks.core.row_kind import SFT
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.duplicates import JaccardSettings, comparison_by, duplicate_rows
from tasks.relations.prompts import prompts


def questions(rows: pl.DataFrame, answer: AnswerSettings) -> dict[str, str]:
    """{row_id: the row that stands for its question}. rows: ROW_SCHEMA. A row that repeats none stands for itself."""
    first = pl.col("row_id").min().over("system", "prompt")
    blank = pl.col("prompt") == ""  # two that say nothing may be blank in two ways
    asked = prompts(rows).select("row_id", first=pl.when(blank).then("row_id").otherwise(first))
    stands = dict(asked.iter_rows())
    like = duplicate_rows(rows, [comparison_by("prompt", JaccardSettings(), SFT)], answer, SFT)
    for row_id, kept in like.select("row_id", "kept").sort("row_id").iter_rows():
        one, other = (_top(stands, row) for row in (row_id, kept))
        stands[max(one, other)] = min(one, other)
    return {row_id: _top(stands, row_id) for row_id in stands}


def _top(stands: dict[str, str], row_id: str) -> str:
    while stands[row_id] != row_id:
        row_id = stands[row_id]
    return row_id
