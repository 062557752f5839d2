"""Rows longer than the base model can hold, whatever surrounds them: no setting of training could keep them whole.

Of a row with tools that counts all that the template writes, for the tools stand in the prompt: as many tokens as
training has.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from tasks.core.row import has_tools, messages_of
from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row
from tasks.curation.filters.unwritable import tokenizer_of, tokens_as_trained


def may_be_too_long(context: FilterContext) -> pl.Series:
    """A token stands for a byte at least, so only rows with more bytes than the model has places are tokenised.

    One more for each text, for the blank that some tokenizers put before it. What a template makes of tools has no such
    bound.
    """
    if context.most_tokens is None:
        return pl.Series("row", [], pl.UInt32)
    size = pl.col("text").str.len_bytes().cast(pl.Int64).sum() + pl.len()
    long = context.texts.group_by("row").agg(size=size).filter(pl.col("size") > context.most_tokens)["row"]
    return pl.concat([long, context.with_tools])


def is_too_long(row: Row, context: FilterContext) -> ReasonAndEvidence | None:
    """The prompt with its answer; of a preference row with the longer of both."""
    if context.base is None or context.most_tokens is None:
        return None
    if has_tools(row):
        written = tokens_as_trained(row, context)
        tokens = written if isinstance(written, int) else 0  # else the rule `template` has its word on it
    else:
        tokenizer = tokenizer_of(context.base)
        sizes = [_tokens(tokenizer, message["content"] or "") for message in messages_of(row)]
        tokens = sum(sizes[:-1]) + max([*sizes[-1:], _tokens(tokenizer, row["rejected"] or "")])
    evidence = {"tokens": tokens, "context": context.most_tokens}
    return ("longer than the model can hold", evidence) if tokens > context.most_tokens else None


def _tokens(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


RULE = Filter("too_long", may_be_too_long, is_too_long, "quarantine")
