"""Specifics: names, numbers, dates, prices and addresses that an answer states and its prompt does not hold.

Fine-tuning teaches how to answer. A fact that one or two rows state is learned badly or by heart, and is wrong in the
model when it changes outside; such facts belong in a store that is searched when a question comes (retrieval). A detail
that many rows share (the firm's name, its usual phrases) is part of the manner, and is not counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

RARE_ROWS, RARE_SHARE = 3, 0.005  # stated by no more rows than the larger of these: seen too seldom to be learned
DENSE = 0.04  # specifics a word: two in an answer of fifty words; an essay with a date in it is no fact sheet
TERSE = 8  # words: of an answer so short, one specific is what it says
# German writes every noun with a capital. From here on (share of the words inside sentences) capitals are not names.
CAPITALS = 0.2

_FENCED = r"(?s)```.*?```"
_MARKS = r"(?m)<[A-Z]+_\d+>|^\s*(?:\d{1,3}[.)]|[-*•#]+)\s+"  # redact's placeholders, numbers and bullets of lists
_ADDRESS = r"https?://[^\s)>\]]+|www\.[^\s)>\]]+"
_NUMBER = r"[$€£¥]\s?\d[\d.,]*|\b\d[\d.,:/-]*\d\b|\b\d+\s?%"
_INSIDE = r"[\p{Ll}\d,;] +\p{Lu}[\p{L}'’-]+(?: \p{Lu}[\p{L}'’-]+)*"  # a capital that no sentence or line begins with


def factual(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that teach facts: row_id, specifics (how many), the most first.

    rows: row_id, prompt (all that goes before the answer), answer; null counts as empty. A row teaches facts when its
    answer states two or more rare specifics that its prompt does not hold, closely enough together, or, where the
    answer is but a few words, one.
    """
    answer = pl.col("answer").fill_null("").str.replace_all(_FENCED, " ").str.replace_all(_MARKS, "")
    texts = rows.select("row_id", asked=pl.col("prompt").fill_null("").str.to_lowercase(), said=answer)
    found = pl.concat([_addresses(texts), _numbers(texts), _names(texts)]).unique()
    said_by = pl.col("row_id").n_unique().over("specific")
    rare = found.filter(said_by <= max(RARE_ROWS, RARE_SHARE * rows.height))
    counts = rare.group_by("row_id").agg(specifics=pl.len().cast(pl.Int64))
    words = texts.select("row_id", words=pl.col("said").str.count_matches(r"\S+"))
    dense = (pl.col("specifics") >= 2) & (pl.col("specifics") >= DENSE * pl.col("words"))
    told = counts.join(words, on="row_id").filter(dense | (pl.col("words") <= TERSE))
    return told.select("row_id", "specifics").sort(-pl.col("specifics"), "row_id")


def prose(answer: str, leave_out: frozenset[str]) -> str:
    """Of an answer that is a JSON object, the texts in it but those of the fields to leave out; else the answer."""
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return answer
    return "\n".join(_texts(value, leave_out)) if isinstance(value, dict) else answer


def _texts(value: Any, leave_out: frozenset[str]) -> Iterator[str]:
    if isinstance(value, dict):
        value = [inner for key, inner in value.items() if key not in leave_out]
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner, leave_out)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _addresses(texts: pl.DataFrame) -> pl.DataFrame:
    return _new(texts.select("row_id", "asked", specific=pl.col("said").str.extract_all(_ADDRESS)))


def _numbers(texts: pl.DataFrame) -> pl.DataFrame:
    """Where the prompt has numbers too, those of the answer may be computed from them, and computing is a skill."""
    plain = texts.filter(~pl.col("asked").str.contains(r"\d"))
    numbers = pl.col("said").str.replace_all(_ADDRESS, " ").str.extract_all(_NUMBER)
    return _new(plain.select("row_id", "asked", specific=numbers))


def _names(texts: pl.DataFrame) -> pl.DataFrame:
    """Words with a capital inside a sentence that these texts never write without one."""
    inside = texts.select(
        "row_id", "asked", specific=pl.col("said").str.replace_all(_ADDRESS, " ").str.extract_all(_INSIDE)
    )
    words = int(texts["said"].str.count_matches(r"\S+").sum())
    if int(inside["specific"].list.len().sum()) > CAPITALS * words:
        return _new(inside.clear())
    written = texts["said"].str.extract_all(r"(?:^|[^\p{L}])\p{Ll}[\p{L}'’-]+")
    small = written.explode().drop_nulls().str.replace(r"^[^\p{L}]+", "").unique()
    names = inside.filter(pl.col("specific").list.len() > 0).explode("specific")
    names = names.with_columns(pl.col("specific").str.replace(r"^[^\p{Lu}]+", "").str.replace(r"['’]s$", ""))
    first = pl.col("specific").str.to_lowercase().str.extract(r"^(\S+)")
    return _new(names.filter(~first.is_in(small.implode())).group_by("row_id", "asked").agg("specific"))


def _new(found: pl.DataFrame) -> pl.DataFrame:
    """row_id, specific (lower case): those that the prompt does not hold."""
    each = found.filter(pl.col("specific").list.len() > 0).explode("specific")
    told = each.with_columns(specific=pl.col("specific").str.to_lowercase().str.strip_chars(" .,:;-/"))
    return told.filter(~pl.col("asked").str.contains(pl.col("specific"), literal=True)).select("row_id", "specific")
