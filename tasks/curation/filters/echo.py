"""Answers that repeat the prompt."""

from __future__ import annotations

import re

import polars as pl

from tasks.curation.filters.base import Filter, FilterContext, ReasonAndEvidence, Row, taught_answers

WORDS = 4  # "Hello" answered by "Hello!" is polite, and a label may well be the text it labels
_WORD = re.compile(r"\w+")


def may_echo(context: FilterContext) -> pl.Series:
    """Answers about as long as what stands before them, and then alike as far as letters and digits go."""
    before = {"asked": pl.col("text").shift(1), "same": pl.col("row").shift(1) == pl.col("row")}
    length = pl.col("text").str.len_bytes().cast(pl.Int64)
    near = (length - pl.col("asked").str.len_bytes().cast(pl.Int64)).abs() <= 10 + length // 5
    letters = (pl.col(name).str.to_lowercase().str.replace_all(r"[\W_]+", "") for name in ("text", "asked"))
    pairs = context.texts.lazy().with_columns(**before).filter("taught", "same", near)
    return pairs.filter(next(letters) == next(letters)).select("row").collect()["row"]


def echoes(row: Row, _: FilterContext) -> ReasonAndEvidence | None:
    for number, text, asked in taught_answers(row):
        if len(words := words_without_punctuation(text)) >= WORDS and words == words_without_punctuation(asked):
            return "answer repeats the prompt", {"message": number, "words": len(words)}
    return None


def words_without_punctuation(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


RULE = Filter("echo", may_echo, echoes, "quarantine", of_answers=True)
