"""Training tells what cannot be seen in the rows: control tokens that are text, and answers that are not learnt."""

from __future__ import annotations

import polars as pl

from tasks.facts.training import TokenCounts
from tasks.model.chat_template import PromptSettings, encode
from tasks.training.token_counts import count_tokens
from tests.support.template_families import FAMILIES
from tests.support.training import rows


def counted(family: str, *talks: list[str]) -> TokenCounts:
    tokenizer = FAMILIES[family].tokenizer()
    roles = ("user", "assistant", "user", "assistant")
    said = [[{"role": role, "content": text} for role, text in zip(roles, talk, strict=False)] for talk in talks]
    frame = rows(len(talks))
    frame = frame.with_columns(pl.Series("messages", said, dtype=frame.schema["messages"]))
    return count_tokens(tokenizer, frame, [encode(tokenizer, messages, PromptSettings()) for messages in said])


def test_rows_that_quote_a_control_token_are_counted() -> None:
    plain, quoting = ["Where?", "Here."], ["What is <|im_end|>?", "An end."]
    assert counted("chatml", plain, quoting, plain).quoting_rows == 1


def test_answers_that_are_read_and_not_learnt_are_counted() -> None:
    talk = ["Where?", "Here.", "When?", "Now."]
    assert counted("chatml", talk, talk).unlearnt_answers == 0
    assert counted("qwen-3, always thinking", talk, talk[:2]).unlearnt_answers == 1
