"""Rows with nothing to learn from: a message or an answer is missing or empty, or no answer counts."""

from __future__ import annotations

import polars as pl

from tasks.curation.filters.base import (
    REJECTED,
    Filter,
    FilterContext,
    ReasonAndEvidence,
    Row,
    taught_answers,
    texts_of_role,
)


def may_lack_something(context: FilterContext) -> pl.Series:
    texts, everything = context.texts, pl.Series("row", range(context.rows.height), pl.UInt32)
    blank = texts.filter(pl.col("text").str.strip_chars() == "")["row"]
    has = (texts.filter(role=role)["row"].implode() for role in ("user", "assistant"))
    lacking = [everything.filter(~everything.is_in(rows)) for rows in has]
    if context.kind.has_rejected:
        lacking.append(everything.filter(context.rows["rejected"].is_null()))
    return pl.concat([blank, *lacking])


def lacks_something(row: Row, context: FilterContext) -> ReasonAndEvidence | None:
    """A rejected answer must be there too: without it there is nothing to prefer the other to."""
    roles = [message["role"] for message in row["messages"]]
    for role, name in (("user", "user message"), ("assistant", "assistant answer")):
        if role not in roles:
            return f"no {name}", {"roles": roles}
    if context.kind.has_rejected and row["rejected"] is None:
        return "no rejected answer", {"roles": roles}
    said = [
        *((number, text, "message") for number, text in texts_of_role(row, "user")),
        *((number, text, "answer") for number, text, _ in taught_answers(row)),
        *([(REJECTED, row["rejected"], "answer")] if row["rejected"] is not None else []),
    ]
    return next(((f"empty {what}", {"message": number}) for number, text, what in said if not text.strip()), None)


RULE = Filter("empty", may_lack_something, lacks_something, "drop")
