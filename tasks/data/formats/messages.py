"""Messages in the wild to {role, content}: role names, contents in parts, conversations as text in a cell, weights.

What could only be kept by losing something (a tool call, a picture) is not read; `UnadaptedError` says why.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tasks.core.row import Message, parsed

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}
# Roles of OpenAI and of ShareGPT that are parts of tool calls.
CALLS = (
    "tool",
    "function",
    "function_call",
    "observation",
)
CORE = ("role", "from", "content", "value", "weight")


class UnadaptedError(ValueError):
    """Why a record is no row; reason is stable text, evidence holds names and counts, never content."""

    def __init__(self, reason: str, **evidence: Any) -> None:
        self.reason, self.evidence = reason, evidence
        super().__init__(reason)


def to_message(turn: dict[str, Any], calls: bool = False) -> Message:
    """Convert one turn to a message. Raises UnadaptedError for a role nobody knows, a tool call, and what is not text.

    calls: take OpenAI's calls and answers of tools as well (tasks/data/formats/tool_calls.py); their older form and
    ShareGPT's never.
    """
    role = turn.get("role", turn.get("from"))
    if turn.get("tool_calls") or turn.get("function_call") or role in CALLS:
        if not (calls and _calls(turn)):
            raise UnadaptedError("tool calls are not supported")
        return {"role": role, "content": content_text(turn.get("content"))}
    known = ROLES.get(role) if isinstance(role, str) else None
    if known is None and (known := ROLES.get(str(role).lower())) is None:
        raise UnadaptedError("role not recognised", role=str(role)[:40], allowed=sorted(ROLES))
    value = turn.get("content", turn.get("value"))
    return {"role": known, "content": value if isinstance(value, str) else content_text(value)}


def _calls(turn: dict[str, Any]) -> bool:
    """Whether a turn that is part of a call is one in the form OpenAI has now."""
    made = bool(turn.get("tool_calls"))
    return not turn.get("function_call") and turn.get("role") == ("assistant" if made else "tool")


def content_text(value: Any) -> str:
    """A content as text; the text parts of one in parts, one below the other. Raises UnadaptedError
    for anything else.
    """
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in value):
        return "\n".join(part["text"] for part in value)
    raise UnadaptedError("content is not text", type=type(value).__name__)


def answer_text(value: Any) -> Message:
    """An answer by itself; one given as an object is the JSON text of it."""
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else content_text(value)
    return {"role": "assistant", "content": text}


def turn_list(value: Any) -> list[dict[str, Any]] | None:
    """A list of turns, also one written as JSON text in a table's cell."""
    value = parsed(value, "[")
    return value if isinstance(value, list) and all(isinstance(turn, dict) for turn in value) else None


def is_turn(turn: Any) -> bool:
    """Whether an object is a turn: someone says it."""
    return isinstance(turn, dict) and ("role" in turn or "from" in turn)


def conversation_turns(value: Any) -> list[dict[str, Any]] | None:
    """A list of turns with at least one, each said by someone: not just any JSON, which a prompt may well be."""
    turns = turn_list(value)
    return turns if turns and all(map(is_turn, turns)) else None


def weights(turns: Sequence[dict[str, Any]], messages: Sequence[Message]) -> list[float] | None:
    """How much each message teaches by its `weight`; an assistant's without one does. None when
    every answer teaches.
    """
    if not any("weight" in turn for turn in turns):
        return None
    found = [
        _weight(turn.get("weight")) if said["role"] == "assistant" else 0.0
        for turn, said in zip(turns, messages, strict=True)
    ]
    return found if any(w == 0 and m["role"] == "assistant" for w, m in zip(found, messages, strict=True)) else None


def _weight(value: Any) -> float:
    if value is None or value == 1:
        return 1.0
    if isinstance(value, int | float) and value == 0:
        return 0.0
    raise UnadaptedError("message weight is neither 0 nor 1", weight=str(value)[:20])


def message_fields(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What single messages say beside role, content, weight and calls (name, time), turn by turn; empty when it is
    nothing.
    """
    fields = [
        {k: v for k, v in turn.items() if k not in CORE and v is not None and not _said(k, turn)} for turn in turns
    ]
    return {"message_fields": fields} if any(fields) else {}


def _said(key: str, turn: dict[str, Any]) -> bool:
    """Whether a row has this of a turn in its calls."""
    return (key == "tool_calls" and bool(turn[key])) or (key in ("tool_call_id", "name") and turn.get("role") == "tool")
