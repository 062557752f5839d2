"""Filter: each rule catches its violation under its own reason, and good rows pass untouched."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from tasks.core.answer import AnswerSettings
from tasks.core.ledger import ROW_SCHEMA, Outcome, check_balance
from tasks.filter import FilterSettings, filter_answers

SCHEMA = AnswerSettings(
    label="intent",
    json_schema={
        "type": "object", "additionalProperties": False, "required": ["intent", "reply"],
        "properties": {"intent": {"enum": ["order_status", "other"]}, "reply": {"type": "string"}},
    },
)  # fmt: skip
GOOD = '{"intent": "order_status", "reply": "We look – with \\"care\\"."}'


def run(*conversations: list[tuple[str, str]], answer: AnswerSettings = SCHEMA) -> Outcome:
    made = [
        {"row_id": f"{i:03}", "source": "x.jsonl", "line": i, "meta": "{}",
         "messages": [{"role": role, "content": content} for role, content in turns]}
        for i, turns in enumerate(conversations, 1)
    ]  # fmt: skip
    frame = pl.DataFrame(made, schema=ROW_SCHEMA)
    outcome = filter_answers(frame, FilterSettings(), answer)
    check_balance("filter", frame, outcome)
    return outcome


def answered(text: str) -> list[tuple[str, str]]:
    return [("user", "Where is it?"), ("assistant", text)]


VIOLATIONS: dict[str, tuple[list[tuple[str, str]], str, str, Any]] = {
    "an empty message": ([("user", " \n"), ("assistant", GOOD)], "dropped", "empty message", {"message": 1}),
    "no message": ([("system", "x"), ("assistant", GOOD)], "dropped", "no user message", {"roles": ["system", "assistant"]}),
    "an empty answer": (answered("  "), "dropped", "empty answer", {"message": 2}),
    "no answer": ([("user", "Hi")], "dropped", "no assistant answer", {"roles": ["user"]}),
    "prose": (answered("Hi, we look."), "quarantined", "answer is not JSON", {"message": 2, "characters": 12}),
    "the old format": (answered("INTENT: other | REPLY: x"), "quarantined", "answer is not JSON", None),
    "prose after the object": (answered(GOOD + " Best, Tom"), "quarantined", "answer is not JSON", None),
    "a list": (answered("[1]"), "quarantined", "answer is not JSON", None),
    "a slip in the middle": (answered("{'intent': 'other'}"), "quarantined", "answer is not JSON", None),
    "half of an escaped pair": (answered('{"intent": "other", "reply": "\\ud83d"}'), "quarantined", "answer is not JSON", None),
    "cut off in a text": (answered(GOOD[:40]), "quarantined", "answer is cut off", {"message": 2, "characters": 40}),
    "cut off before the last brace": (answered(GOOD[:-1]), "quarantined", "answer is cut off", None),
    "cut off inside an object": (answered('{"a": {"b": 1}'), "quarantined", "answer is cut off", None),
    "an unknown label": (
        answered('{"intent": "shipping", "reply": "x"}'), "quarantined", "answer breaks the schema",
        {"message": 2, "rule": "intent: 'shipping' is not one of ['order_status', 'other']"},
    ),
    "a missing field": (answered('{"intent": "other"}'), "quarantined", "answer breaks the schema", None),
    "a bad answer in a later turn": (
        [*answered(GOOD), *answered("Just prose")], "quarantined", "answer is not JSON", {"message": 4, "characters": 10},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", VIOLATIONS)
def test_each_violation_is_caught_under_its_reason(case: str) -> None:
    turns, action, reason, evidence = VIOLATIONS[case]
    outcome = run(turns, answered(GOOD))
    (told,) = outcome.ledger.iter_rows(named=True)
    assert (told["row_id"], told["step"], told["action"], told["reason"]) == ("001", "filter", action, reason)
    assert evidence is None or json.loads(told["evidence"]) == evidence
    assert outcome.kept["row_id"].to_list() == ["002"]


def test_every_cut_of_a_good_answer_is_seen_as_cut_off() -> None:
    outcome = run(*(answered(GOOD[:end]) for end in range(1, len(GOOD))))
    assert outcome.ledger["reason"].unique().to_list() == ["answer is cut off"]
    assert outcome.kept.is_empty()


def test_valid_json_is_written_in_one_form_and_told() -> None:
    loose = '{ "reply":"caf\\u00e9",\n"intent" : "other" }'
    outcome = run(answered(loose), answered(GOOD))
    assert outcome.kept["messages"][0][1]["content"] == '{"intent": "other", "reply": "café"}'
    assert outcome.kept["messages"][1][1]["content"] == GOOD
    (told,) = outcome.ledger.iter_rows(named=True)
    assert (told["row_id"], told["action"]) == ("001", "changed")
    assert told["before"] != told["after"]


def test_free_text_answers_need_only_be_there() -> None:
    outcome = run(answered("Hi, we look."), answered('{"b":1,"a'), answered(""), answer=AnswerSettings())
    assert outcome.kept["messages"].to_list()[1][1]["content"] == '{"b":1,"a'
    assert outcome.ledger["reason"].to_list() == ["empty answer"]
