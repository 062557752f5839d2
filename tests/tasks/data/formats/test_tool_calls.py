"""Tool calls: taken in as OpenAI's format has them, part of what a row says in every step, and written back equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.errors import DataError
from tasks.core.ledger import Outcome, entries, entry, quarantine
from tasks.core.row import as_message, tools_of, turns, with_calls
from tasks.core.row_kind import CLASSIFICATION, SFT, RowKind
from tasks.curation.dedupe import DedupeSettings, dedupe
from tasks.curation.export import export
from tasks.curation.filter import FilterSettings, filter_rows
from tasks.curation.format import FormatSettings, format_answers
from tasks.curation.ingest import IngestSettings, Source, find_sources, ingest
from tasks.curation.redact import RedactSettings, redact
from tasks.metrics.answer_schema import AnswerSettings
from tasks.relations.prompts import prompts

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def call(arguments: str = '{"city":"Bonn"}', name: str = "weather", id: str = "call_1") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def conversation(
    *calls: dict[str, Any], asked: str = "Is it raining in Bonn?", said: str | None = None
) -> dict[str, Any]:
    """A question, calls, what the tools say, and an answer."""
    answered = [{"role": "tool", "tool_call_id": one["id"], "content": '{"rain": true}'} for one in calls]
    made = {"role": "assistant", "content": said, "tool_calls": list(calls)}
    return {
        "messages": [
            {"role": "user", "content": asked},
            made,
            *answered,
            {"role": "assistant", "content": "Yes, it is."},
        ],
        "tools": TOOLS,
    }


def ends_in_call(*calls: dict[str, Any], asked: str = "Is it raining in Bonn?") -> dict[str, Any]:
    return {"messages": conversation(*calls, asked=asked)["messages"][:2], "tools": TOOLS}


def read(folder: Path, *records: dict[str, Any], kind: RowKind = SFT) -> Outcome:
    (folder / "raw.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return ingest(find_sources([Source(path="raw.jsonl")], folder), IngestSettings(), kind)


def said(rows: pl.DataFrame) -> list[Any]:
    return [(turns(row), tools_of(row["meta"])) for row in rows.sort("line").iter_rows(named=True)]


def test_openais_calls_and_tools_come_through_and_go_out_as_they_were(tmp_path: Path) -> None:
    weighted = conversation(call("{}"), asked="And now?")
    weighted["messages"][1]["weight"] = 0
    records = [conversation(call(), call('{"city": "Ulm"}', id="call_2")), ends_in_call(call()), weighted]
    rows = read(tmp_path, *records).kept
    export(rows, "openai", tmp_path / "out", SFT)
    written = [json.loads(line) for line in (tmp_path / "out/train.jsonl").read_text().splitlines()]
    weighted["messages"][-1]["weight"] = 1
    assert sorted(written, key=json.dumps) == sorted(records, key=json.dumps)


@pytest.mark.parametrize("format", ["openai", "trl", "huggingface"])
def test_what_is_exported_is_read_back_with_the_same_ids(tmp_path: Path, format: Any) -> None:
    plain = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    rows = read(tmp_path, conversation(call('{"city": "Bonn"}')), ends_in_call(call("{}", name="noön")), plain).kept
    export(rows, format, tmp_path / "out", SFT)
    name = "out/train.jsonl" if format != "huggingface" else "out/train"
    again = ingest(find_sources([Source(path=name)], tmp_path), IngestSettings(), SFT)
    assert again.ledger.is_empty()
    assert again.kept["row_id"].to_list() == rows["row_id"].to_list()
    assert [tools_of(meta) for meta in again.kept["meta"]] == [tools_of(meta) for meta in rows["meta"]]


def test_alpaca_has_no_place_for_tools_and_says_so(tmp_path: Path) -> None:
    rows = read(tmp_path, ends_in_call(call())).kept
    with pytest.raises(DataError, match="has tools or tool calls, which it has no place for"):
        export(rows, "alpaca", tmp_path / "out", SFT)


def test_trl_gets_arguments_as_values(tmp_path: Path) -> None:
    export(read(tmp_path, ends_in_call(call())).kept, "trl", tmp_path / "out", SFT)
    record = json.loads((tmp_path / "out/train.jsonl").read_text())
    assert record["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"city": "Bonn"}
    assert record["tools"] == TOOLS


BROKEN: dict[str, dict[str, Any]] = {
    "a tool call whose arguments are not JSON": ends_in_call(call('{"city": Bonn}')),
    "a tool call without a function's name": ends_in_call(call(name=" ")),
    "a tool's answer to no call before it": {
        "messages": [*conversation(call())["messages"][:2], {"role": "tool", "tool_call_id": "call_9", "content": "x"}]
    },
    "tool_calls is no list": {"messages": [{"role": "assistant", "content": None, "tool_calls": "weather"}]},
    "tools not understood": {**conversation(call()), "tools": "weather"},
}


@pytest.mark.parametrize("reason", BROKEN)
def test_malformed_calls_are_quarantined_and_cost_no_good_row(tmp_path: Path, reason: str) -> None:
    outcome = read(tmp_path, conversation(call()), BROKEN[reason])
    assert outcome.kept["line"].to_list() == [1]
    assert outcome.ledger.select("line", "reason").rows() == [(2, reason)]


def test_a_call_is_answered_once(tmp_path: Path) -> None:
    twice = conversation(call())
    twice["messages"].insert(3, twice["messages"][2])
    assert read(tmp_path, twice).ledger["reason"].to_list() == ["a tool's answer to no call before it"]


def test_a_call_is_no_label(tmp_path: Path) -> None:
    outcome = read(tmp_path, ends_in_call(call()), kind=CLASSIFICATION)
    assert outcome.ledger["reason"].to_list() == ["more or less than a text and its label"]


def test_a_row_without_calls_has_the_id_that_it_had_before_there_were_any(tmp_path: Path) -> None:
    row = read(
        tmp_path,
        {
            "messages": [{"role": "user", "content": "Hi", "name": "Jo"}, {"role": "assistant", "content": "Yo"}],
            "tools": TOOLS,
        },
    ).kept.row(0, named=True)
    assert row["row_id"] == "71c296cb1ac2f927ab89421048752cd00a8ae3842d08144e43a0f9d87223a1b5"
    assert json.loads(row["meta"])["message_fields"] == [{"name": "Jo"}, {}]


def test_the_text_in_quarantine_is_read_as_the_same_row(tmp_path: Path) -> None:
    rows = read(tmp_path, conversation(call(), said="Let me see.")).kept
    told = [entry(row, "quarantined", "why not") for row in rows.iter_rows(named=True)]
    text = quarantine(rows, Outcome(rows.clear(), entries("filter", told)))["text"][0]
    assert read(tmp_path, {"messages": json.loads(text)}).kept["row_id"].to_list() == rows["row_id"].to_list()


def test_personal_data_in_arguments_has_the_conversations_own_placeholders(tmp_path: Path) -> None:
    mail = "ada.lovelace@example.com"
    made = call(json.dumps({"to": mail, "cc": ["bob@example.com"], "n": 3}).replace("@", "\\u0040"), name="send")
    outcome = redact(read(tmp_path, conversation(made, asked=f"Write to {mail}")).kept, RedactSettings())
    ((messages, _),) = said(outcome.kept)
    assert messages[0]["content"] == "Write to <EMAIL_1>"
    assert json.loads(messages[1]["tool_calls"][0]["function"]["arguments"]) == {
        "to": "<EMAIL_1>",
        "cc": ["<EMAIL_2>"],
        "n": 3,
    }
    assert "example.com" not in outcome.kept["calls"].list.join("", ignore_nulls=True)[0]
    assert redact(outcome.kept, RedactSettings()).kept.equals(outcome.kept)


def test_rows_that_differ_in_a_call_are_no_copies_and_ids_of_calls_do_not_count(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        ends_in_call(call()),
        ends_in_call(call(id="call_77")),
        ends_in_call(call('{"city": "Ulm"}')),
        {**ends_in_call(call()), "tools": [{"type": "function", "function": {"name": "other"}}]},
    ).kept
    by_pair = {"prompt": {"policy": "off"}, "pair": {"policy": "drop", "threshold": 1}}
    outcome = dedupe(rows, DedupeSettings.model_validate(by_pair))
    assert sorted(outcome.kept["line"]) in ([1, 3, 4], [2, 3, 4])
    assert outcome.ledger["reason"].to_list() == ["exact duplicate"]


def test_what_a_row_is_compared_by_has_its_calls(tmp_path: Path) -> None:
    asked = prompts(read(tmp_path, conversation(call(), said="Let me see.")).kept).row(0, named=True)
    assert asked["prompt"] == (
        'is it raining in bonn? let me see. {"arguments": {"city": "bonn"}, "name": "weather"} {"rain": true}'
    )
    assert asked["answer"] == "Yes, it is."
    assert '"name": "weather"' in asked["system"]
    answer = prompts(read(tmp_path, ends_in_call(call())).kept)["answer"][0]
    assert answer == '{"arguments": {"city": "Bonn"}, "name": "weather"}'


def test_an_answer_of_calls_alone_is_not_empty(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        conversation(call()),
        ends_in_call(call(), asked="Rain?"),
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}]},
    ).kept
    outcome = filter_rows(rows, FilterSettings(), SFT)
    assert sorted(outcome.kept["line"]) == [1, 2]
    assert outcome.ledger["reason"].to_list() == ["empty answer"]


def test_the_form_of_answers_is_not_asked_of_calls(tmp_path: Path) -> None:
    schema = AnswerSettings(
        json_schema={"type": "object", "properties": {"rain": {"type": "boolean"}}, "required": ["rain"]}
    )
    broken, good = conversation(call()), conversation(call(), asked="Rain?")
    good["messages"][-1]["content"] = "{'rain': true}"
    rows = read(tmp_path, ends_in_call(call()), broken, good).kept
    outcome = format_answers(rows, FormatSettings(), SFT, schema)
    assert sorted(outcome.kept["line"]) == [1, 3]
    assert outcome.ledger.sort("line").select("line", "reason").rows() == [
        (2, "answer is not JSON"),
        (3, "answer rewritten"),
    ]
    assert outcome.kept.filter(pl.col("line") == 3)["calls"].equals(rows.filter(pl.col("line") == 3)["calls"])


def test_rows_without_calls_are_handed_through_untouched(tmp_path: Path) -> None:
    rows = read(
        tmp_path, {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]}
    ).kept
    assert with_calls(rows) is rows
    assert with_calls(rows.drop("calls")).columns == rows.drop("calls").columns
    assert as_message({"role": "tool", "content": "x", "tool_call_id": "call_1"}) == {"role": "tool", "content": "x"}
