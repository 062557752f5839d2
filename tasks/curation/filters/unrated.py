"""Rows of which no answer counts: a rating or the weights of their source took every one out."""

from __future__ import annotations

import polars as pl

from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers


def may_teach_nothing(context: FilterContext) -> pl.Series:
    teaching = context.taught_answers["row"].unique().implode()
    answered = context.texts.filter(role="assistant")["row"]
    return answered.filter(~answered.is_in(teaching))


def teaches_nothing(row: Row, _: FilterContext) -> ReasonAndEvidence | None:
    """All answers have weight 0: that is how ingest writes a bad rating, and how OpenAI's format
    takes an answer out.
    """
    return None if any(taught_answers(row)) else ("rated bad by its source", {"weights": row["weights"]})


RULE = Filter("unrated", may_teach_nothing, teaches_nothing, "drop")
