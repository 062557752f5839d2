"""Rows that no model could be judged by are named before it is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.handle import FACTS, Handle
from tasks.core.home import TOLD
from tasks.model.answerable import check_answerable, check_examples
from tasks.model.chat_template import PromptSettings, prompt_ids
from tests.support import chat_templates
from tests.support.tiny_model import CHATML, CONTEXT, tiny_model

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
HERMES = PromptSettings(chat_template=chat_templates.HERMES, max_new_tokens=100)
PLAIN = PromptSettings(max_new_tokens=8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Handle:
    folder = tmp_path_factory.mktemp("base")
    tiny_model(folder / "model", [""])
    (folder / FACTS).write_text(json.dumps({"digest": "0" * 64, "parameters": 1, "context": CONTEXT}))
    (folder / TOLD).write_text("{}")
    return Handle(step="fetch", kind="model", path=str(folder), digest="d")


def rows(text: str, call: dict[str, Any] | None = None, meta: dict[str, Any] | None = None) -> dict[str, pl.DataFrame]:
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": "" if call else "Yes."}]
    row = {
        "row_id": "f" * 64,
        "source": "holdout.jsonl",
        "line": 7,
        "messages": messages,
        "calls": [None, json.dumps([call])] if call else None,
        "meta": json.dumps(meta or {}),
    }
    return {"holdout": pl.DataFrame([row], schema_overrides={"calls": pl.List(pl.String)})}


def called(arguments: str) -> dict[str, pl.DataFrame]:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    return rows("Rain?", call, {"tools": TOOLS})


def test_a_row_whose_calls_could_not_be_read_back_is_named(base: Handle) -> None:
    check_answerable(called('{"city": "Bonn"}'), base, HERMES)
    with pytest.raises(DataError, match="cannot be read back") as caught:
        check_answerable(called("[1]"), base, HERMES)
    assert "holdout row ffffffffffff (holdout.jsonl, line 7)" in str(caught.value)


def test_a_row_that_fills_the_context_to_its_end_is_asked_and_one_token_more_is_refused(base: Handle) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder / "model")
    around = len(prompt_ids(tokenizer, [{"role": "user", "content": ""}], PLAIN))
    most = CONTEXT - PLAIN.max_new_tokens - around  # a tokenizer that was taught nothing makes a token of each byte
    check_answerable(rows("x" * most), base, PLAIN)
    with pytest.raises(
        DataError, match=f"A prompt of {CONTEXT - 7} tokens leaves no room for an answer of 8"
    ) as caught:
        check_answerable(rows("x" * (most + 1)), base, PLAIN)
    assert "holdout row ffffffffffff" in str(caught.value)


def test_of_many_rows_that_are_too_long_a_few_are_named_and_all_are_counted(base: Handle) -> None:
    seven = pl.concat([rows("x" * 600)["holdout"].with_columns(line=n) for n in range(7)])
    with pytest.raises(DataError, match=r"^7 rows cannot judge a model; the first: A prompt of") as caught:
        check_answerable({"holdout": seven}, base, PLAIN)
    assert "line 4)" in caught.value.where
    assert "line 5)" not in caught.value.where
    assert "lower prompt.max_new_tokens" in caught.value.todo


def test_a_template_of_the_recipes_own_may_write_more_than_the_row(base: Handle) -> None:
    wordy = PLAIN.model_copy(update={"chat_template": "y" * 600 + CHATML})
    with pytest.raises(DataError, match="leaves no room for an answer"):
        check_answerable(rows("Rain?"), base, wordy)


@pytest.mark.parametrize("before", [[], ["system"], ["user", "assistant"]])
def test_a_row_that_asks_nothing_is_named_since_no_served_model_would_answer_it(
    base: Handle, before: list[str]
) -> None:
    messages = [{"role": role, "content": "Hi"} for role in (*before, "assistant")]
    frame = rows("Rain?")["holdout"].with_columns(messages=pl.Series([messages]))
    with pytest.raises(DataError, match="The row asks nothing") as caught:
        check_answerable({"holdout": frame}, base, PLAIN)
    assert "holdout row ffffffffffff" in caught.value.where


def test_a_conversation_that_the_template_refuses_is_named_however_short(base: Handle) -> None:
    refusing = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
    )
    gemma = PLAIN.model_copy(update={"chat_template": refusing})
    plain, other = (
        rows("Rain?")["holdout"],
        [{"role": role, "content": "Hi"} for role in ("system", "user", "assistant")],
    )
    check_answerable({"holdout": plain}, base, gemma)
    two = pl.concat([plain, plain.with_columns(messages=pl.Series([other]), row_id=pl.lit("e" * 64))])
    with pytest.raises(DataError, match="refuses a conversation of system, user: System role not supported") as caught:
        check_answerable({"holdout": two}, base, gemma)
    assert "holdout row eeeeeeeeeeee" in caught.value.where


def test_of_a_model_that_names_no_limit_nothing_is_too_long(base: Handle, tmp_path: Path) -> None:
    (tmp_path / FACTS).write_text(json.dumps({"digest": "0" * 64, "parameters": 1, "context": None}))
    (tmp_path / TOLD).write_text("{}")
    (tmp_path / "model").symlink_to(base.folder / "model")
    check_answerable(rows("x" * 2_000), base.model_copy(update={"path": str(tmp_path)}), PLAIN)


def test_an_answer_that_would_be_cut_is_named_before_anything_is_trained(base: Handle) -> None:
    seven, eight = (said("x" * tokens) for tokens in (7, 8))  # with its end one more
    check_answerable(seven, base, PLAIN)
    with pytest.raises(DataError, match=r"wanted has 9 tokens with its end, and every answer is cut at 8") as caught:
        check_answerable(eight, base, PLAIN)
    assert "raise prompt.max_new_tokens" in caught.value.todo


def said(answer: str) -> dict[str, pl.DataFrame]:
    messages = [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": answer}]
    return {"holdout": rows("Rain?")["holdout"].with_columns(messages=pl.Series([messages]))}


def test_a_system_prompt_that_the_template_leaves_out_is_found_in_the_simplest_row(base: Handle) -> None:
    deaf = CHATML.replace("{% for message in messages %}", "{% for message in messages if message.role != 'system' %}")
    prompt = PLAIN.model_copy(update={"chat_template": deaf})
    check_answerable(rows("Rain?"), base, prompt)
    with pytest.raises(DataError, match="does not write the system prompt"):
        check_answerable(rows("Rain?"), base, prompt.model_copy(update={"system": "Be brief."}))


def test_examples_that_cannot_stand_before_a_question_are_refused(base: Handle) -> None:
    examples = [{"role": "user", "content": "Snow?"}, {"role": "assistant", "content": "No."}]
    check_examples(examples, rows("Rain?"), base, PLAIN)
    first = "{% for m in messages[:1] %}{{ m.content[:20] }}{% endfor %}"
    with pytest.raises(DataError, match="does not write what a user says"):
        check_examples(examples, rows("Rain?"), base, PLAIN.model_copy(update={"chat_template": first}))
