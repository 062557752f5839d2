"""Rows with tools or tool calls that the base model's chat template has no place for, or refuses: none could be trained
on.

Only such rows are looked at, for most templates write every other row, and writing a million takes minutes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.errors import DataError, RecipeError
from tasks.core.handle import Handle
from tasks.core.row import tools_of, turns
from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row
from tasks.model.chat_template import encode
from tasks.model.loading import load_tokenizer


def may_be_unwritable(context: FilterContext) -> pl.Series:
    return context.with_tools if context.base else context.with_tools.clear()


def is_unwritable(row: Row, context: FilterContext) -> ReasonAndEvidence | None:
    written = tokens_as_trained(row, context)
    return (
        ("the chat template cannot write its tools or calls", {"template": written})
        if isinstance(written, str)
        else None
    )


def tokens_as_trained(row: Row, context: FilterContext) -> int | str:
    """Tokens of a row as the template writes it, tools and all; of a pair the longer side. A text
    says why it cannot.
    """
    if row["row_id"] not in context.sizes:
        said, rejected = turns(row), row["rejected"]
        sides = [said] if rejected is None else [said, [*said[:-1], {"role": "assistant", "content": rejected}]]
        try:
            context.sizes[row["row_id"]] = max(_tokens(side, row, context) for side in sides)
        except (DataError, RecipeError) as error:
            context.sizes[row["row_id"]] = error.what
    return context.sizes[row["row_id"]]


def _tokens(side: list[dict[str, Any]], row: Row, context: FilterContext) -> int:
    assert context.base, "suspects are named only with a base model"
    return len(
        encode(tokenizer_of(context.base), side, context.prompt, row["weights"], tools_of(row["meta"])).input_ids
    )


def tokenizer_of(base: Handle) -> Any:
    """The base model's tokenizer, read once."""
    return _tokenizer(base.folder / "model")


@lru_cache(maxsize=1)
def _tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


RULE = Filter("template", may_be_unwritable, is_unwritable, "quarantine")
