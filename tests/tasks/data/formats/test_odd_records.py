"""Whatever a record holds under the names that formats know, it is a row or is held with a reason: it stops no run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.row_kind import KINDS
from tasks.data.formats.adapter import Reading, adapter
from tasks.data.formats.messages import UnadaptedError

TURN_KEYS = st.sampled_from(
    [
        "role",
        "from",
        "content",
        "value",
        "weight",
        "loss",
        "tool_calls",
        "function_call",
        "tool_call_id",
        "name",
        "images",
    ]
)
PART_KEYS = st.sampled_from(["type", "text", "value", "name", "input", "id", "tool_use_id", "content", "function"])
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "human",
        "gpt",
        "tool",
        "function_call",
        "observation",
        "text",
        "tool_use",
        "tool_result",
        "",
        "a",
    ]
)
LEAVES = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | WORDS | st.sampled_from(["[1]", '{"name": "a"}'])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TURN_KEYS, inner, max_size=4)
        | st.dictionaries(PART_KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        *("messages", "conversations", "prompt", "completion", "instruction", "input", "output", "question", "answer"),
        *("chosen", "rejected", "text", "label", "tools", "functions", "context", "choices", "history", "documents"),
        *("system", "images", "rationale", "schema", "status", "_task_hash", "weight", "preferred_output", "kto_tag"),
    ]
)


@settings(max_examples=400)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5), st.sampled_from(sorted(KINDS)))
def test_an_odd_record_is_a_row_or_is_held(record: dict[str, Any], kind: str) -> None:
    try:
        row, meta = adapter(Reading(), KINDS[kind])(record)
    except UnadaptedError:
        return
    assert row["messages"]
    assert all(isinstance(said["content"], str) for said in row["messages"])
    assert json.dumps(meta, default=str)


@settings(max_examples=400)
@given(st.lists(st.dictionaries(TURN_KEYS, VALUES, max_size=4), min_size=1, max_size=4))
def test_odd_turns_are_messages_or_hold_their_row(turns: list[dict[str, Any]]) -> None:
    try:
        row, _ = adapter(Reading(), KINDS["sft"])({"messages": turns})
    except UnadaptedError:
        return
    assert [said["role"] for said in row["messages"]]


def test_a_part_whose_type_is_no_word_is_no_text() -> None:
    with pytest.raises(UnadaptedError, match="content is not text"):
        adapter(Reading(), KINDS["sft"])({"messages": [{"role": "user", "content": [{"type": ["text"], "text": "a"}]}]})
