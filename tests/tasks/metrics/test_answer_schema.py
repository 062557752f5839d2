"""The answer form: what parses, what keeps the schema."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.metrics.answer_schema import AnswerSettings, broken_rule, label_of, parse
from tests.support.answer_forms import TICKET, TICKET_ANSWER

TEXT = AnswerSettings()


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
    assert broken_rule({"intent": "rant"}, TICKET).startswith("intent: 'rant' is not one of")
    assert "required" in broken_rule({}, TICKET)
    assert broken_rule({"intent": "other"}, TICKET) == ""


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
    assert label_of(TICKET_ANSWER, TICKET) == "refund"
    assert label_of("refund", TICKET) is None
    assert label_of(" refund ", TEXT) == "refund"


def test_a_schema_that_is_none_and_a_field_named_twice_are_refused() -> None:
    with pytest.raises(ValidationError, match="not a JSON schema"):
        AnswerSettings(json_schema={"type": "objet"})
    with pytest.raises(ValidationError, match="cannot be used"):
        AnswerSettings(json_schema={"$ref": "#/$defs/absent"})
    with pytest.raises(ValidationError, match="named twice"):
        AnswerSettings(graded=("intent", "intent"))
