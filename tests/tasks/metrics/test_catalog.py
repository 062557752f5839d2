"""Each answer is scored on what its own row asks for: a JSON object by its fields, tool calls whatever the order of keys
and of parallel calls.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.row import made_call
from tasks.metrics.answer_schema import AnswerSettings
from tasks.metrics.catalog import headline, measured_on, metrics_of
from tasks.metrics.reference import ModelAnswer, Reference, broken_calls
from tests.support.answer_forms import TICKET, TICKET_ANSWER

Call = tuple[str, Any]
TEXT = AnswerSettings()
TRIAGE = AnswerSettings(graded=("intent",), json_schema={"type": "object", "required": ["intent"]})
FIELDS = ("json_valid", "schema_valid", "intent", "urgent", "all_graded", "exact")
CALL_METRICS = ("call_due", "call_schema", "call_name", "call_arguments")
CITY = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


def tool(name: str, parameters: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters or {}}}


TOOLS = [tool("weather", CITY), tool("time")]


def calls(*pairs: tuple[str, Any]) -> str:
    return json.dumps([made_call(number, *pair) for number, pair in enumerate(pairs, 1)])


BONN: Call = ("weather", {"city": "Bonn", "days": 2})
ULM: Call = ("weather", {"city": "Ulm"})
NOW: Call = ("time", {})


def wanted(*pairs: tuple[str, Any], text: str = "", tools: list[Any] | None = TOOLS) -> Reference:
    return Reference(ModelAnswer(text, calls(*pairs) if pairs else None), tools)


def names(answer: AnswerSettings) -> tuple[str, ...]:
    return tuple(metric.name for metric in metrics_of(answer))


def measured(references: list[Reference], answer: AnswerSettings) -> tuple[str, ...]:
    return tuple(metric.name for metric in measured_on(references, metrics_of(answer)))


def scores(of: Reference, given: ModelAnswer | None, answer: AnswerSettings) -> dict[str, Any]:
    found = {metric.name: metric.of(of, given) for metric in metrics_of(answer)}
    return {name: score for name, score in found.items() if score is not None}


def mark(expected: str, given: str, answer: AnswerSettings) -> dict[str, Any]:
    return scores(Reference(ModelAnswer(expected), None), ModelAnswer(given), answer)


def right(of: Reference, given: ModelAnswer, answer: AnswerSettings = TEXT) -> list[str]:
    """The metrics that an answer is right in; those alone are scored that its row has."""
    found = scores(of, given, answer)
    assert tuple(found) == measured([of], answer)
    return [name for name, score in found.items() if score]


@pytest.mark.parametrize(
    ("given", "marks"),
    [
        (ModelAnswer("", calls(BONN, NOW)), [*CALL_METRICS, "exact"]),
        (ModelAnswer("", calls(NOW, BONN)), [*CALL_METRICS, "exact"]),
        (ModelAnswer("", calls(NOW, ("weather", {"days": 2.0, "city": "Bonn"}))), [*CALL_METRICS, "exact"]),
        (ModelAnswer("One moment.", calls(BONN, NOW)), [*CALL_METRICS]),
        (ModelAnswer("", calls(ULM, NOW)), ["call_due", "call_schema", "call_name"]),
        (ModelAnswer("", calls(NOW, ("weather", {"city": "Bonn", "days": True}))), ["call_due", "call_name"]),
        (ModelAnswer("", calls(NOW, ("weather", {}))), ["call_due", "call_name"]),
        (ModelAnswer("", calls(BONN)), ["call_due", "call_schema"]),
        (ModelAnswer("", calls(BONN, NOW, NOW)), ["call_due", "call_schema"]),
        (ModelAnswer("", calls(BONN, ("clock", {}))), ["call_due"]),
        (ModelAnswer("It is noon."), []),
    ],
)
def test_each_call_is_marked_on_what_it_got_right_and_on_nothing_else(given: ModelAnswer, marks: list[str]) -> None:
    assert right(wanted(BONN, NOW), given) == marks


def test_one_call_given_twice_is_not_two_calls() -> None:
    assert "call_name" in right(wanted(BONN, ULM), ModelAnswer("", calls(BONN, BONN)))
    assert "call_arguments" not in right(wanted(BONN, ULM), ModelAnswer("", calls(BONN, BONN)))
    one, true = ("time", {"x": 1}), ("time", {"x": True})
    assert "call_arguments" not in right(wanted(one, true), ModelAnswer("", calls(one, one)))


def test_an_answer_in_text_is_marked_as_text_and_a_call_in_its_place_is_right_in_nothing() -> None:
    assert right(wanted(text="No."), ModelAnswer("No.")) == ["call_due", "exact"]
    assert right(wanted(text="No."), ModelAnswer("Yes.")) == ["call_due"]
    assert right(wanted(text="No."), ModelAnswer("No.", calls(NOW))) == []
    assert right(wanted(text="No.", tools=None), ModelAnswer("No.")) == ["exact"]
    assert right(wanted(text='{"intent": "a"}'), ModelAnswer('{"intent": "a"}', calls(NOW)), TRIAGE) == []


def test_metrics_follow_from_what_the_rows_have() -> None:
    text, offered, call = wanted(text="No.", tools=None), wanted(text="No."), wanted(BONN)
    assert measured([text], TRIAGE) == ("json_valid", "schema_valid", "intent", "all_graded", "exact")
    assert measured([offered], TEXT) == ("call_due", "exact")
    assert measured([call], TRIAGE) == (*CALL_METRICS, "exact")
    assert measured([text, call], TRIAGE) == (
        *("json_valid", "schema_valid", "intent", "all_graded"),
        *CALL_METRICS,
        "exact",
    )
    assert headline(measured_on([text, call], metrics_of(TRIAGE))).name == "intent"
    assert headline(measured_on([call], metrics_of(TRIAGE))).name == "call_arguments"
    assert headline(measured_on([offered], metrics_of(TEXT))).name == "exact"


def test_a_wanted_call_that_breaks_its_tool_is_a_fault_of_the_row() -> None:
    assert wanted(BONN, NOW).fault(TRIAGE) == ""
    assert wanted(("weather", {"town": "Bonn"})).fault(TEXT) == "weather: object: 'city' is a required property"
    assert wanted(("clock", {})).fault(TEXT) == "clock: not among the tools on offer"
    assert wanted(NOW, tools=None).fault(TEXT) == "calls a tool, and none is on offer"
    assert Reference(None, TOOLS).fault(TEXT) == "no assistant message"


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
    assert ModelAnswer("One moment.", calls(NOW)).as_text == 'One moment.\n{"arguments": {}, "name": "time"}'
    assert ModelAnswer("No.").as_text == "No."


def test_metrics_follow_from_the_answer_form() -> None:
    text = Reference(ModelAnswer("{}"), None)
    assert (
        measured([text], TICKET) == FIELDS == ("json_valid", "schema_valid", "intent", "urgent", "all_graded", "exact")
    )
    assert measured([text], AnswerSettings(json_schema={"type": "object"})) == ("json_valid", "schema_valid", "exact")
    assert measured([text], TEXT) == ("exact",)
    assert names(TEXT) == (*CALL_METRICS, "exact")


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ('{"intent": "refund", "urgent": true, "reply": "We are on it."}', FIELDS),
        ('{"reply": "We are on it.", "urgent": true, "intent": "refund"}', FIELDS),
        ('{"intent": "refund", "urgent": true, "reply": "Soon."}', FIELDS[:-1]),
        ('{"intent": "order", "urgent": true, "reply": "x"}', ("json_valid", "schema_valid", "urgent")),
        ('{"intent": "refund", "urgent": 1, "reply": "x"}', ("json_valid", "schema_valid", "intent")),
        ('{"intent": "refund", "reply": "x"}', ("json_valid", "schema_valid", "intent")),
        ('{"intent": "refund", "urgent": true, "mood": 1}', ("json_valid", "intent", "urgent", "all_graded")),
        ('Sure! {"intent": "refund", "urgent": true}', ()),
        ("", ()),
    ],
)
def test_each_answer_is_marked_on_what_it_got_right_and_on_nothing_else(given: str, right: tuple[str, ...]) -> None:
    marks = mark(TICKET_ANSWER, given, TICKET)
    assert tuple(marks) == FIELDS
    assert tuple(name for name, is_right in marks.items() if is_right) == right


def test_a_number_is_right_however_it_is_written() -> None:
    assert mark('{"intent": "other", "urgent": 1}', '{"intent": "other", "urgent": 1.0}', TICKET)["exact"]


def test_an_optional_field_is_right_when_both_leave_it_out() -> None:
    assert mark('{"intent": "other"}', '{"intent": "other"}', TICKET)["urgent"]
    assert not mark('{"intent": "other"}', '{"intent": "other", "urgent": true}', TICKET)["urgent"]


def test_free_text_is_right_when_it_is_the_same_but_for_space_at_its_ends() -> None:
    assert mark("refund", " refund\n", TEXT) == {"exact": True}
    assert mark("refund", "Refund", TEXT) == {"exact": False}


VALUES: st.SearchStrategy[Any] = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text())


@given(st.text() | VALUES.map(str))
def test_no_text_at_all_breaks_the_marking(text: str) -> None:
    assert set(mark(TICKET_ANSWER, text, TICKET)) == set(FIELDS)


def test_a_refused_answer_is_right_in_nothing_that_its_row_asks() -> None:
    of = Reference(ModelAnswer("Hello"), TOOLS)
    assert scores(of, ModelAnswer("Hello"), TEXT) == {"call_due": True, "exact": True}
    assert scores(of, None, TEXT) == {"call_due": False, "exact": False}
