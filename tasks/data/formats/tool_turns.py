"""Turns of tools in other tools' forms, brought into OpenAI's: an assistant's tool_calls and a tool's tool_call_id.

    {from: function_call, value: JSON}, {from: observation, value}      ShareGPT, as LLaMA-Factory has it
    {role: tool_call, content: JSON}, {role: tool_response, content}    ms-swift
    {role: assistant, function_call}, {role: function, name}            OpenAI's first form
    parts of type tool_call, whose value is JSON                        LLaMA-Factory's second
    parts of type tool_use and tool_result                              Anthropic
Calls get ids where they have none; an answer is to the first call that is still open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain, count
from typing import Any

from tasks.core.row import Turn, made_call, name_of, parsed
from tasks.data.formats.messages import UnadaptedError

CALLING = ("function_call", "tool_call")  # roles whose content is a call, or a list of them
ANSWERING = ("observation", "tool_response", "function")
PARTS = ("tool_call", "tool_use", "tool_result")


def openai_turns(turns: Sequence[Turn]) -> list[Turn]:
    """The turns with OpenAI's tool calls; those of a conversation without any, or that has these, as they are.

    Raises UnadaptedError for a call that cannot be read, and for an answer to none.
    """
    if not any(map(_is_foreign, turns)):
        return list(turns)
    made: list[Turn] = []
    numbers, open_calls = count(1), list[tuple[str, str]]()
    for turn in chain.from_iterable(map(_split, turns)):
        if turn.get("tool_calls"):
            open_calls += _with_ids(turn["tool_calls"])
            made.append(turn)
        elif calls := [_made(call, numbers) for call in _called(turn)]:
            open_calls += _with_ids(calls)
            _add_calls(made, turn, calls)
        elif _role(turn) in (*ANSWERING, "tool"):
            made.append(_answer(turn, open_calls))
        else:
            made.append(turn)
    return made


def _is_foreign(turn: Turn) -> bool:
    content = turn.get("content")
    parts = isinstance(content, list) and any(isinstance(one, dict) and one.get("type") in PARTS for one in content)
    return parts or bool(turn.get("function_call")) or _role(turn) in (*CALLING, *ANSWERING)


def _role(turn: Turn) -> Any:
    return turn.get("role", turn.get("from"))


def _split(turn: Turn) -> Iterator[Turn]:
    """A turn with answers of tools among its parts (Anthropic's user) as a turn each, and one of the rest."""
    content = turn.get("content")
    parts = content if isinstance(content, list) else []
    results = [part for part in parts if _is_result(part)]
    for part in results:
        yield {"role": "tool", "content": part.get("content"), "tool_call_id": part.get("tool_use_id")}
    rest = [part for part in parts if not _is_result(part)]
    if rest or not results:
        yield {**turn, "content": rest} if results else turn


def _is_result(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_result"


def _with_ids(calls: Any) -> list[tuple[str, str]]:
    """(id, function's name) of each of OpenAI's calls that has an id."""
    calls = parsed(calls, "[")
    found = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return [(call["id"], name_of(call)) for call in found if isinstance(call.get("id"), str)]


def _called(turn: Turn) -> list[Any]:
    """What a turn calls, as its form has it."""
    if turn.get("function_call"):
        return [turn["function_call"]]
    content = turn.get("content", turn.get("value"))
    if _role(turn) in CALLING:
        read = parsed(parsed(content, "{"), "[")
        return read if isinstance(read, list) else [read]
    parts = content if isinstance(content, list) else []
    parts = [part for part in parts if isinstance(part, dict) and part.get("type") in ("tool_call", "tool_use")]
    return [parsed(part["value"], "{") if isinstance(part.get("value"), str) else part for part in parts]


def _made(call: Any, numbers: Iterator[int]) -> Turn:
    inner = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise UnadaptedError("a tool call without a function's name")
    given_arguments = (inner[key] for key in ("arguments", "parameters", "input") if inner.get(key) is not None)
    arguments = parsed(next(given_arguments, {}), "{")
    if isinstance(arguments, str):
        raise UnadaptedError("a tool call whose arguments are not JSON")
    made = made_call(next(numbers), inner["name"], arguments)
    given = call.get("id") or call.get("call_id")
    return {**made, "id": given} if isinstance(given, str) else made


def _add_calls(made: list[Turn], turn: Turn, calls: list[Turn]) -> None:
    """A call that follows what the assistant says belongs to the same message."""
    content = turn.get("content") if _role(turn) not in CALLING else None
    if isinstance(content, list):
        content = [part for part in content if not (isinstance(part, dict) and part.get("type") in PARTS)]
    marks = {key: value for key, value in turn.items() if key not in ("role", "from", "content", "value")}
    marks.pop("function_call", None)
    said = made[-1] if made and _role(turn) in CALLING else {}
    if _role(said) in ("assistant", "gpt") and not said.get("tool_calls"):
        made[-1] = {**_openai(said), **marks, "tool_calls": calls}
    elif said.get("tool_calls"):
        made[-1] = {**said, "tool_calls": [*said["tool_calls"], *calls]}
    else:
        made.append({"role": "assistant", "content": content or None, **marks, "tool_calls": calls})


def _openai(turn: Turn) -> Turn:
    rest = {key: value for key, value in turn.items() if key not in ("role", "from", "content", "value")}
    return {"role": "assistant", "content": turn.get("content", turn.get("value")), **rest}


def _answer(turn: Turn, open_calls: list[tuple[str, str]]) -> Turn:
    """A tool's answer: to the call that it names by id or by its function's name, or to the first that is open."""
    given, name = turn.get("tool_call_id"), turn.get("name")
    fits = [call for call in open_calls if (call[0] == given if given else name in (None, call[1]))]
    if not fits:
        raise UnadaptedError("a tool's answer to no call before it")
    open_calls.remove(fits[0])
    rest = {key: value for key, value in turn.items() if key not in ("role", "from", "content", "value")}
    content = turn.get("content", turn.get("value"))
    text = content if isinstance(content, str | list) or content is None else json.dumps(content, ensure_ascii=False)
    return {"role": "tool", "content": text, **rest, "tool_call_id": fits[0][0]}
