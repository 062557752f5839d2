"""Rows longer than the base model can hold, whatever surrounds them: no setting of training could keep them whole."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.calls import messages_of
from tasks.core.rules.rule import About, Found, Row


def may_be_too_long(about: About) -> pl.Series:
    """A token stands for a byte at least, so only rows with more bytes than the model has places are tokenised.

    One more for each text, for the blank that some tokenizers put before it.
    """
    if about.context is None:
        return pl.Series("row", [], pl.UInt32)
    size = pl.col("text").str.len_bytes().cast(pl.Int64).sum() + pl.len()
    return about.texts.group_by("row").agg(size=size).filter(pl.col("size") > about.context)["row"]


def is_too_long(row: Row, about: About) -> Found | None:
    """The prompt with its answer; of a preference row with the longer of both."""
    if about.base is None or about.context is None:
        return None
    tokenizer = _tokenizer(about.base.folder / "model")
    sizes = [_tokens(tokenizer, message["content"] or "") for message in messages_of(row)]
    tokens = sum(sizes[:-1]) + max([*sizes[-1:], _tokens(tokenizer, row["rejected"] or "")])
    evidence = {"tokens": tokens, "context": about.context}
    return ("longer than the model can hold", evidence) if tokens > about.context else None


def _tokens(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


@lru_cache(maxsize=1)
def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder))
