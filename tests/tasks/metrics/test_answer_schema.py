"""The answer form: what parses, what keeps the schema, what is right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.metrics.answer_schema import RESERVED, AnswerSettings, broken_rule, label_of, mark, parse

TRIAGE = AnswerSettings(
    label="intent",
    graded=("intent", "urgent"),
    json_schema={
        "type": "object",
        "required": ["intent"],
        "additionalProperties": False,
        "properties": {
            "intent": {"enum": ["refund", "order", "other"]},
            "urgent": {"type": ["boolean", "number"]},
            "reply": {"type": "string"},
        },
    },
)
TEXT = AnswerSettings()
EXPECTED = '{"intent": "refund", "urgent": true, "reply": "We are on it."}'


@pytest.mark.parametrize(
    "text",
    ["", "refund", "[1]", '"refund"', '{"intent": "refund"', '{"a": 1} and more', "```json\n{}\n```", "{'a': 1}"],
)
def test_what_is_not_one_json_object_does_not_parse(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}'])
def test_what_only_python_takes_for_json_does_not_parse(text: str) -> None:
    assert parse(text) is None


def test_a_model_that_nests_brackets_without_end_does_not_stop_the_evaluation() -> None:
    assert parse('{"a":' * 20_000) is None


def test_space_around_the_object_is_allowed() -> None:
    assert parse(' \n{"a": 1}\n') == {"a": 1}


def test_a_broken_schema_rule_is_named_with_its_field() -> None:
    assert broken_rule({"intent": "rant"}, TRIAGE).startswith("intent: 'rant' is not one of")
    assert "required" in broken_rule({}, TRIAGE)
    assert broken_rule({"intent": "other"}, TRIAGE) == ""


def test_a_broken_rule_tells_a_short_label_and_never_what_someone_wrote() -> None:
    text = {"type": "object", "properties": {"reply": {"type": "string", "maxLength": 9}, "intent": {"enum": ["a"]}}}
    answer = AnswerSettings(json_schema=text)
    assert broken_rule({"reply": "Dear Jo Smith"}, answer) == "reply: maxLength 9, got str"
    assert broken_rule({"reply": ["Jo Smith"]}, answer) == 'reply: type "string", got list'
    assert (
        broken_rule({"intent": "Jo Smith lives in the third house on the left"}, answer)
        == 'intent: enum ["a"], got str'
    )


def test_the_label_is_a_field_or_the_whole_text() -> None:
    assert label_of(EXPECTED, TRIAGE) == "refund"
    assert label_of("refund", TRIAGE) is None
    assert label_of(" refund ", TEXT) == "refund"


def test_metrics_follow_from_the_answer_form() -> None:
    assert TRIAGE.metrics == ("json_valid", "schema_valid", "intent", "urgent", "all_graded", "exact")
    assert AnswerSettings(json_schema={"type": "object"}).metrics == ("json_valid", "schema_valid", "exact")
    assert TEXT.metrics == ("exact",)


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ('{"intent": "refund", "urgent": true, "reply": "We are on it."}', TRIAGE.metrics),
        ('{"reply": "We are on it.", "urgent": true, "intent": "refund"}', TRIAGE.metrics),
        ('{"intent": "refund", "urgent": true, "reply": "Soon."}', TRIAGE.metrics[:-1]),
        ('{"intent": "order", "urgent": true, "reply": "x"}', ("json_valid", "schema_valid", "urgent")),
        ('{"intent": "refund", "urgent": 1, "reply": "x"}', ("json_valid", "schema_valid", "intent")),
        ('{"intent": "refund", "reply": "x"}', ("json_valid", "schema_valid", "intent")),
        ('{"intent": "refund", "urgent": true, "mood": 1}', ("json_valid", "intent", "urgent", "all_graded")),
        ('Sure! {"intent": "refund", "urgent": true}', ()),
        ("", ()),
    ],
)
def test_each_answer_is_marked_on_what_it_got_right_and_on_nothing_else(given: str, right: tuple[str, ...]) -> None:
    marks = mark(EXPECTED, given, TRIAGE)
    assert tuple(marks) == TRIAGE.metrics
    assert tuple(name for name, is_right in marks.items() if is_right) == right


def test_a_number_is_right_however_it_is_written() -> None:
    assert mark('{"intent": "other", "urgent": 1}', '{"intent": "other", "urgent": 1.0}', TRIAGE)["exact"]


def test_an_optional_field_is_right_when_both_leave_it_out() -> None:
    assert mark('{"intent": "other"}', '{"intent": "other"}', TRIAGE)["urgent"]
    assert not mark('{"intent": "other"}', '{"intent": "other", "urgent": true}', TRIAGE)["urgent"]


def test_free_text_is_right_when_it_is_the_same_but_for_space_at_its_ends() -> None:
    assert mark("refund", " refund\n", TEXT) == {"exact": True}
    assert mark("refund", "Refund", TEXT) == {"exact": False}


VALUES: st.SearchStrategy[Any] = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text())


@given(st.text() | VALUES.map(str))
def test_no_text_at_all_breaks_the_marking(text: str) -> None:
    assert set(mark(EXPECTED, text, TRIAGE)) == set(TRIAGE.metrics)


@pytest.mark.parametrize("name", RESERVED)
def test_a_graded_field_cannot_take_a_name_that_evaluation_uses(name: str) -> None:
    with pytest.raises(ValidationError, match="keeps for itself"):
        AnswerSettings(graded=(name,))


def test_a_schema_that_is_none_and_a_field_named_twice_are_refused() -> None:
    with pytest.raises(ValidationError, match="not a JSON schema"):
        AnswerSettings(json_schema={"type": "objet"})
    with pytest.raises(ValidationError, match="cannot be used"):
        AnswerSettings(json_schema={"$ref": "#/$defs/absent"})
    with pytest.raises(ValidationError, match="named twice"):
        AnswerSettings(graded=("intent", "intent"))
