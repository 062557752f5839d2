"""Tool calls in the forms of other tools are the calls of OpenAI's form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.core.row import turns
from tasks.core.row_kind import SFT
from tasks.data.formats.adapter import Reading, adapter
from tasks.data.formats.messages import UnadaptedError

FUNCTION = {"name": "stock", "description": "Counts.", "parameters": {"type": "object", "properties": {}}}
ASKED = {"role": "user", "content": "Are lamps left?"}
CALL = {"name": "stock", "arguments": {"of": "lamps"}}
TEXT = json.dumps(CALL)
ANSWER = {"role": "assistant", "content": "Three."}

FORMS: dict[str, list[dict[str, Any]]] = {
    "sharegpt": [
        {"from": "human", "value": "Are lamps left?"},
        {"from": "function_call", "value": TEXT},
        {"from": "observation", "value": "3"},
        {"from": "gpt", "value": "Three."},
    ],
    "ms-swift": [ASKED, {"role": "tool_call", "content": TEXT}, {"role": "tool_response", "content": "3"}, ANSWER],
    "first OpenAI": [
        ASKED,
        {"role": "assistant", "content": None, "function_call": {**CALL, "arguments": '{"of": "lamps"}'}},
        {"role": "function", "name": "stock", "content": "3"},
        ANSWER,
    ],
    "parts": [
        {"role": "user", "content": [{"type": "text", "value": "Are lamps left?"}]},
        {"role": "assistant", "content": [{"type": "tool_call", "value": TEXT}]},
        {"role": "tool", "content": [{"type": "text", "value": "3"}]},
        {"role": "assistant", "content": [{"type": "text", "value": "Three."}]},
    ],
    "Anthropic": [
        ASKED,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "stock", "input": {"of": "lamps"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "3"}]},
        ANSWER,
    ],
}


def adapted(given: list[dict[str, Any]], **beside: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    row, meta = adapter(Reading(), SFT)({"messages": given, **beside})
    return turns(row), meta


@pytest.mark.parametrize("form", FORMS)
def test_a_call_and_its_answer_are_read_from_every_form(form: str) -> None:
    asked, called, told, answer = adapted(FORMS[form])[0]
    (call,) = called["tool_calls"]
    assert asked == ASKED
    assert answer == ANSWER
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("stock", {"of": "lamps"})
    assert (told["role"], told["content"], told["tool_call_id"]) == ("tool", "3", call["id"])


def test_a_call_without_an_id_beside_other_forms_is_not_lost() -> None:
    calls = [
        {"function": {"name": name, "arguments": "{}"}, **ident} for name, ident in (("a", {"id": "1"}), ("b", {}))
    ]
    given = [
        ASKED,
        {"role": "assistant", "tool_calls": calls},
        {"role": "function", "name": "a", "content": "3"},
        ANSWER,
    ]
    assert [call["function"]["name"] for call in adapted(given)[0][1]["tool_calls"]] == ["a", "b"]


def test_reasoning_beside_a_call_holds_the_row() -> None:
    asked, called, told, answer = adapted(FORMS["ms-swift"])[0]
    with pytest.raises(UnadaptedError, match="reasoning"):
        adapted([asked, {**called, "reasoning_content": "Look first."}, told, answer])


def test_two_calls_in_a_row_are_one_message_with_what_was_said_before_them() -> None:
    given = [
        {"from": "human", "value": "Are lamps left?"},
        {"from": "gpt", "value": "I look."},
        {"from": "function_call", "value": TEXT},
        {"from": "function_call", "value": TEXT},
        {"from": "observation", "value": "3"},
        {"from": "observation", "value": "4"},
        {"from": "gpt", "value": "Seven."},
    ]
    said = adapted(given)[0]
    ids = [call["id"] for call in said[1]["tool_calls"]]
    assert [one["role"] for one in said] == ["user", "assistant", "tool", "tool", "assistant"]
    assert said[1]["content"] == "I look."
    assert [one["tool_call_id"] for one in said[2:4]] == ids


@pytest.mark.parametrize(
    "tools",
    [
        [FUNCTION],
        json.dumps([FUNCTION]),
        [json.dumps({"type": "function", "function": FUNCTION})],
        [{"name": "stock", "description": "Counts.", "input_schema": FUNCTION["parameters"]}],
    ],
)
def test_tools_on_offer_are_kept_in_the_form_of_today(tools: Any) -> None:
    assert adapted(FORMS["ms-swift"], tools=tools)[1]["tools"] == [{"type": "function", "function": FUNCTION}]


def test_the_functions_of_the_first_form_are_tools() -> None:
    assert adapted(FORMS["first OpenAI"], functions=[FUNCTION])[1]["tools"][0]["function"] == FUNCTION


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"from": "function_call", "value": "look for lamps"}, "a tool call without a function's name"),
        ({"from": "observation", "value": "3"}, "a tool's answer to no call before it"),
        ({"from": "function_call", "value": '{"name": "stock", "arguments": "{of: lamps}"}'}, "arguments are not JSON"),
        ({"role": "assistant", "tool_calls": [{"id": "1", "name": "stock"}]}, "a tool call without a function's name"),
        ({"from": "tool", "value": "3"}, "a tool's turn in a form that is not known"),
        ({"role": "function", "name": "price", "content": "3"}, "a tool's answer to no call before it"),
    ],
)
def test_what_is_no_call_or_no_answer_to_one_is_told(turn: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnadaptedError, match=reason):
        adapted([ASKED, turn, ANSWER])
