"""Rows with tools in curation: what the template cannot write, what the model cannot hold with them, what breaks a
tool.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.contract.facts import row_facts
from tasks.core.handle import Handle
from tasks.core.row import ROW_SCHEMA, made_call
from tasks.core.row_kind import SFT
from tasks.curation.filter import FilterSettings, filter_rows
from tasks.curation.format import FormatSettings, format_answers
from tasks.metrics.answer_schema import AnswerSettings
from tasks.model.chat_template import PromptSettings
from tests.support import chat_templates
from tests.support.tiny_model import CONTEXT
from tests.support.training import base_handle

HERMES = PromptSettings(chat_template=chat_templates.HERMES)
CITY = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Handle:
    return base_handle(tmp_path_factory.mktemp("base") / "model")


def row(n: int, *calls: tuple[str, Any], description: str = "") -> dict[str, Any]:
    """A question answered by calls, or, without any, in text that is no JSON."""
    made = json.dumps([made_call(i, *call) for i, call in enumerate(calls, 1)]) if calls else None
    messages = [
        {"role": "user", "content": "Is it raining?"},
        {"role": "assistant", "content": "" if calls else "It rains."},
    ]
    tools = [{"type": "function", "function": {"name": "weather", "description": description, "parameters": CITY}}]
    said = {"messages": messages, "calls": [None, made] if calls else None}
    return {"row_id": f"{n:064}", "source": "a.jsonl", "line": n, **said, "meta": json.dumps({"tools": tools})}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=ROW_SCHEMA)


GOOD = ("weather", {"city": "Bonn"})


def reasons(rows: pl.DataFrame, base: Handle, prompt: PromptSettings) -> list[tuple[int, str]]:
    outcome = filter_rows(rows, FilterSettings(), SFT, base, prompt=prompt)
    assert set(outcome.ledger["action"].cast(pl.String)) <= {"quarantined"}
    return outcome.ledger.sort("line").select("line", "reason").rows()


def test_what_the_template_cannot_write_is_held_back_with_its_reason(base: Handle) -> None:
    rows = frame(row(1, GOOD), row(2))
    assert reasons(rows, base, HERMES) == []
    told = filter_rows(rows, FilterSettings(), SFT, base).ledger.sort("line")
    assert told["reason"].to_list() == ["the chat template cannot write its tools or calls"] * 2
    assert "does not write the tools on offer" in json.loads(told["evidence"][0])["template"]
    two = frame(row(1, GOOD), row(2, GOOD, GOOD))  # Llama 3.1 takes one call a turn
    assert [line for line, _ in reasons(two, base, PromptSettings(chat_template=chat_templates.LLAMA))] == [2]


def test_the_tools_count_when_a_row_is_measured_against_the_model(base: Handle) -> None:
    rows = frame(row(1, GOOD), row(2, GOOD, description="z" * CONTEXT))
    assert reasons(rows, base, HERMES) == [(2, "longer than the model can hold")]


def test_a_contract_holds_calls_to_their_tools_and_text_to_the_schema() -> None:
    answer = AnswerSettings(json_schema={"type": "object"})
    rows = frame(row(1, GOOD), row(2, ("weather", {})), row(3, ("clock", {})), row(4))
    facts = row_facts(rows, answer, ["answer_problem", "answer_keeps_schema", "answer_is_json"])
    assert facts["answer_problem"].to_list() == [
        None,
        "weather: object: 'city' is a required property",
        "clock: not among the tools on offer",
        "not one JSON object",
    ]
    assert facts["answer_keeps_schema"].to_list() == [True, False, False, False]
    assert facts["answer_is_json"].to_list() == [True, True, True, False]


@pytest.mark.parametrize(("policy", "kept"), [("quarantine", [1]), ("drop", [1]), ("keep", [1, 2])])
def test_format_holds_back_a_call_that_breaks_its_tool(tmp_path: Path, policy: Any, kept: list[int]) -> None:
    rows = frame(row(1, GOOD), row(2, ("weather", {"city": 7})))
    outcome = format_answers(rows, FormatSettings(policy=policy), SFT, AnswerSettings())
    assert outcome.kept["line"].to_list() == kept
    assert outcome.ledger["reason"].to_list() == ["tool call breaks its tool's schema"] * (2 - len(kept))
