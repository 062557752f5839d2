"""Answers of tool calls: each is right or wrong by what its own row wants, whatever the order of keys and of parallel
calls.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.core.row import made_call
from tasks.metrics.answer_schema import CALL_METRICS, AnswerSettings
from tasks.metrics.graders import Said, Wanted, broken_calls, headline, measured

Call = tuple[str, Any]
TEXT = AnswerSettings()
TRIAGE = AnswerSettings(graded=("intent",), json_schema={"type": "object", "required": ["intent"]})
CITY = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


def tool(name: str, parameters: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters or {}}}


TOOLS = [tool("weather", CITY), tool("time")]


def calls(*pairs: tuple[str, Any]) -> str:
    return json.dumps([made_call(number, *pair) for number, pair in enumerate(pairs, 1)])


BONN: Call = ("weather", {"city": "Bonn", "days": 2})
ULM: Call = ("weather", {"city": "Ulm"})
NOW: Call = ("time", {})


def wanted(*pairs: tuple[str, Any], said: str = "", tools: list[Any] | None = TOOLS) -> Wanted:
    return Wanted(Said(said, calls(*pairs) if pairs else None), tools)


def right(of: Wanted, given: Said, answer: AnswerSettings = TEXT) -> list[str]:
    """The metrics that an answer gets right; every other one that its row has it must get wrong."""
    marks = of.marks(given, answer)
    assert {name for name, mark in marks.items() if mark is not None} == set(measured([of], answer))
    return [name for name in measured([of], answer) if marks[name]]


@pytest.mark.parametrize(
    ("given", "marks"),
    [
        (Said("", calls(BONN, NOW)), [*CALL_METRICS, "exact"]),
        (Said("", calls(NOW, BONN)), [*CALL_METRICS, "exact"]),
        (Said("", calls(NOW, ("weather", {"days": 2.0, "city": "Bonn"}))), [*CALL_METRICS, "exact"]),
        (Said("One moment.", calls(BONN, NOW)), [*CALL_METRICS]),
        (Said("", calls(ULM, NOW)), ["call_due", "call_schema", "call_name"]),
        (Said("", calls(NOW, ("weather", {"city": "Bonn", "days": True}))), ["call_due", "call_name"]),
        (Said("", calls(NOW, ("weather", {}))), ["call_due", "call_name"]),
        (Said("", calls(BONN)), ["call_due", "call_schema"]),
        (Said("", calls(BONN, NOW, NOW)), ["call_due", "call_schema"]),
        (Said("", calls(BONN, ("clock", {}))), ["call_due"]),
        (Said("It is noon."), []),
    ],
)
def test_each_call_is_marked_on_what_it_got_right_and_on_nothing_else(given: Said, marks: list[str]) -> None:
    assert right(wanted(BONN, NOW), given) == marks


def test_one_call_given_twice_is_not_two_calls() -> None:
    assert "call_name" in right(wanted(BONN, ULM), Said("", calls(BONN, BONN)))
    assert "call_arguments" not in right(wanted(BONN, ULM), Said("", calls(BONN, BONN)))
    one, true = ("time", {"x": 1}), ("time", {"x": True})
    assert "call_arguments" not in right(wanted(one, true), Said("", calls(one, one)))


def test_an_answer_in_text_is_marked_as_text_and_a_call_in_its_place_is_right_in_nothing() -> None:
    assert right(wanted(said="No."), Said("No.")) == ["call_due", "exact"]
    assert right(wanted(said="No."), Said("Yes.")) == ["call_due"]
    assert right(wanted(said="No."), Said("No.", calls(NOW))) == []
    assert right(wanted(said="No.", tools=None), Said("No.")) == ["exact"]
    assert right(wanted(said='{"intent": "a"}'), Said('{"intent": "a"}', calls(NOW)), TRIAGE) == []


def test_metrics_follow_from_what_the_rows_have() -> None:
    text, offered, call = wanted(said="No.", tools=None), wanted(said="No."), wanted(BONN)
    assert measured([text], TRIAGE) == TRIAGE.metrics
    assert measured([offered], TEXT) == ("call_due", "exact")
    assert measured([call], TRIAGE) == (*CALL_METRICS, "exact")
    assert measured([text, call], TRIAGE) == (*TRIAGE.metrics[:-1], *CALL_METRICS, "exact")
    assert headline(measured([text, call], TRIAGE), TRIAGE) == "intent"
    assert headline(measured([call], TRIAGE), TRIAGE) == "call_arguments"
    assert headline(measured([offered], TEXT), TEXT) == "exact"


def test_a_wanted_call_that_breaks_its_tool_is_a_fault_of_the_row() -> None:
    assert wanted(BONN, NOW).fault(TRIAGE) == ""
    assert wanted(("weather", {"town": "Bonn"})).fault(TEXT) == "weather: object: 'city' is a required property"
    assert wanted(("clock", {})).fault(TEXT) == "clock: not among the tools on offer"
    assert wanted(NOW, tools=None).fault(TEXT) == "calls a tool, and none is on offer"
    assert Wanted(None, TOOLS).fault(TEXT) == "no assistant message"


@pytest.mark.parametrize(
    ("pair", "tools", "told"),
    [
        (
            ("weather", {"city": "Jo Smith lives in the third house on the left", "days": "two"}),
            TOOLS,
            'weather: days: type "integer", got str',
        ),
        (("weather", [1]), TOOLS, "weather: arguments are no JSON object"),
        (("weather", {}), [tool("weather", {"type": "objet"})], "weather: the tool's parameters are no JSON schema"),
        (
            ("weather", {}),
            [tool("weather", {"$ref": "http://127.0.0.1:9/x"})],
            "weather: the tool's parameters are no JSON schema",
        ),
        (("weather", {}), None, ""),
    ],
)
def test_a_broken_call_is_told_by_tool_and_rule_and_nothing_is_fetched_for_it(pair: Any, tools: Any, told: str) -> None:
    assert broken_calls(calls(pair), tools) == told


def test_an_answer_of_calls_is_told_in_lines() -> None:
    assert Said("One moment.", calls(NOW)).told == 'One moment.\n{"arguments": {}, "name": "time"}'
    assert Said("No.").told == "No."
