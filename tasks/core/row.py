"""The canonical row, one for every dataset kind, and its messages as turns with tool calls.

Canonical row (`ROW_SCHEMA`), one for every dataset kind:
    row_id     sha256 of the raw content and of its occurrence number; never of a position, so a new export keeps it
    source     file the row came from, relative to the recipe's folder
    line       1-based line, record or element in it
    messages   list of {role, content}; of a classification row the text and, as the answer, its label; of a
               preference pair the prompt and the chosen answer
    rejected   the answer that a preference pair says is worse; null in every other row
    weights    how much each message teaches, 0 or 1, as its source says; null when every answer teaches
    calls      the tool calls of each message (below); null in a row without any
    meta       JSON text of the row's other columns as they came (slice, created_at, ...)


Tool calls: a row has them in `calls`, one text for each message, as `weights` has one number: of an assistant's message
the JSON list of its tool_calls, of a tool's the JSON object of its tool_call_id (and name), of any other null. A row
without any has null in their place, so rows without tools cost nothing. The tools that were on offer stay in meta, as
they came.

What a call is compared by, searched for and shown as is one line: {"arguments": {"city": "Bonn"}, "name": "weather"}.
Ids do not count there, which are new in every conversation, and neither does the order of arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl

CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str)
_FUNCTION = ("name", "arguments")
MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))

Message = dict[str, Any]  # role, content
Turn = dict[str, Any]  # a message as OpenAI's format has it, with tool_calls or tool_call_id
Schema = dict[str, pl.DataType | type[pl.DataType]]

ROW_SCHEMA: Schema = {
    "row_id": pl.String,
    "source": pl.String,
    "line": pl.Int64,
    "messages": MESSAGES,
    "rejected": pl.String,
    "weights": pl.List(pl.Float64),
    "calls": pl.List(pl.String),
    "meta": pl.String,
}


def content_json(row: dict[str, Any]) -> str:
    """What a row says as one JSON text, the form that its digest is taken of.

    Its messages, with the tool calls in them; a row with rejected or weights is an object of those and its messages.
    """
    messages = turns(row)
    more = {name: row[name] for name in ("rejected", "weights") if row.get(name) is not None}
    return json.dumps({"messages": messages, **more} if more else messages, ensure_ascii=False)


def parsed(value: Any, opening: str) -> Any:
    """A list or an object that was written as JSON text into a table's cell, as itself; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith(opening):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def turns(row: dict[str, Any]) -> list[Turn]:
    """The messages of a row as OpenAI's format has them: with tool_calls and tool_call_id where there are any."""
    if row.get("calls") is None:
        return list(row["messages"])
    return [_turn(said, call) for said, call in zip(row["messages"], row["calls"], strict=True)]


def made_call(number: int, name: str, arguments: Any) -> Turn:
    """A call that a model made, in OpenAI's form; number: of the conversation's calls, from 1. Nine characters are what
    Mistral's templates ask of an id."""
    text = json.dumps(arguments, ensure_ascii=False)
    return {"id": f"call{number:05}", "type": "function", "function": {"name": name, "arguments": text}}


def _turn(said: Turn, call: str | None) -> Turn:
    if call is None:
        return said
    about = json.loads(call)
    return (
        {**said, "content": said["content"] or None, "tool_calls": about}
        if isinstance(about, list)
        else {**said, **about}
    )


def tools_of(meta: str | None) -> list[Any] | None:
    """The tools that were on offer in a row, of its meta."""
    tools = parsed(json.loads(meta).get("tools"), "[") if meta and '"tools"' in meta else None
    return tools if isinstance(tools, list) and tools and all(isinstance(tool, dict) for tool in tools) else None


def name_of(function: Any) -> str:
    """The name of a call's or a tool's function; empty for what is none."""
    inner = function.get("function", function) if isinstance(function, dict) else {}
    return str(inner.get("name", "")) if isinstance(inner, dict) else ""


def with_arguments(turn: Turn) -> Turn:
    """`turn` with the arguments of its calls as values, as chat templates and TRL want them, and not as JSON text."""
    if not turn.get("tool_calls"):
        return turn
    functions = [call["function"] for call in turn["tool_calls"]]
    read = [{**function, "arguments": json.loads(function["arguments"])} for function in functions]
    return {
        **turn,
        "tool_calls": [{**call, "function": new} for call, new in zip(turn["tool_calls"], read, strict=True)],
    }


def rewritten_call(call: str, change: Callable[[Any], Any]) -> str:
    """One of a row's `calls` with the arguments in it as `change` makes them; ids and functions' names stay."""
    about = json.loads(call)
    if not isinstance(about, list):
        return call
    return CANONICAL.encode([{**one, "function": _changed(one["function"], change)} for one in about])


def _changed(function: Turn, change: Callable[[Any], Any]) -> Turn:
    old = json.loads(function["arguments"])
    new = change(old)
    return function if new == old else {**function, "arguments": json.dumps(new, ensure_ascii=False)}


def as_message(turn: Turn) -> Message:
    """A turn as {role, content}, its calls as lines below what it says."""
    made = [{key: call["function"][key] for key in _FUNCTION} for call in with_arguments(turn).get("tool_calls", ())]
    lines = [turn["content"] or "", *map(CANONICAL.encode, made)]
    return {"role": turn["role"], "content": "\n".join(line for line in lines if line)}


def messages_of(row: dict[str, Any]) -> list[Message]:
    """The messages of a row as {role, content}, calls as text among them."""
    return list(row["messages"]) if row.get("calls") is None else [as_message(turn) for turn in turns(row)]


def with_calls(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with the calls as text in `messages`: for what compares, searches and shows messages."""
    if "calls" not in rows.columns or rows["calls"].null_count() == rows.height:
        return rows
    told = [messages_of(row) for row in rows.select("messages", "calls").iter_rows(named=True)]
    return rows.with_columns(messages=pl.Series(told, dtype=rows.schema["messages"]))


def has_tools(row: dict[str, Any]) -> bool:
    """Whether a row has tool calls, or tools on offer."""
    return row.get("calls") is not None or tools_of(row["meta"]) is not None


def any_tools(rows: pl.DataFrame) -> pl.Series:
    """For each of `rows`, whether it has tool calls, or tools on offer."""
    may = any_calls(rows) | rows["meta"].str.contains('"tools"', literal=True).fill_null(False)
    found = [has_tools(row) for row in rows.filter(may).iter_rows(named=True)]
    return may.scatter(may.arg_true(), found) if found else may


def without_calls(rows: pl.DataFrame) -> pl.DataFrame:
    """Those of `rows` that have no tool calls."""
    made = any_calls(rows)
    return rows.filter(~made) if made.any() else rows


def any_calls(rows: pl.DataFrame) -> pl.Series:
    """For each of `rows`, whether it has tool calls."""
    if "calls" not in rows.columns:  # of a run before there were tool calls
        return pl.repeat(False, rows.height, dtype=pl.Boolean, eager=True)
    return rows["calls"].is_not_null()
