"""What there is to train on, counted in tokens, and what a person would not see in the rows."""

from __future__ import annotations

from typing import Any

import polars as pl

from tasks.core.row import turns
from tasks.facts.training import TokenCounts
from tasks.model.chat_template import IGNORED, TokenizedExample
from tasks.model.control_tokens import special_tokens


def count_tokens(tokenizer: Any, rows: pl.DataFrame, examples: list[TokenizedExample]) -> TokenCounts:
    """examples: one a row, in their order; rows have the column `split`."""
    pairs = [*zip(rows.iter_rows(named=True), examples, strict=True)]
    trained = [(row, example) for row, example in pairs if row["split"] == "train"]
    return TokenCounts(
        rows=len(trained),
        validation_rows=len(pairs) - len(trained),
        tokens=sum(len(example.input_ids) for _, example in trained),
        longest=max(len(example.input_ids) for example in examples),
        answer_tokens=sum(label != IGNORED for _, example in trained for label in example.labels),
        quoting_rows=sum(_quotes(tokenizer, row) for row, _ in trained),
        unlearnt_answers=sum(max(0, _teaching(row) - _learnt(example)) for row, example in trained),
    )


def _quotes(tokenizer: Any, row: dict[str, Any]) -> bool:
    """Whether somebody wrote a control token, which is text."""
    return any(special_tokens(tokenizer).search(turn["content"] or "") for turn in turns(row))


def _teaching(row: dict[str, Any]) -> int:
    weights = row.get("weights") or [1.0] * len(row["messages"])
    return sum(m["role"] == "assistant" and w > 0 for m, w in zip(row["messages"], weights, strict=True))


def _learnt(example: TokenizedExample) -> int:
    """Runs of tokens that the loss counts on: one an answer."""
    counts = [label != IGNORED for label in example.labels]
    return sum(now and not before for before, now in zip([False, *counts], counts, strict=False))
