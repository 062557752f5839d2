"""Records that hold a conversation as a list of turns, and the system prompt that a column of its own may hold."""

from __future__ import annotations

from typing import Any

from tasks.data.formats.base import Record, Shape, Shaped
from tasks.data.formats.messages import message_fields, to_message, turn_list, weights
from tasks.data.formats.names import SYSTEM
from tasks.data.formats.tool_calls import calls
from tasks.data.formats.tool_turns import openai_turns


def turns_under(*keys: str) -> Shape:
    """The shape of records with a list of turns under one of these keys."""

    def read(record: Record) -> Shaped | None:
        for key in keys:
            if key in record and (turns := turn_list(record[key])) is not None:
                return with_system(record, conversation(turns, {key}))
        return None

    return Shape(tuple(frozenset([key]) for key in keys), read)


def conversation(turns: list[dict[str, Any]], used: set[str]) -> Shaped:
    """Turns as messages, with their weights and tool calls. Raises UnadaptedError for a turn that is no message."""
    turns = openai_turns(turns)
    messages = [to_message(turn, calls=True) for turn in turns]
    made = calls(turns, messages)
    return Shaped(messages, used, weights=weights(turns, messages), calls=made, fields=message_fields(turns))


def with_system(record: Record, shaped: Shaped) -> Shaped:
    """With the system prompt that a column of its own holds, unless the conversation begins with one."""
    name = next((name for name in SYSTEM if isinstance(record.get(name), str) and record[name].strip()), None)
    if name is None or not shaped.messages or shaped.messages[0]["role"] == "system":
        return shaped
    system = {"role": "system", "content": record[name]}
    shaped.messages, shaped.used = [system, *shaped.messages], shaped.used | {name}
    shaped.weights = [0.0, *shaped.weights] if shaped.weights else None
    shaped.calls = [None, *shaped.calls] if shaped.calls else None
    return shaped
