"""Tool calls: what an assistant asks a program to do and what the program answers, as OpenAI's fine-tuning format has them.

A row has them in `calls`, one text for each message, as `weights` has one number: of an assistant's message the JSON list of
its tool_calls, of a tool's the JSON object of its tool_call_id (and name), of any other null. A row without any has null in
their place, so rows without tools cost nothing. The tools that were on offer stay in meta, as they came.

What a call is compared by, searched for and shown as is one line: {"arguments": {"city": "Bonn"}, "name": "weather"}. Ids do
not count there, which are new in every conversation, and neither does the order of arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from tasks.core.text.strict_json import refuse_constant
from tasks.data.formats.messages import Message, UnadaptedError, message, parsed

Turn = dict[str, Any]
_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str)
_FUNCTION = ("name", "arguments")


# ---------------------------------------------------------------- as records have them


def calls(turns: Sequence[Turn], messages: Sequence[Message]) -> list[str | None] | None:
    """`calls` of a row whose messages were made of `turns`; None when it has none.

    Raises UnadaptedError for a call without a function's name, arguments that are not JSON, and an answer to no call.
    """
    for turn in turns:
        if turn.get("tool_calls") or turn.get("role") == "tool":
            break
    else:
        return None
    open_calls: set[str] = set()
    found: list[str | None] = []
    for number, (turn, said) in enumerate(zip(turns, messages, strict=True), 1):
        if said["role"] == "tool":
            found.append(_JSON.encode(_answered(turn, open_calls, number)))
        elif turn.get("tool_calls"):
            made = [_call(call, number) for call in _listed(turn["tool_calls"], number)]
            open_calls |= {call["id"] for call in made if isinstance(call.get("id"), str)}
            found.append(_JSON.encode(made))
        else:
            found.append(None)
    return found


def _listed(value: Any, number: int) -> list[Any]:
    value = parsed(value, "[")
    if not isinstance(value, list):
        raise UnadaptedError("tool_calls is no list", message=number)
    return value


def _call(call: Any, number: int) -> Turn:
    """One call, its arguments as text; what is null in it comes from a table's columns and is left out."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"].strip():
        raise UnadaptedError("a tool call without a function's name", message=number)
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else _JSON.encode({} if arguments is None else arguments)
    if not _is_json(text):
        raise UnadaptedError("a tool call whose arguments are not JSON", message=number)
    kept = {key: value for key, value in function.items() if value is not None}
    return {**{key: value for key, value in call.items() if value is not None}, "function": {**kept, "arguments": text}}


def _answered(turn: Turn, open_calls: set[str], number: int) -> Turn:
    """A tool's answer: which call it is to, which then is no longer open."""
    if turn.get("tool_call_id") not in open_calls:
        raise UnadaptedError("a tool's answer to no call before it", message=number)
    open_calls.remove(turn["tool_call_id"])
    return {key: turn[key] for key in ("tool_call_id", "name") if turn.get(key) is not None}


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


# ---------------------------------------------------------------- as a row has them


def turns(row: dict[str, Any]) -> list[Turn]:
    """The messages of a row as OpenAI's format has them: with tool_calls and tool_call_id where there are any."""
    if row.get("calls") is None:
        return list(row["messages"])
    return [_turn(said, call) for said, call in zip(row["messages"], row["calls"], strict=True)]


def asked_turns(given: Sequence[Turn]) -> list[Turn]:
    """Turns of a request as those of a row: roles by their usual names, calls checked. Raises UnadaptedError as ingest does."""
    if any(turn.get("content", turn.get("value")) is None and not turn.get("tool_calls") for turn in given):
        raise UnadaptedError("a message without content")
    messages = [message(turn, calls=True) for turn in given]
    return turns({"messages": messages, "calls": calls(given, messages)})


def made_call(number: int, name: str, arguments: Any) -> Turn:
    """A call that a model made, in OpenAI's form; number: of the conversation's calls, from 1. Nine characters are what
    Mistral's templates ask of an id."""
    text = json.dumps(arguments, ensure_ascii=False)
    return {"id": f"call{number:05}", "type": "function", "function": {"name": name, "arguments": text}}


def _turn(said: Turn, call: str | None) -> Turn:
    if call is None:
        return said
    about = json.loads(call)
    return {**said, "content": said["content"] or None, "tool_calls": about} if isinstance(about, list) else {**said, **about}


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
    return {**turn, "tool_calls": [{**call, "function": new} for call, new in zip(turn["tool_calls"], read, strict=True)]}


def rewritten_call(call: str, change: Callable[[Any], Any]) -> str:
    """One of a row's `calls` with the arguments in it as `change` makes them; ids and functions' names stay."""
    about = json.loads(call)
    if not isinstance(about, list):
        return call
    return _JSON.encode([{**one, "function": _changed(one["function"], change)} for one in about])


def _changed(function: Turn, change: Callable[[Any], Any]) -> Turn:
    old = json.loads(function["arguments"])
    new = change(old)
    return function if new == old else {**function, "arguments": json.dumps(new, ensure_ascii=False)}


# ---------------------------------------------------------------- as text


def spoken(turn: Turn) -> Message:
    """A turn as {role, content}, its calls as lines below what it says."""
    made = [{key: call["function"][key] for key in _FUNCTION} for call in with_arguments(turn).get("tool_calls", ())]
    lines = [turn["content"] or "", *map(_JSON.encode, made)]
    return {"role": turn["role"], "content": "\n".join(line for line in lines if line)}


def messages_of(row: dict[str, Any]) -> list[Message]:
    """The messages of a row as {role, content}, calls as text among them."""
    return list(row["messages"]) if row.get("calls") is None else [spoken(turn) for turn in turns(row)]


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
