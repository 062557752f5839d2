"""Tool calls of OpenAI's fine-tuning format, checked and brought into a row's `calls` (tasks/core/row.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tasks.core.row import CANONICAL, Message, Turn, parsed, turns
from tasks.core.text.strict_json import refuse_constant
from tasks.data.formats.messages import UnadaptedError, is_empty, to_message


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
            found.append(CANONICAL.encode(_answered(turn, open_calls, number)))
        elif turn.get("tool_calls"):
            made = [_call(call, number) for call in _listed(turn["tool_calls"], number)]
            open_calls |= {call["id"] for call in made if isinstance(call.get("id"), str)}
            found.append(CANONICAL.encode(made))
        else:
            found.append(None)
    return found


def offered(value: Any) -> list[Turn] | None:
    """The tools on offer in OpenAI's form, of a list of them or of their JSON text; None where there are none.

    Raises UnadaptedError for what is no list of functions, since a call without its tool teaches to make tools up.
    """
    if is_empty(value):
        return None
    tools = parsed(value, "[")
    return [_tool(parsed(tool, "{")) for tool in tools] if isinstance(tools, list) else [_tool(parsed(tools, "{"))]


def _tool(tool: Any) -> Turn:
    """OpenAI's first form is the function alone, as ShareGPT's is; Anthropic's parameters are its input_schema."""
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise UnadaptedError("tools not understood", type=type(tool).__name__)
    if function is not tool:
        return dict(tool)
    function = {key: value for key, value in function.items() if key not in ("type", "input_schema")}
    schema = tool.get("input_schema")
    return {"type": "function", "function": function | ({"parameters": schema} if isinstance(schema, dict) else {})}


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
    text = arguments if isinstance(arguments, str) else CANONICAL.encode({} if arguments is None else arguments)
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


def asked_turns(given: Sequence[Turn]) -> list[Turn]:
    """Turns of a request as those of a row: roles by their usual names, calls checked. Raises UnadaptedError as ingest
    does.
    """
    if any(turn.get("content", turn.get("value")) is None and not turn.get("tool_calls") for turn in given):
        raise UnadaptedError("a message without content")
    messages = [to_message(turn, calls=True) for turn in given]
    return turns({"messages": messages, "calls": calls(given, messages)})
